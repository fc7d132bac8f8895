from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay.channel.session import OwnerSession
from assay.cli.outcome import exit_code
from assay.errors import AmbiguousError, GateError, LeaseError, ProviderError, SettingsError, StoreError
from assay.leases import attend, ending, moments
from assay.leases.job import Outcome
from assay.leases.run import check_clock
from assay.leases.states import Keep, State
from assay.providers.local.provider import LocalProvider
from assay.receipts.receipt import Receipt
from assay.settings.resolve import resolve
from assay.workload.receive import Receiver
from support.lease_desk import assert_whole
from support.lease_flow import Told, assert_nothing_left, log, open_local, ports, run

NO_SETTINGS = {"environ": {"HOME": "/nonexistent"}, "flags": {}, "repository": None}


@pytest.fixture
def desk(tmp_path):
    with open_local(tmp_path / "state") as found:
        yield found
        for lease in found.book.live():
            with ports(Told()) as own:
                attend.attended(found, resolve(**NO_SETTINGS), own, lease.id, attend.stop)


class Bent(LocalProvider):
    """A local provider whose answers a test bends."""

    def __init__(self, desk, **bends):
        super().__init__(desk.state_dir, environ=desk.environ)
        self.bends = bends
        desk.providers["local"] = self

    def trust(self, request):
        return self.bends.get("trust", lambda known: known)(super().trust(request))

    def create(self, request, *, timeout):
        made = super().create(request, timeout=timeout)
        return self.bends.get("create", lambda machine: machine)(made)

    def connect(self, machine, *, timeout):
        self.bends.get("connect", lambda: None)()
        return super().connect(machine, timeout=timeout)

    def describe(self, machine_id, *, timeout):
        self.bends.get("describe", lambda: None)()
        return super().describe(machine_id, timeout=timeout)


