"""The log: appends against bare SQLite commits, and how export and verification grow with its length."""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from assay.audit import MIGRATIONS, Event, Log, LogKey
from assay.audit.verify import verify_export
from assay.store import Database
from table import Row, smoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ORIGIN = "log.example/bench"
FACTS = {"manifest": "ab" * 32, "evidence": "cd" * 32, "code": "gate.passed", "attempt": 1}
LEASE = "7f3a2c1e9b84d605"


def rows() -> Iterable[Row]:
    build = Path(__file__).parent.parent / "build"  # a disk: what is temporary is often memory
    build.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-log-", dir=build))
    try:
        yield from _appends(folder)
        for exponent in (3, 4) if smoke() else (3, 4, 5, 6):
            yield from _growth(folder, 10**exponent, limit=10.0 if exponent == 6 else None)
    finally:
        shutil.rmtree(folder)


def _appends(folder: Path) -> Iterable[Row]:
    """Full-sync commits in batches by turns, so that both see the same disk and the same neighbours."""
    state = folder / "state"
    with Database.open(state, migrations=MIGRATIONS) as db:
        log = Log.open(db, LogKey.open(state), ORIGIN)

        def append() -> None:
            with db.transaction() as tx:
                log.append(tx, "evidence.admitted", LEASE, FACTS)

        append()
        entry = log.entry(1)
        bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
        bare.execute("PRAGMA journal_mode = WAL")
        bare.execute("PRAGMA synchronous = FULL")
        bare.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, entry BLOB) STRICT")

        def commit() -> None:
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("INSERT INTO entries (entry) VALUES (?)", (entry,))
            bare.execute("COMMIT")

        rounds = 3 if smoke() else 60
        times: dict[str, list[float]] = {"bare": [], "log": []}
        for _ in range(rounds):
            times["bare"].append(_timed(commit, 50))
            times["log"].append(_timed(append, 50))
        bare.close()
    name = "log: bare SQLite full-sync commit"
    yield Row(name, statistics.median(times["bare"]), rounds, note=f"{len(entry)} bytes a row")
    yield Row("log: append", statistics.median(times["log"]), rounds, against=name, at_most=1 / 0.7)


def _growth(folder: Path, size: int, *, limit: float | None) -> Iterable[Row]:
    state = folder / f"state-{size}"
    target = folder / f"export-{size}"
    with Database.open(state, migrations=MIGRATIONS) as db:
        log = Log.open(db, LogKey.open(state), ORIGIN)
        with db.transaction() as tx:
            events = (Event("evidence.admitted", LEASE, {**FACTS, "n": n}) for n in range(size - 1))
            log.append_many(tx, events)
        exported = _timed(lambda: log.export(target, tar=True), 1)
        key = LogKey.open(state).verifier(log.origin)
    shutil.rmtree(state)
    rounds = 1 if size >= 10**5 else 5
    verified = [_timed(lambda: verify_export(target, vkey=key, memory=None), 1) for _ in range(rounds)]
    megabytes = target.stat().st_size / 1e6
    target.unlink()
    note = f"{megabytes:.1f} MB"
    yield Row(f"log: export of {size:,} entries", exported, 1, note=note)
    yield Row(
        f"log: verification of {size:,} entries", statistics.median(verified), rounds, limit=limit, note=note
    )


def _timed(operation: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        operation()
    return (time.perf_counter() - began) / count
