from __future__ import annotations

import threading

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from assay.errors import AmbiguousError, AssayError, LeaseError, ProviderError, StoreError
from assay.leases import holding
from assay.leases.states import Care, Event, Keep, Reason, State
from assay.store import fence
from support.lease_desk import Client, Fuse, KilledError, assert_sound, dead_holder, kinds, open_desk
from support.provider_hostile import Cloud, Fault


@pytest.fixture
def cloud():
    return Cloud()


@pytest.fixture
def desk(tmp_path, cloud):
    with open_desk(tmp_path / "state", cloud) as found:
        yield found


def stand_still(desk):
    """Stop the clock of a desk's database."""
    moment = desk.db.now()
    desk.db._clock = lambda: moment


def expire(desk, lease_id):
    with desk.db.transaction() as tx:
        tx.execute("UPDATE leases SET expires_at = ? WHERE id = ?", (tx.now() - 1, lease_id))


def idle(desk, lease_id):
    with desk.db.transaction() as tx:
        tx.execute("UPDATE leases SET used_at = used_at - idle_seconds - 1 WHERE id = ?", (lease_id,))


def test_a_whole_life_leaves_a_tombstone_and_nothing_else(desk, cloud):
    client = Client(desk)
    client.whole()
    assert client.lease.state is State.RELEASED
    assert kinds(desk, client.lease.id) == [
        "lease.intended", "machine.created", "evidence.admitted", "bundle.sent", "evidence.started",
        "workload.exited", "receipt.issued", "lease.releasing", "lease.released",
    ]  # fmt: skip
    assert_sound(desk, cloud)
    assert desk.reconciler().sweep() == ()
    assert desk.book.find(client.lease.slug).id == client.lease.id


def count_points(tmp_path, keep) -> int:
    fuse = Fuse()
    with open_desk(tmp_path / "counting", Cloud(), fuse=fuse) as desk:
        Client(desk).whole(keep)
    return len(fuse.points)


@pytest.mark.parametrize("keep", [Keep.NEVER, Keep.ALWAYS])
def test_a_kill_between_any_two_instructions_leaks_nothing(tmp_path, keep):
    for point in range(count_points(tmp_path, keep)):
        cloud, fuse = Cloud(), Fuse()
        state = tmp_path / f"state-{point}"
        with open_desk(state, cloud, fuse=fuse) as desk:
            fuse.left = point
            with pytest.raises(KilledError):
                Client(desk).whole(keep)
        with open_desk(state, cloud) as desk:
            desk.reconciler().clean(["hostile"])
            assert_sound(desk, cloud)
            live = desk.book.live()
            assert [lease.state for lease in live] in ([], [State.KEPT])
            if keep is Keep.NEVER:
                assert live == ()
            for lease in live:
                expire(desk, lease.id)
            desk.reconciler().sweep()
            assert desk.book.live() == ()
            assert_sound(desk, cloud)


def test_a_kill_during_recovery_is_recovered_from(tmp_path):
    cloud, fuse = Cloud(), Fuse()
    point = 0
    while True:
        state = tmp_path / f"state-{point}"
        with open_desk(state, cloud, fuse=fuse) as desk:
            client = Client(desk)
            client.intend()
            client.create()
            fuse.left = point
            try:
                desk.reconciler().sweep()
            except KilledError:
                killed = True
            else:
                killed = False
            fuse.left = None
            # The dead loop's hold: this test's process lives on, so its end is played.
            with desk.db.transaction() as tx:
                tx.execute("UPDATE fences SET holder = ?", (dead_holder().encode(),))
            desk.reconciler().sweep()
            assert desk.book.live() == ()
            assert_sound(desk, cloud)
        point += 1
        if not killed:
            break
    assert point > 5


@pytest.mark.parametrize(
    "fault", [Fault.LOSE_ANSWER, Fault.EMPTY, Fault.GARBAGE, Fault.DROP_REQUEST, Fault.HANG]
)
def test_an_unanswered_creation_is_found_by_its_lease(desk, cloud, fault):
    client = Client(desk)
    client.intend()
    cloud.fault("create", fault)
    with pytest.raises(AmbiguousError):
        client.create()
    desk.reconciler().sweep()
    assert_sound(desk, cloud)
    assert desk.book.live() == ()


