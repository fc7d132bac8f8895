from __future__ import annotations

import os
import sqlite3
import stat
import threading

import pytest

from assay.errors import StoreError
from assay.store import Database, Migration
from assay.store.database import PAGE_BYTES
from support.audit_children import finish, kill, spawn

NUMBERS = (Migration("numbers", 1, ("CREATE TABLE numbers (n INTEGER UNIQUE, text TEXT) STRICT",)),)


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def db(state):
    with Database.open(state, migrations=NUMBERS) as found:
        yield found


def numbers(db):
    with db.read() as view:
        return [row["n"] for row in view.execute("SELECT n FROM numbers ORDER BY n")]


def refused(call):
    with pytest.raises(StoreError) as caught:
        call()
    return caught.value.code


def test_what_is_committed_is_there_for_the_next_process(db, state):
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (?, ?)", (1, "one"))
    with Database.open(state, migrations=NUMBERS) as again:
        assert numbers(again) == [1]
        assert again.installation == db.installation


def test_settings_that_durability_rests_on(db):
    with db.read() as view:
        assert view.one("PRAGMA journal_mode")[0] == "wal"
        assert view.one("PRAGMA synchronous")[0] == 2
        assert view.one("PRAGMA foreign_keys")[0] == 1
        assert view.one("PRAGMA secure_delete")[0] == 1