def test_a_run_from_intent_to_release(desk, tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    (files / "hello.txt").write_text("hello")
    outcome, told = run(desk, "sh", "-c", "cat hello.txt; echo problem >&2; exit 3", files=files)
    assert outcome.error is None
    assert (outcome.exit.code, bytes(told.stdout), bytes(told.stderr)) == (3, b"hello", b"problem\n")
    assert_nothing_left(desk)
    assert_whole(desk)
    names = [type(moment).__name__ for moment in told.moments if not isinstance(moment, moments.Sending)]
    assert " ".join(names) == (
        "Leased Created Judged Bound Sent Judged Started Exited Receipted Releasing Released"
    )
    assert [moment.purpose.value for moment in told.of(moments.Judged)] == ["admission", "start"]
    facts = {entry.kind: entry.facts for entry in log(desk, outcome.lease.id)}
    assert facts["evidence.admitted"]["simulated"] is True
    assert facts["evidence.admitted"]["evidence"] != facts["evidence.started"]["evidence"]
    assert facts["receipt.issued"]["client_agrees"] is True
    assert facts["workload.exited"]["succeeded"] is False
    told_everything = json.dumps([dict(entry.facts) for entry in log(desk, outcome.lease.id)])
    for secret in ("hello", "problem", "cat"):
        assert secret not in told_everything
    receipt = Receipt.unverified(outcome.receipt.read_bytes())
    assert receipt.lease == outcome.lease.id
    assert receipt.outcome.code == 3
    assert desk.vault.get(receipt.start_evidence)


def test_input_reaches_the_workload(desk):
    read, write = os.pipe()
    os.write(write, b"some input")
    os.close(write)
    outcome, told = run(desk, "cat", stdin=read)
    os.close(read)
    assert (outcome.exit.code, bytes(told.stdout)) == (0, b"some input")


@pytest.mark.parametrize(
    ("attack", "cause"),
    [
        ("stale-nonce", "tdx.binding.mismatch"),
        ("debug", "policy.attributes.debug.enabled"),
        ("foreign-key", "channel.tls.peer_key"),
        ("changed-bundle", None),
        ("changed-agent", "policy.tdx.mr_td.mismatch"),
    ],
)
def test_each_attack_ends_in_destroy_and_refuse(desk, tmp_path, attack, cause):
    files = tmp_path / "files"
    files.mkdir()
    (files / "a").write_text("a")
    outcome, told = run(desk, "true", attack=attack, files=files, keep=Keep.ALWAYS)
    assert outcome.error.code == "gate.refused"
    assert cause is None or outcome.error.detail["cause"] == cause
    assert not outcome.started
    assert outcome.lease.state is State.RELEASED
    assert outcome.lease.reason.value == "refused"
    assert told.of(moments.Started) == []
    if attack != "changed-bundle":
        assert told.of(moments.Sent) == []
    assert "evidence.refused" in [entry.kind for entry in log(desk, outcome.lease.id)]
    assert_nothing_left(desk)
    assert_whole(desk)


def test_what_cannot_be_checked_is_tried_again_and_then_refused_as_such(desk):
    waited = [0.0]
    desk.sleep = waited.append
    desk.monotonic = lambda: sum(waited)
    Bent(desk, trust=lambda known: replace(known, collateral=None))
    # The budget is also how long the guest may take for its answers, and that is no played time.
    outcome, told = run(desk, "true", flags={"gate.budget": "10s"}, keep=Keep.ALWAYS)
    assert outcome.error.code == "gate.unverifiable"
    assert len(told.of(moments.Judged)) > 3
    assert sum(waited) < 10
    assert told.of(moments.Bound) == []
    assert [entry.kind for entry in log(desk, outcome.lease.id)][-3:] == [
        "machine.created", "evidence.unverifiable", "lease.released",
    ]  # fmt: skip
    assert_nothing_left(desk)


def test_collateral_that_arrives_in_time_admits(desk):
    answers = iter([True, True])
    Bent(desk, trust=lambda known: replace(known, collateral=None) if next(answers, False) else known)
    outcome, told = run(desk, "true")
    assert outcome.error is None
    assert len(told.of(moments.Retrying)) == 2
    assert [moment.result.accepted for moment in told.of(moments.Judged)] == [False, False, True, True]


def test_a_guest_that_does_not_answer_yet_is_waited_for(desk):
    answers = iter([True, True])

    def connect():
        if next(answers, False):
            raise ProviderError("provider.local.unreachable", "Not yet.")

    Bent(desk, connect=connect)
    outcome, told = run(desk, "true")
    assert outcome.error is None
    assert len(told.of(moments.Retrying)) == 2


def test_a_clock_set_back_a_year_opens_no_gate(desk):
    outcome, _ = run(desk, "true")
    assert outcome.error is None
    desk.now = lambda: datetime.now(UTC) - timedelta(days=365)
    with pytest.raises(GateError) as caught:
        check_clock(desk)
    assert caught.value.code == "lease.clock.before_evidence"
    outcome, _ = run(desk, "true")
    assert outcome.error.code == "lease.clock.before_evidence"
    assert_nothing_left(desk)


def test_a_kept_machine_runs_again_under_a_new_proof(desk):
    first, told = run(desk, "sh", "-c", "exit 1", keep=Keep.ALWAYS)
    assert first.lease.state is State.KEPT
    assert told.of(moments.Kept)
    second, told = run(desk, "echo", "again", lease=first.lease)
    assert (second.exit.code, bytes(told.stdout), second.lease.state) == (0, b"again\n", State.KEPT)
    kinds = [entry.kind for entry in log(desk, first.lease.id)]
    assert kinds.count("evidence.admitted") == 2
    assert kinds.count("receipt.issued") == 2
    nonces = {entry.facts["nonce"] for entry in log(desk, first.lease.id) if "nonce" in entry.facts}
    assert len(nonces) == 4
    with pytest.raises(LeaseError) as caught:
        run(desk, "true", lease=replace(second.lease, id="asy-000000000000"))
    assert caught.value.code == "lease.unknown"


def test_a_kept_machine_whose_history_is_not_ours_is_destroyed(desk):
    first, _ = run(desk, "true", keep=Keep.ALWAYS)
    with desk.db.transaction() as tx:
        tx.execute("UPDATE runs SET bundle = ?", (b"x" * 32,))
    second, _ = run(desk, "true", lease=first.lease)
    assert second.error.detail["cause"] in ("policy.tdx.rtmr3.mismatch", "gate.runtime_register.mismatch")
    assert_nothing_left(desk)


def test_a_kept_machine_that_vanished_is_released(desk):
    first, _ = run(desk, "true", keep=Keep.ALWAYS)
    desk.provider("local").destroy(first.lease.machine_id, timeout=10)
    second, _ = run(desk, "true", lease=first.lease)
    assert second.lease.reason.value == "vanished"
    assert_nothing_left(desk)


def test_a_kept_machine_stays_when_its_provider_cannot_say(desk):
    first, _ = run(desk, "true", keep=Keep.ALWAYS)

    def describe():
        raise AmbiguousError("provider.local.unreadable", "Who knows.")

    bent = Bent(desk, describe=describe)
    second, _ = run(desk, "true", lease=first.lease)
    assert second.error.code == "provider.local.unreadable"
    assert second.lease.state is State.KEPT
    bent.bends.clear()


def test_keep_on_failure(desk):
    outcome, _ = run(desk, "true", keep=Keep.ON_FAILURE)
    assert outcome.lease.state is State.RELEASED
    outcome, _ = run(desk, "false", keep=Keep.ON_FAILURE)
    assert outcome.lease.state is State.KEPT


def test_a_repositorys_policy_is_applied_as_well(desk, tmp_path):
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "assay.toml").write_text('[require]\npolicies = ["ours.toml"]\n')
    (repository / "ours.toml").write_text(
        'version = 1\nname = "ours"\nplatforms = ["tdx"]\nsimulated = "only"\naccept = ["simulated"]\n'
        '[isolation]\nmin = "firecracker"\n'
    )
    outcome, _ = run(desk, "true", repository=repository)
    assert outcome.error.detail["cause"] == "policy.isolation.min.too_weak"
    assert_nothing_left(desk)


