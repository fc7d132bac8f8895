from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import threading
from contextlib import closing, suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from assay.audit import MIGRATIONS, Event, Log, LogKey, entry, merkle, note, salted
from assay.audit.head import Head, HeadFile
from assay.audit.verify import verify_export
from assay.errors import AuditError, StoreError
from assay.store import Database
from support.audit_logs import ORIGIN, Naive, open_state, record


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def opened(state):
    db, log = open_state(state)
    with db:
        yield db, log


def read(db, log):
    """Return the checkpoint, verified, and the entries, decoded."""
    text, _ = note.open_note(log.checkpoint(), [LogKey.open(db.directory).verifier(log.origin)])
    checkpoint = note.Checkpoint.decode(text)
    return checkpoint, [entry.decode(log.entry(index)) for index in range(checkpoint.size)]


def check(db, log):
    """Check the whole log against the naive tree and its chain; return the entries."""
    checkpoint, found = read(db, log)
    raw = [log.entry(index) for index in range(checkpoint.size)]
    leaves = [merkle.leaf_hash(data) for data in raw]
    assert Naive(leaves).root() == checkpoint.root
    assert [item.seq for item in found] == list(range(checkpoint.size))
    assert [item.prev for item in found] == [entry.NO_PREVIOUS, *(leaf.hex() for leaf in leaves)][
        : len(found)
    ]
    return found


def code(call, *arguments):
    with pytest.raises((AuditError, StoreError)) as caught:
        call(*arguments)
    return caught.value.code


def test_a_new_log_opens_with_an_entry_of_its_own(opened):
    db, log = opened
    assert log.origin.startswith(f"{ORIGIN}/")
    (first,) = check(db, log)
    assert (first.kind, first.facts) == ("log.opened", {"installation": db.installation})


def test_entries_are_chained_and_the_checkpoint_covers_them(opened):
    db, log = opened
    record(db, log, 600, digest="ab" * 32)
    found = check(db, log)
    assert [item.facts["n"] for item in found[1:]] == list(range(600))
    assert log.size() == 601


def test_append_gives_the_index_and_needs_the_commit(opened):
    db, log = opened
    with db.transaction() as tx:
        assert log.append(tx, "a.b", "", {}) == 1
        assert log.append(tx, "a.b", "", {}) == 2
        assert code(log.checkpoint) == "store.transaction.nested"
    assert log.size() == 3