def test_absence_is_not_read_into_a_young_inventory(tmp_path, cloud):
    with open_desk(tmp_path / "state", cloud, settle=60.0) as desk:
        client = Client(desk)
        client.intend()
        cloud.fault("create", Fault.DROP_REQUEST)
        with pytest.raises(AmbiguousError):
            client.create()
        (action,) = desk.reconciler().sweep()
        assert action.after is State.RELEASING
        assert action.problem.startswith("lease.create.unsettled")
        assert desk.keys.held() == {client.lease.id}
        desk.provider("hostile").create(client.request(), timeout=5)  # takes effect late
        (action,) = desk.reconciler().sweep(insist=True)
        assert action.after is State.RELEASED
        assert_sound(desk, cloud)


@pytest.mark.parametrize(
    ("call", "faults"),
    [
        ("delete", [Fault.HANG]),
        ("delete", [Fault.IGNORE]),
        ("delete", [Fault.SERVER_ERROR]),
        ("delete", [Fault.REFUSE]),
        ("delete", [Fault.LOSE_ANSWER]),
        ("list", [Fault.PARTIAL, Fault.DRIFT, Fault.PARTIAL, Fault.GARBAGE]),
        ("list", [Fault.HANG]),
        ("get", [Fault.SERVER_ERROR, Fault.SERVER_ERROR]),
    ],
)
def test_a_failed_destroy_leaves_a_record_and_is_tried_again(desk, cloud, call, faults):
    stand_still(desk)
    client = Client(desk)
    client.intend()
    client.create()
    cloud.fault(call, *faults)
    client.release()
    if client.lease.state is State.RELEASING:
        assert client.lease.problem
        assert client.lease.retry_at > desk.db.now()
        assert desk.keys.held() == {client.lease.id}
        assert "destroy.failed" in kinds(desk, client.lease.id)
        assert desk.reconciler().sweep() == ()  # not before its time
        for _ in range(5):
            desk.reconciler().sweep(insist=True)
    assert desk.book.live() == ()
    assert_sound(desk, cloud)


def test_retries_come_later_each_time(desk, cloud):
    stand_still(desk)
    client = Client(desk)
    client.intend()
    client.create()
    waits = []
    for _ in range(10):
        cloud.fault("delete", Fault.REFUSE)
        if client.lease.state is State.RELEASING:
            desk.reconciler().sweep(insist=True)
        else:
            client.release()
        lease = desk.book.reload(client.lease.id)
        client.lease = lease
        waits.append(round(lease.retry_at - desk.db.now()))
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300, 300]


def test_a_machine_of_somebody_else_is_not_touched(desk, cloud):
    client = Client(desk)
    client.intend()
    client.create()
    from dataclasses import replace

    (record,) = cloud.machines.values()
    cloud.machines[record.id] = replace(record, lease="asy-000000000000")
    client.release()
    assert client.lease.state is State.RELEASING
    assert client.lease.problem.startswith("lease.machine.foreign")
    assert record.id in cloud.machines


def test_two_machines_for_one_lease_are_both_destroyed(desk, cloud):
    client = Client(desk)
    client.intend()
    cloud.fault("create", Fault.DUPLICATE)
    client.create()
    assert len(cloud.machines) == 2
    client.release()
    assert cloud.machines == {}


def test_cleanup_destroys_a_machine_whose_lease_was_released_and_only_names_a_foreign_one(desk, cloud):
    client = Client(desk)
    client.whole()
    desk.provider("hostile").create(client.request(), timeout=5)
    from support.provider_hostile import request_for

    desk.provider("hostile").create(request_for("somebody-else"), timeout=5)
    foreseen = desk.reconciler().clean(["hostile"], dry_run=True)
    assert len(cloud.machines) == 2
    found = desk.reconciler().clean(["hostile"])
    assert len(found.machines) == 1
    assert foreseen == found
    assert [record.lease for record in cloud.machines.values()] == ["somebody-else"]
    assert len(found.foreign) == 1
    assert found.to_json()["problems"] == []
    cloud.fault("list", Fault.HANG)
    assert "ambiguous" in desk.reconciler().clean(["hostile"]).problems[0]