@pytest.mark.parametrize("target", ["../outside.toml", "/dev/stdin", "."])
def test_a_repositorys_policy_is_a_file_inside_it(desk, tmp_path, target):
    (tmp_path / "outside.toml").write_text("version = 1\n")
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "assay.toml").write_text('[require]\npolicies = ["ours.toml"]\n')
    (repository / "ours.toml").symlink_to(target)
    with pytest.raises(SettingsError) as caught:
        run(desk, "true", repository=repository)
    assert caught.value.code == "settings.repository.policy"


def kill_guest(desk):
    for record in (desk.state_dir / "local").glob("*/machine.json"):
        found = json.loads(record.read_bytes())
        os.kill((found["sandbox"] or found["guest"])["pid"], signal.SIGKILL)


def test_a_guest_that_dies_unsigned_leaves_an_entry_that_says_so(desk):
    told = Told()

    class Killing(list):
        def append(self, moment):
            super().append(moment)
            if isinstance(moment, moments.Started):
                kill_guest(desk)

    told.moments = Killing()
    outcome, _ = run(desk, "sleep", "60", told=told)
    assert outcome.started
    assert outcome.exit is None
    assert outcome.receipt is None
    assert "receipt.missing" in [entry.kind for entry in log(desk, outcome.lease.id)]
    assert_nothing_left(desk)
    assert_whole(desk)


def test_a_full_disk_still_ends_the_machine_and_recovery_completes_the_record(tmp_path):
    full = threading.Event()

    def at(point):
        if point == "machine.created.after":
            full.set()
        if full.is_set() and point.endswith(".inside"):
            raise StoreError("store.disk.full", "There is no room left.")

    with open_local(tmp_path / "state", at=at) as desk:
        outcome, told = run(desk, "true", keep=Keep.ALWAYS)
        assert outcome.error.code == "store.disk.full"
        assert told.of(moments.Stuck)
        assert desk.provider("local").inventory(timeout=10) == ()
    with open_local(tmp_path / "state") as desk:
        from support.lease_desk import dead_holder

        with desk.db.transaction() as tx:
            tx.execute("UPDATE fences SET holder = ?", (dead_holder().encode(),))
        desk.reconciler().sweep()
        assert_nothing_left(desk)
        assert_whole(desk)


def test_a_signal_before_the_workload_releases_the_machine(desk):
    told = Told()

    class Signalling(list):
        def append(self, moment):
            super().append(moment)
            if isinstance(moment, moments.Created):
                os.kill(os.getpid(), signal.SIGTERM)

    told.moments = Signalling()
    outcome, _ = run(desk, "sleep", "60", told=told, keep=Keep.ALWAYS)
    assert outcome.signal == signal.SIGTERM
    assert outcome.error.code == "lease.interrupted"
    assert outcome.lease.reason.value == "asked"
    assert_nothing_left(desk)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_during_the_workload_is_the_workloads(desk):
    told = Told()

    def output(stream, data):
        getattr(told, stream).extend(data)
        if b"ready" in data:
            os.kill(os.getpid(), signal.SIGTERM)

    told.output = output
    outcome, _ = run(
        desk,
        "sh",
        "-c",
        "trap 'echo got it; exit 9' TERM; echo ready; while :; do :; done",
        told=told,
    )
    assert outcome.exit.code == 9
    assert b"got it" in told.stdout
    assert outcome.receipt is not None


