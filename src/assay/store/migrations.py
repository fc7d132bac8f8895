"""Schema versions: each room numbers its own steps from 1; one table says which were taken."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from assay.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assay.store.database import Reader, Transaction

VERSIONS = """
CREATE TABLE IF NOT EXISTS schema_versions (
    room TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (room, version)
) STRICT, WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of one room's schema; never changed once released, only followed by the next.

    Attributes:
        room: The room that owns the tables: ``leases``.
        version: 1, 2, 3, ... without a gap.
        statements: SQL statements, run in order in one transaction with all other steps that are due.
    """

    room: str
    version: int
    statements: tuple[str, ...]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the statements, each followed by a zero byte; 32 bytes."""
        return hashlib.sha256(b"".join(text.encode() + b"\0" for text in self.statements)).digest()


def ordered(migrations: Iterable[Migration]) -> tuple[Migration, ...]:
    """Return the steps in the order of their rooms' first appearance, versions ascending.

    Raises:
        StoreError: ``store.schema.invalid`` when a room's versions are not 1, 2, 3, ...
    """
    steps = tuple(migrations)
    rooms = {step.room: place for place, step in reversed(list(enumerate(steps)))}
    found = tuple(sorted(steps, key=lambda step: (rooms[step.room], step.version)))
    for room, group in groupby(found, key=lambda step: step.room):
        versions = [step.version for step in group]
        if versions != list(range(1, len(versions) + 1)):
            raise StoreError("store.schema.invalid", f"The schema versions of room {room!r} are {versions}.")
    return found


def pending(tx: Reader, steps: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return the steps that this database lacks, after checking those that it has.

    Raises:
        StoreError: ``store.schema.newer`` when the database has steps that this code does not know;
            ``store.schema.changed`` when a step that was taken had other statements.
    """
    taken: dict[tuple[str, int], bytes] = {
        (row["room"], row["version"]): row["digest"]
        for row in tx.execute("SELECT room, version, digest FROM schema_versions")
    }
    known = {(step.room, step.version) for step in steps}
    rooms = {step.room for step in steps}
    for room, version in sorted(taken):
        if room in rooms and (room, version) not in known:
            raise StoreError(
                "store.schema.newer",
                f"The state database was written by a newer Assay: {room!r} is at version {version}.",
                action="Use that version of Assay, or another state directory (ASSAY_STATE_DIR).",
                room=room,
                version=version,
            )
    for step in steps:
        if taken.get((step.room, step.version), step.digest) != step.digest:
            raise StoreError(
                "store.schema.changed",
                f"Version {step.version} of {step.room!r} in the state database is not the one of this code.",
                action="Use the Assay that wrote it, or another state directory (ASSAY_STATE_DIR).",
                room=step.room,
                version=step.version,
            )
    return tuple(step for step in steps if (step.room, step.version) not in taken)


def apply(tx: Transaction, steps: Iterable[Migration]) -> None:
    """Take the steps in the caller's transaction and record each."""
    for step in steps:
        for statement in step.statements:
            tx.execute(statement)
        tx.execute("INSERT INTO schema_versions VALUES (?, ?, ?)", (step.room, step.version, step.digest))