def test_cleanup_releases_what_ended_by_itself(desk, cloud):
    kept, stopped, detached, living = (Client(desk) for _ in range(4))
    for client in (kept, stopped, living):
        client.whole(Keep.ALWAYS)
    detached.intend()
    detached.create()
    detached.step(Event.ADMITTED)
    detached.step(Event.STARTED)
    detached.step(Event.DETACHED, care=Care.DETACHED.value)
    for client in (kept, detached):
        del cloud.machines[client.lease.machine_id]
    cloud.stop(stopped.lease.machine_id)
    cloud.fault("get", *[Fault.SERVER_ERROR] * 4)
    assert desk.reconciler().clean(["hostile"]).actions == ()
    assert len(desk.book.live()) == 4
    dry = desk.reconciler().clean(["hostile"], dry_run=True)
    assert {action.lease for action in dry.actions} == {one.lease.id for one in (kept, stopped, detached)}
    assert len(desk.book.live()) == 4
    found = desk.reconciler().clean(["hostile"])
    assert {action.reason for action in found.actions} == {"vanished"}
    assert [lease.id for lease in desk.book.live()] == [living.lease.id]
    assert "receipt.missing" in kinds(desk, detached.lease.id)
    assert_sound(desk, cloud)


def test_a_left_key_is_removed_and_a_new_lease_keeps_its_own(desk, cloud):
    client = Client(desk)
    client.whole()
    desk.keys.add(client.lease.id, client.owner)
    other = Client(desk)
    other.intend()
    assert desk.reconciler().sweep_keys(dry_run=True) == (client.lease.id,)
    assert desk.reconciler().sweep_keys() == (client.lease.id,)
    assert desk.keys.held() == {other.lease.id}


def test_a_living_commands_lease_is_left_alone(desk, cloud):
    client = Client(desk)
    client.intend()
    client.create()
    with desk.db.transaction() as tx:
        fence.release(tx, client.hold)
    hold = holding.take(desk.db, client.lease.id)
    assert hold is not None
    assert holding.take(desk.db, client.lease.id) is None
    assert desk.reconciler().sweep() == ()
    with pytest.raises(LeaseError) as caught:
        holding.take_or_refuse(desk.db, client.lease.id, client.lease.slug)
    assert caught.value.code == "lease.held"
    holding.give_back(desk.db, hold)
    assert len(desk.reconciler().sweep()) == 1


def test_a_command_that_was_taken_over_can_change_nothing(desk, cloud):
    client = Client(desk)
    client.intend()
    desk.reconciler().sweep()
    with pytest.raises(StoreError) as caught:
        client.step(Event.CREATED, machine_id="m")
    assert caught.value.code == "store.fence.lost"


def test_a_stale_revision_can_change_nothing(desk, cloud):
    client = Client(desk)
    client.intend()
    stale = client.lease
    client.create()
    with pytest.raises(LeaseError) as caught:
        desk.book.step(stale, Event.RELEASING, client.hold)
    assert caught.value.code == "lease.revision.changed"


def test_two_cleanups_at_once_do_each_step_once(tmp_path, cloud):
    state = tmp_path / "state"
    with open_desk(state, cloud) as desk:
        leases = []
        for _ in range(4):
            client = Client(desk)
            client.intend()
            client.create()
            leases.append(client.lease.id)
    failures = []
    barrier = threading.Barrier(3)

    def clean():
        try:
            with open_desk(state, cloud) as own:
                barrier.wait()
                own.reconciler().clean(["hostile"])
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=clean) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_desk(state, cloud) as desk:
        desk.reconciler().sweep()
        assert desk.book.live() == ()
        assert_sound(desk, cloud)
        for lease in leases:
            assert kinds(desk, lease) == [
                "lease.intended",
                "machine.created",
                "lease.releasing",
                "lease.released",
            ]


def test_kept_leases_end_at_their_deadline_and_when_idle(desk, cloud):
    first, second = Client(desk), Client(desk)
    for client in (first, second):
        client.whole(Keep.ALWAYS)
        assert desk.reconciler().sweep() == ()
    expire(desk, first.lease.id)
    idle(desk, second.lease.id)
    reasons = {action.lease: action.reason for action in desk.reconciler().sweep()}
    assert reasons == {first.lease.id: "expired", second.lease.id: "idle"}
    assert_sound(desk, cloud)


def test_a_detached_workload_ends_at_the_deadline_with_an_entry_that_no_receipt_came(desk, cloud):
    client = Client(desk)
    client.intend()
    client.create()
    client.step(Event.ADMITTED)
    client.step(Event.STARTED)
    client.step(Event.DETACHED, care=Care.DETACHED.value)
    assert desk.reconciler().sweep() == ()
    expire(desk, client.lease.id)
    desk.reconciler().sweep()
    assert kinds(desk, client.lease.id)[-3:] == ["receipt.missing", "lease.releasing", "lease.released"]