def test_the_second_interrupt_kills_and_releases_whatever_was_to_be_kept(desk):
    told = Told()

    def output(stream, data):
        getattr(told, stream).extend(data)
        if b"ready" in data or b"ignored" in data:
            os.kill(os.getpid(), signal.SIGINT)

    told.output = output
    outcome, _ = run(
        desk,
        "sh",
        "-c",
        "trap 'echo ignored' INT; echo ready; while :; do :; done",
        told=told,
        keep=Keep.ALWAYS,
    )
    assert outcome.exit.signal == signal.SIGKILL
    assert outcome.lease.state is State.RELEASED
    assert outcome.receipt is not None


def test_a_time_limit_is_the_guests_and_answers_124(desk):
    outcome, _ = run(desk, "sleep", "60", flags={"time_limit": "1s"})
    assert outcome.exit.reason == "time_limit"
    assert outcome.exit.exit_code == 124


def test_outputs_come_back_and_are_those_of_the_receipt(desk, tmp_path):
    outcome, told = run(
        desk,
        "sh",
        "-c",
        "mkdir out; echo one > out/a; echo two > b",
        outputs=("out", "b"),
        into=tmp_path / "got",
    )
    assert outcome.error is None
    assert (tmp_path / "got" / "out" / "a").read_text() == "one\n"
    assert (tmp_path / "got" / "b").read_text() == "two\n"
    (downloaded,) = told.of(moments.Downloaded)
    assert downloaded.size == 8
    assert not told.of(moments.Noted)


@pytest.mark.parametrize("keep", [Keep.NEVER, Keep.ALWAYS])
def test_an_interrupt_stops_outputs_that_come_back(desk, tmp_path, monkeypatch, keep):
    feed = Receiver.feed

    def interrupted(receiver, part):
        monkeypatch.undo()
        os.kill(os.getpid(), signal.SIGINT)
        feed(receiver, part)

    monkeypatch.setattr(Receiver, "feed", interrupted)
    script = "head -c 20000000 /dev/zero > big"
    outcome, _ = run(desk, "sh", "-c", script, outputs=("big",), into=tmp_path / "got", keep=keep)
    assert outcome.error.code == "lease.download.interrupted"
    assert exit_code(outcome) == 128 + signal.SIGINT
    assert outcome.receipt is not None
    assert not (tmp_path / "got").exists()
    assert outcome.lease.state is (State.RELEASED if keep is Keep.NEVER else State.KEPT)


def test_outputs_that_are_not_there_are_named(desk, tmp_path):
    script = "mkdir out; echo one > out/a; ln -s a out/link"
    _, told = run(desk, "sh", "-c", script, outputs=("out", "absent"), into=tmp_path / "got")
    said = [moment.text for moment in told.of(moments.Noted)]
    assert len(said) == 2
    assert "A wanted output was left out" in said[0]
    assert "left no absent" in said[1]


def test_a_receipt_of_another_end_is_no_agreement(desk, monkeypatch):
    follow = OwnerSession.follow

    def lying(session, **given):
        return replace(follow(session, **given), code=0)

    monkeypatch.setattr(OwnerSession, "follow", lying)
    outcome, told = run(desk, "false")
    (note,) = told.of(moments.Noted)
    assert "ended in another way" in note.text
    (issued,) = [entry for entry in log(desk, outcome.lease.id) if entry.kind == "receipt.issued"]
    assert issued.facts["client_agrees"] is False


def test_a_detached_workload_is_attached_to_and_concluded(desk):
    outcome, _ = run(desk, "sh", "-c", "echo one; sleep 0.3; echo two; exit 5", detach=True)
    assert outcome.lease.state is State.RUNNING
    assert outcome.started
    assert desk.reconciler().sweep() == ()
    told, ended = Told(), Outcome(None)
    settings = resolve(**NO_SETTINGS)
    with ports(Told()) as own:
        attend.attended(desk, settings, own, outcome.lease.id, lambda one: attend.logs(one, follow=False))
    with ports(told) as own:
        attend.attended(desk, settings, own, outcome.lease.slug, lambda one: attend.attach(one, ended))
    assert bytes(told.stdout) == b"one\ntwo\n"
    assert ended.exit.code == 5
    assert ended.receipt is not None
    assert_nothing_left(desk)
    assert_whole(desk)


def test_a_detached_workload_is_waited_for(desk):
    outcome, _ = run(desk, "sh", "-c", "sleep 0.2; exit 6", detach=True, keep=Keep.ALWAYS)
    ended = Outcome(None)
    with ports(Told()) as own:
        lease = attend.attended(
            desk, resolve(**NO_SETTINGS), own, outcome.lease.id, lambda one: attend.wait(one, ended)
        )
    assert ended.exit.code == 6
    assert lease.state is State.KEPT
    with ports(Told()) as own:
        lease = attend.attended(desk, resolve(**NO_SETTINGS), own, lease.id, attend.keep)
    assert lease.state is State.KEPT


