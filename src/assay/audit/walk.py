"""The pass over an export that recomputes everything: tiles, root hash, entry chain, entry form.

One bundle is in memory at a time. The loop over entries is the cost of verifying a log: it checks each with
one regular expression, compares its numbers, and parses none but those with long facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from assay.audit import layout
from assay.audit.entry import CANONICAL, FACT_NAMES, LONGEST_STRING, NO_PREVIOUS, decode
from assay.audit.merkle import HASH_BYTES, CompactRange, subtree_hash
from assay.audit.tiles import HEIGHT, LARGEST_BUNDLE, WIDTH, decode_bundle, tile_path, widths
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.audit.archive import Source


class TreeWalk:
    """Recomputes the tree from the bundles and compares every tile with it.

    Attributes:
        roots: The root hash at each size that was asked for, once the walk has passed it.
    """

    def __init__(self, source: Source, size: int, wanted: Iterable[int]) -> None:
        self._source = source
        self._size = size
        self._wanted = sorted({size for size in wanted if 0 <= size <= self._size})
        self._range = CompactRange()
        self._levels: list[list[bytes]] = [[]]
        self._tiles: list[int] = [0]
        self.roots: dict[int, bytes] = {}

    def bundles(self) -> Iterable[tuple[list[bytes], list[bytes]]]:
        """Yield the entries of each bundle and their leaf hashes, after comparing them with their tile.

        Raises:
            AuditError: ``audit.tree.tile``; ``audit.format.bundle``, ``audit.format.missing``,
                ``audit.format.size``, ``audit.format.unreadable``.
        """
        self._note_roots([])
        for index, width in widths(self._size):
            data = self._source.read(tile_path(None, index, width), LARGEST_BUNDLE)
            entries = decode_bundle(data, width)
            hashes = [sha256(b"\0" + entry).digest() for entry in entries]
            self._note_roots(hashes)
            self._grow(hashes)
            yield entries, hashes
        for level, hashes in enumerate(self._levels):
            if hashes:
                self._compare(level, hashes)

    def root(self) -> bytes:
        """Return the root hash of what was walked over."""
        return self._range.root()

    def _grow(self, hashes: list[bytes]) -> None:
        if len(hashes) < WIDTH:
            for digest in hashes:
                self._range.append(digest)
            self._levels[0] = hashes
            return
        self._compare(0, hashes)
        top = subtree_hash(hashes)
        self._range.append(top, HEIGHT)
        level = 1
        while True:
            if level == len(self._levels):
                self._levels.append([])
                self._tiles.append(0)
            full = self._levels[level]
            full.append(top)
            if len(full) < WIDTH:
                return
            self._compare(level, full)
            top = subtree_hash(full)
            full.clear()
            level += 1

    def _compare(self, level: int, hashes: list[bytes]) -> None:
        path = tile_path(level, self._tiles[level], len(hashes))
        if self._source.read(path, WIDTH * HASH_BYTES) != b"".join(hashes):
            raise AuditError("audit.tree.tile", f"The hashes in {path!r} are not those of the entries.")
        self._tiles[level] += 1

    def _note_roots(self, ahead: list[bytes]) -> None:
        reach = self._range.size + len(ahead)
        while self._wanted and self._wanted[0] <= reach:
            size = self._wanted.pop(0)
            grown = self._range.copy()
            for digest in ahead[: size - grown.size]:
                grown.append(digest)
            self.roots[size] = grown.root()


@dataclass(slots=True)
class EntryWalk:
    """Checks that entries are ours, in canonical form, numbered and chained.

    Attributes:
        unnamed: Digests of attachments that no entry has named so far, hexadecimal.
        first: The first entry, when there was one.
        first_time: Its time, RFC 3339 in UTC.
        reversals: How often an entry's time lies before that of the entry before it.
    """

    unnamed: set[bytes]
    first: bytes = b""
    first_time: str = ""
    reversals: int = 0
    _seq: int = 0
    _prev: bytes = NO_PREVIOUS.encode()
    _day: bytes = b""
    _hour: bytes = b""
    _dates: set[bytes] = field(default_factory=set)

    def take(self, entries: list[bytes], hashes: list[bytes]) -> None:
        """Check the entries of one bundle.

        Raises:
            AuditError: ``audit.format.entry``; ``audit.format.chain``.
        """
        seq, prev, day, hour = self._seq, self._prev, self._day, self._hour
        match, names_in = CANONICAL.fullmatch, FACT_NAMES.findall
        for entry, digest in zip(entries, hashes, strict=True):
            found = match(entry)
            if found is None:
                raise _bad_entry(seq)
            facts, stated, number, date, time = found.group(1, 4, 5, 6, 7)
            if stated != prev or int(number) != seq:
                raise AuditError(
                    "audit.format.chain", f"Entry {seq} does not follow the one before it.", seq=seq
                )
            names = names_in(facts)
            if names != sorted(set(names)):
                raise _bad_entry(seq)
            if len(facts) > LONGEST_STRING or (date != day and date not in self._dates):
                decode(entry)
                self._dates.add(date)
            if self.unnamed:
                self.unnamed.difference_update(pair[1] for pair in layout.DIGEST_FACT.findall(facts))
            if (date, time) < (day, hour):
                self.reversals += 1
            day, hour = date, time
            prev = digest.hex().encode()
            seq += 1
        self._check_encoding(entries, self._seq)
        if self._seq == 0 and entries:
            self.first = entries[0]
            self.first_time = (
                decode(self.first).time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            )
        self._seq, self._prev, self._day, self._hour = seq, prev, day, hour

    @property
    def last_time(self) -> str:
        """Time of the last entry, RFC 3339 in UTC; empty when there was none."""
        return (self._day + self._hour).decode()

    @staticmethod
    def _check_encoding(entries: list[bytes], first: int) -> None:
        try:
            b"".join(entries).decode()
        except UnicodeDecodeError:
            for place, entry in enumerate(entries):
                if not entry.isascii():
                    _check_text(entry, first + place)
            raise


def _check_text(entry: bytes, seq: int) -> None:
    try:
        entry.decode()
    except UnicodeDecodeError:
        raise _bad_entry(seq) from None


def _bad_entry(seq: int) -> AuditError:
    return AuditError("audit.format.entry", f"Entry {seq} does not have the form that Assay writes.", seq=seq)
