from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from assay.errors import StoreError
from assay.store import Database, fence


class Clock:
    def __init__(self):
        self.now = 1_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def db(tmp_path, clock):
    with Database.open(tmp_path / "s", migrations=(), clock=clock) as found:
        yield found


def acquire(db, holder="a", seconds=30.0):
    with db.transaction() as tx:
        return fence.acquire(tx, "lease/1", holder=holder, seconds=seconds)


def lost(db, hold):
    try:
        with db.transaction() as tx:
            fence.guard(tx, hold)
    except StoreError as error:
        return error.code == "store.fence.lost"
    return False


def test_one_holder_at_a_time(db):
    hold = acquire(db)
    assert acquire(db, "b") is None
    with db.transaction() as tx:
        assert fence.holder_of(tx, "lease/1") == "a"
        fence.release(tx, hold)
        assert fence.holder_of(tx, "lease/1") is None
    assert acquire(db, "b").generation == 2


def test_a_hold_that_ran_out_may_be_taken_and_its_holder_is_fenced(db, clock):
    first = acquire(db)
    clock.now += 30
    assert not lost(db, first), "nobody took it: its work still counts"
    second = acquire(db, "b")
    assert second.generation == 2
    assert lost(db, first)
    with db.transaction() as tx:
        fence.release(tx, first)
    assert not lost(db, second), "a late release gives nothing away"


def test_a_heartbeat_keeps_the_hold(db, clock):
    hold = acquire(db)
    for _ in range(5):
        clock.now += 20
        with db.transaction() as tx:
            hold = fence.heartbeat(tx, hold, seconds=30)
        assert acquire(db, "b") is None


def test_a_heartbeat_after_the_takeover_is_refused(db, clock):
    hold = acquire(db)
    clock.now += 31
    acquire(db, "b")
    with pytest.raises(StoreError) as caught, db.transaction() as tx:
        fence.heartbeat(tx, hold, seconds=30)
    assert caught.value.code == "store.fence.lost"


def test_a_clock_set_back_a_year_locks_nobody_out(db, clock):
    first = acquire(db)
    clock.now -= 365 * 86400
    assert acquire(db, "b") is not None
    assert lost(db, first)


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_durations_are_bounded(db, seconds):
    with pytest.raises(StoreError) as caught:
        acquire(db, seconds=seconds)
    assert caught.value.code == "store.fence.duration"


def test_the_token_is_not_shown(db):
    hold = acquire(db)
    assert hold.token not in repr(hold)


def test_forgotten_things_start_afresh(db):
    hold = acquire(db)
    with db.transaction() as tx:
        fence.forget(tx, "lease/1")
    assert lost(db, hold)
    assert acquire(db).generation == 1


class Fencing(RuleBasedStateMachine):
    """Whatever happens to clocks and holders: at most one hold passes the guard, the newest."""

    def __init__(self):
        super().__init__()
        import tempfile
        from pathlib import Path

        self.clock = Clock()
        self.folder = tempfile.TemporaryDirectory()
        self.db = Database.open(Path(self.folder.name) / "s", migrations=(), clock=self.clock)
        self.holds = []

    @rule(seconds=st.floats(1, 3600))
    def take(self, seconds):
        hold = acquire(self.db, seconds=seconds)
        if hold:
            self.holds.append(hold)

    @rule(delta=st.floats(-1e8, 1e8))
    def time_passes(self, delta):
        self.clock.now += delta

    @rule(data=st.data())
    def give_back(self, data):
        if self.holds:
            with self.db.transaction() as tx:
                fence.release(tx, data.draw(st.sampled_from(self.holds)))

    @invariant()
    def only_the_newest_passes(self):
        passing = [hold for hold in self.holds if not lost(self.db, hold)]
        assert passing in ([], self.holds[-1:])

    def teardown(self):
        self.db.close()
        self.folder.cleanup()


TestFencing = Fencing.TestCase
TestFencing.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