def test_stopping_a_detached_workload_leaves_its_receipt(desk):
    outcome, _ = run(desk, "sleep", "60", detach=True)
    with ports(Told()) as own:
        lease = attend.attended(desk, resolve(**NO_SETTINGS), own, outcome.lease.id, attend.stop)
    assert lease.state is State.RELEASED
    assert "receipt.issued" in [entry.kind for entry in log(desk, lease.id)]
    assert_nothing_left(desk)


def test_a_detached_machine_that_died_is_released_when_it_is_asked_for(desk):
    outcome, _ = run(desk, "sleep", "60", detach=True)
    desk.provider("local").destroy(outcome.lease.machine_id, timeout=10)
    with ports(Told()) as own, pytest.raises((LeaseError, ProviderError)):
        attend.attended(
            desk, resolve(**NO_SETTINGS), own, outcome.lease.id, lambda one: attend.attach(one, Outcome(None))
        )
    assert_nothing_left(desk)
    assert "receipt.missing" in [entry.kind for entry in log(desk, outcome.lease.id)]


@pytest.mark.parametrize(
    "work",
    [
        lambda one: attend.wait(one, Outcome(None)),
        lambda one: attend.attach(one, Outcome(None)),
        lambda one: attend.logs(one, follow=True),
    ],
    ids=["wait", "attach", "logs"],
)
def test_a_guest_that_outlives_its_lease_is_hung_up_on_and_destroyed(desk, monkeypatch, work):
    outcome, _ = run(desk, "sleep", "60", detach=True)
    monkeypatch.setattr(ending, "seconds_left", lambda _lease, _now: 0.05)
    with ports(Told()) as own, pytest.raises(LeaseError) as caught:
        attend.attended(desk, resolve(**NO_SETTINGS), own, outcome.lease.id, work)
    assert caught.value.code == "lease.overtime"
    assert desk.book.find(outcome.lease.id).reason.value == "expired"
    assert_nothing_left(desk)


def test_a_clock_that_was_set_back_lengthens_no_session(desk):
    outcome, _ = run(desk, "true")
    lease = outcome.lease
    assert ending.seconds_left(lease, lease.expires_at - 40) == 40 + ending.OVERTIME_SECONDS
    assert ending.seconds_left(lease, lease.expires_at + 9e9) == ending.OVERTIME_SECONDS
    assert ending.seconds_left(lease, 0) == lease.ttl_seconds + ending.OVERTIME_SECONDS


def test_a_lease_without_a_command_is_proven_and_kept(desk):
    outcome, told = run(desk, keep=Keep.ALWAYS)
    assert outcome.lease.state is State.KEPT
    assert [moment.purpose.value for moment in told.of(moments.Judged)] == ["admission"]
    again, told = run(desk, "echo", "hi", lease=outcome.lease)
    assert bytes(told.stdout) == b"hi\n"
    assert again.lease.state is State.KEPT


def test_an_unanswered_creation_is_found(desk):
    asked = []

    def create(machine):
        if not asked:
            asked.append(machine)
            raise AmbiguousError("provider.local.ambiguous", "No answer.")
        return machine

    Bent(desk, create=create)
    outcome, told = run(desk, "true")
    assert outcome.error is None
    assert told.of(moments.Retrying)


def test_a_refused_creation_leaves_nothing(desk):
    outcome, _ = run(desk, "true", attack="nothing-we-know")
    assert outcome.error.code == "provider.local.option"
    assert outcome.lease.reason.value == "not_created"
    assert [entry.kind for entry in log(desk, outcome.lease.id)] == [
        "lease.intended", "machine.refused", "lease.released",
    ]  # fmt: skip
    assert_nothing_left(desk)


def test_a_closed_terminal_leaves_a_detached_workload_running(desk):
    outcome, _ = run(desk, "sh", "-c", "echo ready; sleep 60", detach=True)
    told = Told()

    def output(stream, data):
        getattr(told, stream).extend(data)
        os.kill(os.getpid(), signal.SIGHUP)

    told.output = output
    with ports(told) as own:
        lease = attend.attended(
            desk, resolve(**NO_SETTINGS), own, outcome.lease.id, lambda one: attend.attach(one, Outcome(None))
        )
    assert told.of(moments.Detached)
    assert lease.state is State.RUNNING
    assert desk.reconciler().sweep() == ()