def test_an_exception_undoes_everything_and_runs_no_hook(db):
    ran = []

    def fail():
        with db.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (1, '')")
            tx.after_commit(lambda: ran.append("hook"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert numbers(db) == []
    assert ran == []


def test_hooks_run_after_the_commit_in_order_and_only_the_newest_of_a_key(db, state):
    ran = []
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (1, '')")
        tx.after_commit(lambda: ran.append(_committed(state)))
        tx.after_commit(lambda: ran.append("old"), instead_of="key")
        tx.after_commit(lambda: ran.append("new"), instead_of="key")
        assert ran == []
    assert ran == [[1], "new"]


def _committed(state):
    with Database.open(state, migrations=NUMBERS) as other:
        return numbers(other)


def test_a_hook_that_fails_undoes_nothing_and_stops_no_other_hook(db):
    ran = []

    def change():
        with db.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (1, '')")
            tx.after_commit(lambda: 1 / 0)
            tx.after_commit(lambda: ran.append("second"))

    with pytest.raises(ZeroDivisionError):
        change()
    assert numbers(db) == [1]
    assert ran == ["second"]


def test_a_refused_row_leaves_the_transaction_alive(db):
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (1, '')")
        for row in ("(1, '')", "('x', '')"):
            assert (
                refused(lambda sql=f"INSERT INTO numbers VALUES {row}": tx.execute(sql)) == "store.constraint"
            )
        tx.execute("INSERT INTO numbers VALUES (2, '')")
    assert numbers(db) == [1, 2]


def test_transactions_do_not_nest_and_do_not_outlive_their_block(db):
    with db.transaction() as tx:
        with pytest.raises(StoreError, match="inside another"), db.transaction():
            pass
        with pytest.raises(StoreError, match="inside another"), db.read():
            pass
    assert refused(lambda: tx.execute("SELECT 1")) == "store.transaction.closed"
    assert refused(lambda: tx.after_commit(print)) == "store.transaction.closed"


def test_threads_have_connections_of_their_own_and_wait_for_each_other(db):
    def add(start):
        for number in range(start, start + 25):
            with db.transaction() as tx:
                tx.execute("INSERT INTO numbers VALUES (?, '')", (number,))

    threads = [threading.Thread(target=add, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers(db)) == 75


def test_a_read_is_of_one_moment(db, state):
    with db.read() as view:
        assert view.one("SELECT count(*) FROM numbers")[0] == 0
        with Database.open(state, migrations=NUMBERS) as other, other.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (1, '')")
        assert view.one("SELECT count(*) FROM numbers")[0] == 0
    assert numbers(db) == [1]


def test_a_lock_held_too_long_is_a_typed_error_and_the_next_request_works(state):
    with (
        Database.open(state, migrations=NUMBERS) as holder,
        Database.open(state, migrations=NUMBERS, busy_seconds=0.05) as waiter,
    ):
        with holder.transaction():

            def insert():
                with waiter.transaction():
                    pass

            assert refused(insert) == "store.database.locked"
        with waiter.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (1, '')")
        assert numbers(holder) == [1]


def test_a_full_database_is_a_typed_error_nothing_is_lost_and_the_next_request_works(db):
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (1, 'kept')")
    with db.read() as view:
        pages = view.one("PRAGMA page_count")[0]
        view.execute(f"PRAGMA max_page_count = {pages + 2}")

    def fill():
        with db.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (2, 'undone')")
            tx.execute("INSERT INTO numbers VALUES (3, ?)", ("x" * 100_000,))

    assert refused(fill) == "store.disk.full"
    assert numbers(db) == [1]
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (4, '')")
    assert numbers(db) == [1, 4]


def test_after_a_full_disk_nothing_more_is_committed_statement_by_statement(db):
    with db.read() as view:
        view.execute(f"PRAGMA max_page_count = {view.one('PRAGMA page_count')[0] + 1}")

    def fill():
        with db.transaction() as tx:
            try:
                tx.execute("INSERT INTO numbers VALUES (1, ?)", ("x" * 100_000,))
            except StoreError:
                tx.execute("INSERT INTO numbers VALUES (2, '')")

    assert refused(fill) == "store.transaction.closed"
    assert numbers(db) == []


LIMITED = """
import resource, signal, sys
from pathlib import Path
from assay.errors import StoreError
from assay.store import Database, Migration
steps = (Migration("numbers", 1, ("CREATE TABLE numbers (n INTEGER UNIQUE, text TEXT) STRICT",)),)
with Database.open(Path(sys.argv[1]), migrations=steps) as db:
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (1, 'kept')")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, old[1]))
    try:
        with db.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (2, ?)", ("x" * 1_000_000,))
    except StoreError as error:
        print(error.code)
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (3, 'next')")
    with db.read() as view:
        print([row[0] for row in view.execute("SELECT n FROM numbers")])
"""


def test_a_limit_on_the_file_size_in_the_middle_of_a_commit(state):
    assert finish(spawn(LIMITED, str(state))) == "store.disk.io\n[1, 3]\n"


def test_a_damaged_file_is_a_typed_error(db, state):
    with db.transaction() as tx:
        tx.executemany("INSERT INTO numbers VALUES (?, ?)", [(n, "x" * 500) for n in range(500)])
    db.flush()
    db.close()
    intact = (state / "assay.db").read_bytes()
    spoilt = intact[: 4 * PAGE_BYTES].ljust(len(intact), b"\xff")
    (state / "assay.db").write_bytes(spoilt)

    def read():
        with Database.open(state, migrations=NUMBERS) as again:
            numbers(again)

    assert refused(read) == "store.database.corrupt"


def test_a_commit_of_one_small_row_writes_few_bytes(db, state):
    log = state / "assay.db-wal"
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (1, 'a')")
    before = log.stat().st_size
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (2, 'b')")
    assert log.stat().st_size - before == 2 * (PAGE_BYTES + 24)  # a page of the table, one of its index


def test_something_that_is_no_database(state):
    state.mkdir(mode=0o700)
    (state / "assay.db").write_bytes(b"this is not a database" * 100)
    (state / "assay.db").chmod(0o600)
    assert refused(lambda: Database.open(state, migrations=NUMBERS)) == "store.database.corrupt"


def test_the_database_of_another_program_is_not_touched(state):
    state.mkdir(mode=0o700)
    path = state / "assay.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.close()
    path.chmod(0o600)
    before = path.read_bytes()
    assert refused(lambda: Database.open(state, migrations=NUMBERS)) == "store.database.foreign"
    assert path.read_bytes() == before


def test_a_child_of_a_fork_does_not_use_the_parents_connections(db):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, refused(db.transaction).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"store.database.forked"
    os.close(reader)


def test_the_file_is_private_whatever_the_umask(state):
    old = os.umask(0)
    try:
        with Database.open(state, migrations=NUMBERS) as db, db.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (1, '')")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()}
    finally:
        os.umask(old)
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert modes == {"assay.db": 0o600, "assay.db-wal": 0o600, "assay.db-shm": 0o600}


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660])
def test_a_file_that_others_may_use_is_refused(db, state, mode):
    (state / "assay.db").chmod(mode)
    assert refused(lambda: Database.open(state, migrations=NUMBERS)) == "store.file.mode"


def test_a_file_that_is_a_link_is_refused(tmp_path, db, state):
    db.close()
    (state / "assay.db").rename(tmp_path / "elsewhere")
    (state / "assay.db").symlink_to(tmp_path / "elsewhere")
    assert refused(lambda: Database.open(state, migrations=NUMBERS)) == "store.file.kind"


def test_flush_leaves_no_deleted_bytes(db, state):
    secret = "kept-for-a-while-" * 20
    with db.transaction() as tx:
        tx.execute("INSERT INTO numbers VALUES (1, ?)", (secret,))
    with db.transaction() as tx:
        tx.execute("DELETE FROM numbers")
    db.flush()
    assert all(secret.encode() not in path.read_bytes() for path in state.iterdir())


CRASHING = """
import sys
from pathlib import Path
from assay.store import Database, Migration
steps = (Migration("numbers", 1, ("CREATE TABLE numbers (n INTEGER UNIQUE, text TEXT) STRICT",)),)
with Database.open(Path(sys.argv[1]), migrations=steps) as db:
    with db.read() as view:
        start = view.one("SELECT coalesce(max(n), 0) FROM numbers")[0]
    for n in range(start + 1, 100_000, 2):
        with db.transaction() as tx:
            tx.execute("INSERT INTO numbers VALUES (?, ?)", (n, "x" * 2000))
            tx.execute("INSERT INTO numbers VALUES (?, ?)", (n + 1, "x" * 2000))
        print(n + 1, flush=True)
"""


def test_what_was_reported_survives_kill_9_and_halves_never_appear(state):
    for wanted in (1, 3, 10, 30):
        child = spawn(CRASHING, str(state))
        reported = 0
        for _ in range(wanted):
            reported = int(child.stdout.readline())
        kill(child)
        with Database.open(state, migrations=NUMBERS) as db:
            found = numbers(db)
        assert found == list(range(1, len(found) + 1))
        assert len(found) % 2 == 0
        assert len(found) >= reported


def test_many_processes_may_create_the_database_at_once(state):
    code = CRASHING.split("    with db.read", maxsplit=1)[0] + "    print(db.installation)\n"
    children = [spawn(code, str(state)) for _ in range(6)]
    assert len({finish(child) for child in children}) == 1
