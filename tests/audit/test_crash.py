"""The log under kill -9, several writers and a disk that fills up: whole, in order, and never forked."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
from contextlib import suppress

import pytest

from assay.audit import Checkpoint, LogKey, entry, merkle, note
from assay.audit.rows import RowTree
from assay.audit.verify import verify_export
from assay.errors import StoreError
from support.audit_children import finish, kill, spawn
from support.audit_logs import ORIGIN, open_state

OPEN = f"""
import resource, signal, sys
from pathlib import Path
from assay.audit import MIGRATIONS, Log, LogKey
from assay.errors import AssayError
from assay.store import Database
state = Path(sys.argv[1])
db = Database.open(state, migrations=MIGRATIONS)
log = Log.open(db, LogKey.open(state), {ORIGIN!r})
"""
WRITING = (
    OPEN
    + """
print(log.origin, flush=True)
for number in range(100_000):
    with db.transaction() as tx:
        log.append(tx, "a.b", sys.argv[2], {"n": number})
        log.append(tx, "a.c", sys.argv[2], {"n": number})
    print(number, flush=True)
    if number % 7 == 0:
        sys.stdout.buffer.write(log.checkpoint().replace(b"\\n", b"|") + b"\\n")
        sys.stdout.flush()
"""
)


def read_all(db, log):
    with db.read() as view:
        tree = RowTree(view, 1)
        raw = tree.entries(0, tree.size())
    leaves = [merkle.leaf_hash(data) for data in raw]
    found = [entry.decode(data) for data in raw]
    assert [item.seq for item in found] == list(range(len(found)))
    assert [item.prev for item in found[1:]] == [leaf.hex() for leaf in leaves[:-1]]
    return leaves, found


def roots(leaves):
    grown = merkle.CompactRange()
    yield grown.root()
    for leaf in leaves:
        grown.append_leaf(leaf)
        yield grown.root()


def test_kill_9_at_random_points_loses_no_reported_entry_and_forks_nothing(tmp_path):
    state = tmp_path / "state"
    choose = random.Random(20261121)
    reported: list[tuple[str, int]] = []
    signed: list[Checkpoint] = []
    for run in range(12):
        child = spawn(WRITING, str(state), f"run{run}")
        origin = child.stdout.readline().decode().strip()
        for _ in range(choose.randrange(1, 40)):
            line = child.stdout.readline()
            if line.strip().isdigit():
                reported.append((f"run{run}", int(line)))
            else:
                data = line[:-1].replace(b"|", b"\n")
                text, _ = note.open_note(data, [LogKey.open(state).verifier(origin)])
                signed.append(Checkpoint.decode(text))
        kill(child)
    db, log = open_state(state)
    with db:
        leaves, found = read_all(db, log)
        assert {item.origin for item in signed} == {log.origin}, "a crash is no reason for a new origin"
        log.export(tmp_path / "e", tar=False)
    kept = {(item.lease, item.facts["n"], item.kind) for item in found[1:]}
    assert len(kept) == len(found) - 1
    assert kept >= {(*key, kind) for key in reported for kind in ("a.b", "a.c")}
    known = list(roots(leaves))
    assert all(known[item.size] == item.root for item in signed)
    assert verify_export(tmp_path / "e", vkey=LogKey.open(state).verifier(log.origin), memory=None)


def test_writers_in_several_processes_make_one_log(tmp_path):
    state = tmp_path / "state"
    open_state(state)[0].close()
    code = WRITING.replace("100_000", "60") + "\nprint('done')\n"
    children = [spawn(code, str(state), f"writer{number}") for number in range(3)]
    for child in children:
        assert finish(child).splitlines()[-1] == "done"
    db, log = open_state(state)
    with db:
        _, found = read_all(db, log)
    assert len(found) == 1 + 3 * 60 * 2
    for number in range(3):
        mine = [item.facts["n"] for item in found if item.lease == f"writer{number}" and item.kind == "a.b"]
        assert mine == list(range(60))


FILLING = (
    OPEN
    + """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
old = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), old[1]))
done = 0
try:
    while True:
        with db.transaction() as tx:
            log.append(tx, "a.b", "", {"n": done, "x": "y" * 500})
        done += 1
except AssayError as error:
    print(error.code, done)
resource.setrlimit(resource.RLIMIT_FSIZE, old)
with db.transaction() as tx:
    log.append(tx, "a.b", "", {"n": done})
print(log.size())
"""
)


@pytest.mark.parametrize("limit", [150_000, 153_000, 160_000, 300_001])
def test_no_room_in_the_middle_of_an_append(tmp_path, limit):
    state = tmp_path / "state"
    open_state(state)[0].close()
    first, second = finish(spawn(FILLING, str(state), str(limit))).splitlines()
    code, done = first.split()
    assert code in {"store.disk.io", "store.disk.full"}
    assert int(second) == 1 + int(done) + 1
    db, log = open_state(state)
    with db:
        _, found = read_all(db, log)
    assert [item.facts["n"] for item in found[1:]] == list(range(int(done) + 1))


SMALL_DISK = (
    OPEN
    + """
done = 0
try:
    while True:
        with db.transaction() as tx:
            log.append(tx, "a.b", "", {"n": done, "x": "y" * 500})
        done += 1
except AssayError as error:
    print(error.code, done)
(state.parent / "ballast").unlink()
with db.transaction() as tx:
    log.append(tx, "a.b", "", {"n": done})
log.checkpoint()
print(log.size() - 2 - done)
"""
)


def test_a_disk_that_is_full(tmp_path):
    script = """
set -e
mount -t tmpfs -o size=2m none "$1"
dd if=/dev/zero of="$1/ballast" bs=64k count=4 2>/dev/null
exec "$2" -c "$3" "$1/state"
"""
    import os
    import sys

    from support.audit_children import SOURCE

    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", tmp_path, sys.executable, SMALL_DISK],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    if done.returncode != 0 and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()[:100]}")
    assert done.returncode == 0, done.stderr
    code, count, rest = done.stdout.split()
    assert (code, rest) == ("store.disk.full", "0")
    assert int(count) > 100


def test_interrupts_between_any_two_lines_leave_a_log_that_goes_on(tmp_path):
    """SQLite is interrupted at each of its steps, and not even allowed to roll back."""
    db, log = open_state(tmp_path / "state")
    with db:
        for steps in range(1, 400):
            with db.read() as view:
                connection = view._connection
            calls = iter([0] * (steps - 1) + [1] * 10_000)
            connection.set_progress_handler(lambda calls=calls: next(calls), 1)
            with suppress(StoreError), db.transaction() as tx:
                log.append(tx, "a.b", "", {"n": steps})
            with suppress(sqlite3.ProgrammingError):  # it was given up
                connection.set_progress_handler(None, 1)
        with db.transaction() as tx:
            log.append(tx, "a.b", "", {"n": -1})
        _, found = read_all(db, log)
        assert found[-1].facts == {"n": -1}
        assert 20 < found[1].facts["n"] <= 350, "some were interrupted, some were not"


def test_a_terminated_writer_leaves_no_lock(tmp_path):
    state = tmp_path / "state"
    child = spawn(
        OPEN + "tx = db.transaction().__enter__(); print('in', flush=True); signal.pause()", str(state)
    )
    assert child.stdout.readline() == b"in\n"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    db, log = open_state(state, busy_seconds=0.1)
    with db, db.transaction() as tx:
        log.append(tx, "a.b", "", {})