def test_what_is_undone_was_never_in_the_log(opened):
    db, log = opened
    record(db, log, 3)
    before = log.checkpoint()

    def fail():
        with db.transaction() as tx:
            log.append(tx, "a.b", "", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert log.checkpoint() == before
    record(db, log, 2)
    check(db, log)


def test_a_writer_whose_entry_was_undone_follows_the_one_that_took_its_place(opened, state):
    db, log = opened
    record(db, log, 3)
    with suppress(ZeroDivisionError), db.transaction() as tx:
        log.append(tx, "undone.entry", "", {})
        raise ZeroDivisionError
    other, second = open_state(state)
    with other:
        record(other, second, 1)
        record(db, log, 1)
        record(other, second, 1)
        assert "undone.entry" not in [item.kind for item in check(db, log)]
        assert check(other, second) == check(db, log)


def test_a_bad_entry_is_refused_and_the_transaction_may_go_on(opened):
    db, log = opened
    with db.transaction() as tx:
        assert code(log.append, tx, "Bad", "", {}) == "audit.entry.kind"
        log.append(tx, "a.b", "", {})
    assert len(check(db, log)) == 2


def test_bulk_appends_complete_tiles_of_every_level(opened):
    db, log = opened
    with db.transaction() as tx:
        assert log.append_many(tx, (Event("a.b", "", {"n": n}) for n in range(66_000))) == 1
    with db.read() as view:
        assert [
            tuple(row) for row in view.execute("SELECT level, count(*) FROM audit_nodes GROUP BY level")
        ] == [(1, 257), (2, 1)]
    checkpoint, _ = note.open_note(log.checkpoint(), [LogKey.open(db.directory).verifier(log.origin)])
    grown = merkle.CompactRange()
    with db.read() as view:
        for row in view.execute("SELECT entry FROM audit_entries ORDER BY seq"):
            grown.append_leaf(merkle.leaf_hash(row[0]))
    assert note.Checkpoint.decode(checkpoint).root == grown.root()


def test_writers_in_one_process_follow_each_other(opened, state):
    db, log = opened

    def write():
        other, its_log = open_state(state)
        with other:
            assert its_log.origin == log.origin
            record(other, its_log, 30)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    record(db, log, 30)
    for thread in threads:
        thread.join()
    assert len(check(db, log)) == 121


def test_a_clock_set_back_does_not_stop_the_log(state):
    times = iter([2e9, 2e9, 1e9, 1.5e9])
    db, log = open_state(state, clock=lambda: next(times))
    with db:
        record(db, log, 3)
        years = [item.time.year for item in check(db, log)]
    assert years == [2033, 2033, 2001, 2017]


def test_salted_facts_are_commitments_until_the_salt_is_dropped(opened):
    db, log = opened
    with db.transaction() as tx:
        index = log.append(tx, "a.b", "lease-1", {"x": 1}, salted={"output": b"42\n"})
        log.append(tx, "a.b", "lease-2", {}, salted={"output": b"43\n"})
    fact = check(db, log)[index].facts["output"]
    made = salted.Commitment(log.salt(index, "output"), bytes.fromhex(fact.removeprefix("salted-sha256:")))
    assert salted.matches(b"42\n", made)
    assert not salted.matches(b"43\n", made)
    before = log.checkpoint()
    assert log.redact("lease-1") == 1
    assert log.salt(index, "output") is None
    assert log.salt(index + 1, "output") is not None
    assert log.checkpoint() == before
    assert all(made.salt not in path.read_bytes() for path in db.directory.iterdir() if path.is_file())


def continued(db, log):
    return next(item for item in check(db, log) if item.kind == "log.continued")


def test_a_restored_backup_starts_a_new_origin_that_names_the_old_one(state, tmp_path):
    db, log = open_state(state)
    record(db, log, 5)
    db.flush()
    db.close()
    shutil.copy(state / "assay.db", tmp_path / "backup.db")
    db, log = open_state(state)
    record(db, log, 3)
    old = note.Checkpoint.decode(note.split(log.checkpoint())[0])
    db.close()
    for name in ("assay.db", "assay.db-wal", "assay.db-shm"):
        (state / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", state / "assay.db")
    (state / "assay.db").chmod(0o600)

    db, new = open_state(state)
    with db:
        assert new.origin != old.origin
        facts = continued(db, new).facts
        assert facts["previous_origin"] == old.origin
        assert facts["previous_size"] == old.size == 9
        assert facts["previous_root"] == old.root.hex()
        assert facts["reason"] == "restored_backup"
        record(db, new, 2)
        check(db, new)
    again, same = open_state(state)
    with again:
        assert same.origin == new.origin
        (earlier,) = Log.closed(again, LogKey.open(state))
        assert (earlier.origin, earlier.size()) == (old.origin, 6)
        earlier.export(tmp_path / "earlier", tar=False)
        with again.transaction() as tx:
            assert code(earlier.append, tx, "a.b", "", {}) == "audit.log.superseded"
    found = verify_export(
        tmp_path / "earlier", vkey=LogKey.open(state).verifier(old.origin), memory=tmp_path / "m" / "memory"
    )
    assert found.checkpoint.size == 6


def test_an_entry_lost_without_any_checkpoint_is_noticed(state, tmp_path):
    db, log = open_state(state)
    db.flush()
    shutil.copy(state / "assay.db", tmp_path / "backup.db")
    record(db, log, 1)
    db.close()
    for name in ("assay.db", "assay.db-wal", "assay.db-shm"):
        (state / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", state / "assay.db")
    (state / "assay.db").chmod(0o600)
    db, new = open_state(state)
    with db:
        assert continued(db, new).facts["previous_size"] == 2


def reopened(state):
    db, log = open_state(state)
    with db:
        found = check(db, log)
    return log.origin, found[0].facts.get("reason")


def test_a_lost_head_starts_a_new_origin(state):
    db, log = open_state(state)
    record(db, log, 2)
    db.close()
    (state / "log.head").unlink()
    origin, reason = reopened(state)
    assert origin != log.origin
    assert reason == "head_missing"
    assert reopened(state)[0] == origin


def test_a_crash_before_the_first_head_is_no_reason_to_start_again(state):
    db, log = open_state(state)
    db.close()
    (state / "log.head").unlink()
    assert reopened(state) == (log.origin, None)
    assert (state / "log.head").exists()


def test_a_lost_key_starts_a_new_origin(state):
    db, _ = open_state(state)
    db.close()
    (state / "keys" / "log.key").unlink()
    assert reopened(state) == (reopened(state)[0], "key_changed")


def test_another_database_in_its_place_starts_a_new_origin(state, tmp_path):
    for folder in (state, tmp_path / "other"):
        db, log = open_state(folder)
        record(db, log, 2)
        db.flush()
        db.close()
    shutil.copy(tmp_path / "other" / "assay.db", state / "assay.db")
    shutil.copy(tmp_path / "other" / "keys" / "log.key", state / "keys" / "log.key")
    assert reopened(state)[1] == "database_replaced"


def test_a_deleted_database_starts_a_new_origin(state):
    db, log = open_state(state)
    record(db, log, 2)
    db.close()
    for path in state.glob("assay.db*"):
        path.unlink()
    origin, reason = reopened(state)
    assert (origin == log.origin, reason) == (False, "database_replaced")


def test_a_rewritten_entry_starts_a_new_origin(state):
    db, log = open_state(state)
    record(db, log, 2)
    with db.transaction() as tx:
        tx.execute("UPDATE audit_entries SET leaf = ? WHERE seq = 1", (bytes(32),))
    db.close()
    db, new = open_state(state)
    with db:
        assert new.origin != log.origin
        assert continued(db, new).facts["reason"] == "log_rewritten"
        assert Log.closed(db, LogKey.open(state)) == (), "what was signed of it may have been otherwise"


def test_a_log_of_the_first_schema_goes_on(state, tmp_path):
    db, log = open_state(state)
    record(db, log, 300)
    before = check(db, log)
    old = tmp_path / "old"
    with (
        db,
        Database.open(old, migrations=MIGRATIONS[:1]) as first,
        db.read() as view,
        first.transaction() as tx,
    ):
        tx.execute("UPDATE installation SET id = ?", (db.installation,))
        for table, columns in (
            ("audit_logs", "number, origin, public, closed"),
            ("audit_entries", "log, seq, leaf, entry"),
            ("audit_nodes", "log, level, place, hash"),
        ):
            rows = [tuple(row) for row in view.execute(f"SELECT {columns} FROM {table}")]
            tx.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows)
    shutil.copytree(state / "keys", old / "keys", dirs_exist_ok=True)
    shutil.copy(state / "log.head", old)
    db, again = open_state(old)
    with db:
        record(db, again, 2)
        assert again.origin == log.origin
        assert check(db, again)[: len(before)] == before
        assert again.size() == len(before) + 2


def test_a_head_behind_the_database_is_what_a_crash_leaves(state):
    db, log = open_state(state)
    record(db, log, 2)
    db.close()
    before = (state / "log.head").read_bytes()
    db, log = open_state(state)
    record(db, log, 5)
    db.close()
    (state / "log.head").write_bytes(before)
    assert reopened(state) == (log.origin, None)


def test_a_process_that_was_overtaken_by_a_new_origin_writes_and_signs_nothing(state):
    db, log = open_state(state)
    record(db, log, 2)
    (state / "log.head").unlink()
    other, new = open_state(state)
    with db, other:
        with db.transaction() as tx:
            assert code(log.append, tx, "a.b", "", {}) == "audit.log.superseded"
        assert code(log.checkpoint) == "audit.log.superseded"
        check(other, new)


def test_the_log_goes_on_when_its_head_cannot_be_written_but_signs_nothing(opened, monkeypatch):
    db, log = opened

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    record(db, log, 2)
    assert code(log.checkpoint) == "audit.log.head"
    monkeypatch.undo()
    assert len(check(db, log)) == 3


def test_a_full_disk_during_append_loses_nothing_and_the_next_append_works(opened):
    db, log = opened
    record(db, log, 3)
    with db.read() as view:
        view.execute(f"PRAGMA max_page_count = {view.one('PRAGMA page_count')[0] + 3}")
    reached = 3

    def fill():
        nonlocal reached
        for _ in range(1000):
            record(db, log, 1, digest="x" * 500)
            reached += 1

    assert code(fill) == "store.disk.full"
    assert len(check(db, log)) == reached + 1
    with db.read() as view:
        view.execute("PRAGMA max_page_count = 100000")
    size = log.size()
    record(db, log, 1)
    assert len(check(db, log)) == size + 1


def test_missing_rows_are_noticed(opened):
    db, log = opened
    record(db, log, 5)
    with db.transaction() as tx:
        tx.execute("DELETE FROM audit_entries WHERE seq = 2")
    assert code(log.checkpoint) == "audit.log.damaged"


@pytest.mark.parametrize("name", ["", "a b", "a+b", "/a", "a\n", "x" * 121])
def test_names_of_logs(opened, name):
    db, _ = opened
    assert code(Log.open, db, LogKey.open(db.directory), name) == "audit.log.origin"


def test_the_key_is_private_and_made_once(state, tmp_path):
    Database.open(state, migrations=MIGRATIONS).close()
    assert LogKey.existing(state) is None
    made = LogKey.open(state)
    assert LogKey.open(state).public == made.public == LogKey.existing(state).public
    path = state / "keys" / "log.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert made.public.hex() in repr(made)
    path.chmod(0o644)
    assert code(LogKey.open, state) == "store.file.mode"
    path.chmod(0o600)
    path.write_bytes(b"not a key")
    assert code(LogKey.open, state) == "audit.key.unreadable"


def test_the_head_survives_a_spoilt_slot_and_never_goes_back(state):
    state.mkdir(mode=0o700)
    file = HeadFile(state)
    heads = [Head("ab" * 16, 1, "o", size, bytes(32)) for size in range(5)]
    file.begin(heads[2])
    file.sync(heads[3])
    file.advance(heads[1])
    file.begin(heads[1])
    assert file.read() == heads[3]
    data = bytearray((state / "log.head").read_bytes())
    data[512 + 20] ^= 1
    (state / "log.head").write_bytes(data)
    assert file.read() == heads[2]
    file.advance(heads[3])
    assert file.read() == heads[3]
    (state / "log.head").write_bytes(b"\xff" * 1024)
    assert HeadFile(state).read() is None
    HeadFile(state).advance(heads[4])
    assert HeadFile(state).read() == heads[4]


def test_a_slot_whose_name_is_no_text_counts_as_spoilt(state):
    state.mkdir(mode=0o700)
    file = HeadFile(state)
    heads = [Head("ab" * 16, 1, "o", size, bytes(32)) for size in range(2)]
    file.begin(heads[0])
    content = heads[1].encode()[:480].replace(b"\0\1o\0", b"\0\1\xff\0")
    with (state / "log.head").open("r+b") as slots:
        slots.seek(512)
        slots.write(content + hashlib.sha256(content).digest())
    assert file.read() == heads[0]


def test_threads_that_remember_at_once_leave_the_newest(state, monkeypatch):
    state.mkdir(mode=0o700)
    file = HeadFile(state)
    heads = [Head("ab" * 16, 1, "o", size, bytes(32)) for size in range(7)]
    file.begin(heads[2])
    other = threading.Thread(target=file.advance, args=(heads[6],))
    pread = os.pread

    def overtaken(*arguments):  # between the first thread's look and its writing
        found = pread(*arguments)
        if threading.current_thread() is not other and not other.ident:
            other.start()
            other.join(0.2)  # it cannot end before this thread has
        return found

    monkeypatch.setattr(os, "pread", overtaken)
    file.advance(heads[4])
    other.join()
    assert file.read() == heads[6]


def copied(source, target):
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as two:
        one.backup(two)


def test_a_backup_restored_under_a_writer_is_noticed_by_its_next_append(state, tmp_path):
    db, log = open_state(state)
    with db:
        record(db, log, 3)
        copied(db.path, tmp_path / "backup")
        record(db, log, 2)
        before = (state / "log.head").read_bytes()
        copied(tmp_path / "backup", db.path)
        for _ in range(2):
            with db.transaction() as tx:
                assert code(log.append, tx, "a.b", "", {}) == "audit.log.replaced"
        assert code(log.checkpoint) == "audit.log.replaced"
        assert code(lambda: log.export(tmp_path / "out", tar=False)) == "audit.log.replaced"
        assert (state / "log.head").read_bytes() == before
        assert log.size() == 4
    db, new = open_state(state)
    with db:
        found = continued(db, new).facts
        assert (found["previous_origin"], found["previous_size"]) == (log.origin, 6)
        assert found["reason"] == "restored_backup"


def test_nothing_is_signed_that_cannot_be_remembered_where_the_next_command_looks(opened, state):
    db, log = opened
    record(db, log, 2)
    (state / "log.head").unlink()
    record(db, log, 1)
    assert code(log.checkpoint) == "audit.log.replaced"


def test_a_changed_key_is_noticed_without_a_head(state):
    db, log = open_state(state)
    db.close()
    (state / "log.head").unlink()
    (state / "keys" / "log.key").unlink()
    db, new = open_state(state)
    with db:
        assert new.origin != log.origin
        assert continued(db, new).facts["reason"] == "key_changed"


class Writing(RuleBasedStateMachine):
    """Two handles on one database append, undo and sign: one log, in the order of the commits."""

    def __init__(self):
        super().__init__()
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.handles = [open_state(Path(self.folder.name) / "s") for _ in range(2)]
        self.expected = []

    @rule(which=st.integers(0, 1), count=st.integers(0, 3), undo=st.booleans())
    def append(self, which, count, undo):
        db, log = self.handles[which]
        numbers = [len(self.expected) + place for place in range(count)]
        with suppress(ZeroDivisionError):
            with db.transaction() as tx:
                for number in numbers:
                    assert log.append(tx, "a.b", "", {"n": number}) == number + 1
                1 / (not undo)
            self.expected += numbers

    @rule(which=st.integers(0, 1))
    def sign(self, which):
        check(*self.handles[which])

    @invariant()
    def the_entries_are_those_committed(self):
        _, log = self.handles[0]
        found = [json.loads(log.entry(index)) for index in range(1, log.size())]
        assert [item["facts"]["n"] for item in found] == self.expected

    def teardown(self):
        for db, _ in self.handles:
            db.close()
        self.folder.cleanup()


TestWriting = Writing.TestCase
TestWriting.settings = settings(max_examples=20, stateful_step_count=15, deadline=None)