def test_keep_on_failure_is_about_the_workload(desk, cloud):
    for succeeded, kept in ((True, False), (False, True)):
        client = Client(desk)
        client.intend(Keep.ON_FAILURE)
        client.create()
        client.run(succeeded=succeeded)
        desk.reconciler().sweep()
        assert (desk.book.reload(client.lease.id).state is State.KEPT) is kept


def test_one_provider_that_is_gone_does_not_stop_the_others(desk, cloud):
    lost, client = Client(desk), Client(desk)
    for one in (lost, client):
        one.intend()
        one.create()
    with desk.db.transaction() as tx:
        tx.execute("UPDATE leases SET provider = 'absent' WHERE id = ?", (lost.lease.id,))
    actions = {action.lease: action for action in desk.reconciler().sweep()}
    assert actions[lost.lease.id].problem.startswith("provider.unknown")
    assert actions[client.lease.id].after is State.RELEASED


def test_a_dry_run_does_nothing(desk, cloud):
    client = Client(desk)
    client.intend()
    client.create()
    (action,) = desk.reconciler().sweep(dry_run=True)
    assert (action.before, action.after) == (State.CREATED, State.CREATED)
    assert action.to_json()["reason"] == "abandoned"
    assert len(cloud.machines) == 1


def test_slugs_and_ids(desk, cloud):
    client = Client(desk)
    client.intend()
    assert desk.book.find(client.lease.id) == desk.book.find(client.lease.slug)
    with pytest.raises(LeaseError) as caught:
        desk.book.find("nobody")
    assert caught.value.code == "lease.unknown"


class Life(RuleBasedStateMachine):
    """Clients come, do something with a hostile cloud, die anywhere; recovery always ends it."""

    @initialize()
    def begin(self):
        import tempfile
        from pathlib import Path

        self.home = tempfile.TemporaryDirectory()
        self.cloud, self.fuse = Cloud(), Fuse()
        self.desk = open_desk(Path(self.home.name) / "state", self.cloud, fuse=self.fuse)
        self.clients: list[Client] = []

    def teardown(self):
        if hasattr(self, "desk"):
            for _ in range(30):
                for call in ("create", "list", "get", "delete"):
                    self.cloud._faults[call].clear()
                self.desk.reconciler().clean(["hostile"])
            for lease in self.desk.book.live():
                expire(self.desk, lease.id)
            self.desk.reconciler().clean(["hostile"])
            assert self.desk.book.live() == ()
            assert self.cloud.machines == {}
            assert_sound(self.desk, self.cloud)
            self.desk.db.close()
            self.home.cleanup()

    @rule(keep=st.sampled_from(Keep), points=st.integers(0, 40))
    def run(self, keep, points):
        client = Client(self.desk)
        self.fuse.left = points
        try:
            client.whole(keep)
        except (KilledError, ProviderError):
            pass
        finally:
            self.fuse.left = None

    @rule(
        call=st.sampled_from(["create", "list", "get", "delete"]),
        fault=st.sampled_from([fault for fault in Fault if fault is not Fault.STALE]),
    )
    def fault(self, call, fault):
        self.cloud.fault(call, fault)

    @rule(points=st.integers(0, 30), insist=st.booleans())
    def sweep(self, points, insist):
        self.fuse.left = points
        try:
            self.desk.reconciler().sweep(insist=insist)
        except KilledError:
            with self.desk.db.transaction() as tx:
                tx.execute("UPDATE fences SET holder = ?", (dead_holder().encode(),))
        finally:
            self.fuse.left = None

    @precondition(lambda self: self.desk.book.live())
    @rule(data=st.data())
    def pass_time(self, data):
        lease = data.draw(st.sampled_from([lease.id for lease in self.desk.book.live()]))
        expire(self.desk, lease)

    @invariant()
    def no_machine_without_a_deed(self):
        if hasattr(self, "desk"):
            live = {lease.id for lease in self.desk.book.live()}
            assert {record.lease for record in self.cloud.machines.values()} <= live
            assert self.desk.keys.held() <= live


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_errors_of_the_room_are_ours():
    assert issubclass(LeaseError, AssayError)
    assert Reason.DONE.value == "done"
