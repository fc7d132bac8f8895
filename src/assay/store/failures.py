"""What SQLite's errors mean to a person, as ``StoreError``."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assay.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCARCE_BYTES = 1 << 20
"""With less than this free, an I/O error of a write is the disk being full: SQLite reports a quota and a
failed growth of the shared-memory file as plain I/O errors."""


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn every ``sqlite3.Error`` that leaves the block into the ``StoreError`` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(error, path) from error


_MEANINGS = (
    (
        (sqlite3.SQLITE_FULL,),
        "store.disk.full",
        "There is no room left for the state database {path}; the last change was undone whole.",
        "Free some space (or raise the quota), then run the command again.",
    ),
    (
        (sqlite3.SQLITE_IOERR,),
        "store.disk.io",
        "The disk failed under the state database {path} ({error}); the last change was undone whole.",
        "Check the disk and the process limits (ulimit -f), then run the command again.",
    ),
    (
        (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED),
        "store.database.locked",
        "Another process kept the state database {path} locked for too long.",
        "Wait for the other command to end, then run this one again.",
    ),
    (
        (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB),
        "store.database.corrupt",
        "The state database {path} is damaged, or is not a database.",
        "Keep a copy of the directory, then restore a backup: the log will start a new origin.",
    ),
    (
        (sqlite3.SQLITE_READONLY,),
        "store.database.readonly",
        "The state database {path} cannot be written.",
        "",
    ),
    (
        (sqlite3.SQLITE_CANTOPEN,),
        "store.database.unopenable",
        "The state database {path} cannot be opened.",
        "",
    ),
    ((sqlite3.SQLITE_CONSTRAINT,), "store.constraint", "The state database refused a row: {error}.", ""),
)


_OTHERWISE = ((), "store.database.failed", "The state database {path} failed: {error}.", "")


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """Return the ``StoreError`` for an error of the database at ``path``; the table above holds the codes."""
    extended: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = extended & 0xFF  # Python knows no names for the newer extended codes
    if primary == sqlite3.SQLITE_IOERR and _scarce(path):
        primary = sqlite3.SQLITE_FULL
    _, code, sentence, action = next((item for item in _MEANINGS if primary in item[0]), _OTHERWISE)
    return StoreError(code, sentence.format(path=repr(str(path)), error=error), action=action)


def _scarce(path: Path) -> bool:
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _SCARCE_BYTES or found.f_favail == 0
