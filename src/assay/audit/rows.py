"""The tree of one log as its rows in the database give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.audit.merkle import CompactRange, subtree_hash
from assay.audit.tiles import HEIGHT
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.store.database import Reader


SEQ_BITS: Final = 40


def place(number: int, seq: int) -> int:
    """Return the key of one entry: those of a log are neighbours, and each new one is the last of its log."""
    return number << SEQ_BITS | seq


class RowTree:
    """Entries and hashes of one log; good as long as the reader it was made with."""

    __slots__ = ("_number", "_view")

    def __init__(self, view: Reader, number: int) -> None:
        self._view = view
        self._number = number

    def entry(self, index: int) -> bytes:
        """Return one entry.

        Raises:
            AuditError: ``audit.proof.range``.
        """
        found = self.entries(index, index + 1)
        if not found:
            raise AuditError("audit.proof.range", f"The log has no entry {index}.")
        return found[0]

    def entries(self, low: int, high: int) -> list[bytes]:
        """Return the entries from ``low`` up to, not including, ``high``."""
        rows = self._view.execute(
            "SELECT entry FROM audit_entries WHERE place >= ? AND place < ? ORDER BY place",
            (place(self._number, low), place(self._number, high)),
        )
        return [row[0] for row in rows]

    def hashes(self, level: int, low: int, high: int) -> list[bytes]:
        """Return the hashes of the subtrees of height ``8 * level`` from index ``low`` up to ``high``."""
        if level == 0:
            rows = self._view.execute(
                "SELECT leaf FROM audit_entries WHERE place >= ? AND place < ? ORDER BY place",
                (place(self._number, low), place(self._number, high)),
            )
        else:
            rows = self._view.execute(
                "SELECT hash FROM audit_nodes WHERE log = ? AND level = ? AND place >= ? AND place < ?"
                " ORDER BY place",
                (self._number, level, low, high),
            )
        return [row[0] for row in rows]

    def size(self) -> int:
        """Return the number of entries."""
        row = self._view.one(
            "SELECT seq FROM audit_entries WHERE place >= ? AND place < ? ORDER BY place DESC LIMIT 1",
            (place(self._number, 0), place(self._number + 1, 0)),
        )
        return 0 if row is None else int(row[0]) + 1

    def compact(self, size: int) -> CompactRange:
        """Return the compact range of the first ``size`` entries. Raises as ``subtree``."""
        bits = [height for height in range(size.bit_length() - 1, -1, -1) if size >> height & 1]
        return CompactRange(size, [self.subtree(height, (size >> height) - 1) for height in bits])

    def bundles(self, size: int) -> Iterator[tuple[int, list[bytes]]]:
        """Yield (index, entries) of each bundle of the first ``size`` entries, at most 256 in each."""
        for index in range(0, size, 1 << HEIGHT):
            yield index >> HEIGHT, self.entries(index, min(size, index + (1 << HEIGHT)))

    def subtree(self, height: int, index: int) -> bytes:
        """Return the hash of a complete subtree.

        Raises:
            AuditError: ``audit.log.damaged`` when rows of it are missing.
        """
        level, above = divmod(height, HEIGHT)
        hashes = self.hashes(level, index << above, (index + 1) << above)
        if len(hashes) != 1 << above:
            raise AuditError(
                "audit.log.damaged",
                "Entries of the log are missing from the state database.",
                action="Restore a backup: the log will go on under a new origin that names this one.",
            )
        return subtree_hash(hashes)
