"""The bundle: the workload's files, named by one digest.

Listing, all integers big-endian:

    domain      u32 length, ``assay/bundle/v1``
    count       u32 number of entries
    entry       u8 kind (1 directory, 2 file, 3 link), u32 mode (permission bits), u64 size,
                u32 length, path; u32 length, SHA-256 of the contents (file), target (link) or nothing
                (directory)

Entries are sorted by the bytes of their paths, which are unique, relative, and never lead through a file or a
link. A directory stands in the listing when its own mode matters or it is empty; the others follow from the
paths. The digest of a bundle is the SHA-256 of its listing. On the wire the listing, with its length before
it as u64, is followed by the contents of the files in the listing's order.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from assay.errors import WorkloadError
from assay.workload.paths import MAX_PATH_BYTES, check_link, check_relative

DOMAIN = b"assay/bundle/v1"
DIGEST_BYTES = 32
_ENTRY = struct.Struct(">BIQI")
_LENGTH = struct.Struct(">I")
_MIN_ENTRY_BYTES = _ENTRY.size + 1 + _LENGTH.size


class Kind(IntEnum):
    """What an entry is."""

    DIRECTORY = 1
    FILE = 2
    LINK = 3


@dataclass(frozen=True, slots=True)
class BundleLimits:
    """Bounds of a bundle, tested before anything of it is stored.

    Attributes:
        entries: Number of entries.
        listing_bytes: Size of the listing.
        total_bytes: Sum of the sizes of all files.
    """

    entries: int = 200_000
    listing_bytes: int = 64 << 20
    total_bytes: int = 8 << 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a listing.

    Attributes:
        path: Below the root, the name's own bytes.
        kind: What it is.
        mode: Permission bits, 0 to 0o777; 0o777 for a link.
        size: Bytes of a file; 0 otherwise.
        content: SHA-256 of a file, target of a link, empty for a directory.
    """

    path: bytes
    kind: Kind
    mode: int
    size: int
    content: bytes

    def __post_init__(self) -> None:
        check_relative(self.path)
        if not 0 <= self.mode <= 0o777 or not 0 <= self.size < 1 << 63:
            raise _malformed("a mode or size is out of range")
        if self.kind is not Kind.FILE and self.size:
            raise _malformed("only a file has a size")
        if self.kind is Kind.LINK:
            if self.mode != 0o777:
                raise _malformed("a link has the mode 0777")
            check_link(self.path, self.content)
        elif len(self.content) != (DIGEST_BYTES if self.kind is Kind.FILE else 0):
            raise _malformed("an entry's content field has the wrong size")


@dataclass(frozen=True, slots=True)
class Listing:
    """All entries of a bundle, in order.

    Attributes:
        entries: Sorted by path, unique; no entry lies below a file or a link.
    """

    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        barred: set[bytes] = set()
        last = b""
        for entry in self.entries:
            if entry.path <= last:
                raise _malformed("its entries are not sorted, or one path stands twice")
            last = entry.path
            at = entry.path.find(b"/")
            while at >= 0:
                if entry.path[:at] in barred:
                    raise _malformed("an entry lies below a file or a link")
                at = entry.path.find(b"/", at + 1)
            if entry.kind is not Kind.DIRECTORY:
                barred.add(entry.path)

    @classmethod
    def of(cls, entries: list[Entry]) -> Listing:
        """Return the listing of ``entries``, sorted."""
        return cls(tuple(sorted(entries, key=lambda entry: entry.path)))

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        parts = [_LENGTH.pack(len(DOMAIN)), DOMAIN, _LENGTH.pack(len(self.entries))]
        for entry in self.entries:
            parts += (
                _ENTRY.pack(entry.kind, entry.mode, entry.size, len(entry.path)),
                entry.path,
                _LENGTH.pack(len(entry.content)),
                entry.content,
            )
        return b"".join(parts)

    def digest(self) -> bytes:
        """Return the bundle's digest, SHA-256 of the canonical bytes, 32 bytes."""
        return hashlib.sha256(self.encode()).digest()

    def total_bytes(self) -> int:
        """Return the sum of the sizes of all files."""
        return sum(entry.size for entry in self.entries)

    @classmethod
    def decode(cls, data: bytes, limits: BundleLimits) -> Listing:
        """Return the listing whose canonical bytes are exactly ``data``.

        Raises:
            WorkloadError: ``workload.bundle.malformed``, ``workload.bundle.limit``, ``workload.path.unsafe``,
                ``workload.link.leaves_tree``.
        """
        if len(data) > limits.listing_bytes:
            raise limit("its listing is too large")
        head = _LENGTH.pack(len(DOMAIN)) + DOMAIN
        if not data.startswith(head) or len(data) < len(head) + _LENGTH.size:
            raise _malformed("its domain is wrong")
        (count,) = _LENGTH.unpack_from(data, len(head))
        if count > limits.entries:
            raise limit("it has too many entries")
        offset = len(head) + _LENGTH.size
        if count * _MIN_ENTRY_BYTES > len(data) - offset:
            raise _malformed("it is shorter than its count says")
        entries = []
        total = 0
        for _ in range(count):
            entry, offset = _decode_entry(data, offset)
            total += entry.size
            if total > limits.total_bytes:
                raise limit("its files are too large")
            entries.append(entry)
        if offset != len(data):
            raise _malformed("bytes follow its last entry")
        return cls(tuple(entries))


EMPTY = Listing(())


def _decode_entry(data: bytes, offset: int) -> tuple[Entry, int]:
    try:
        kind, mode, size, length = _ENTRY.unpack_from(data, offset)
        offset += _ENTRY.size
        if length > MAX_PATH_BYTES:
            raise _malformed("a path is too long")
        path = data[offset : offset + length]
        offset += length
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        if length > MAX_PATH_BYTES or offset + length > len(data):
            raise _malformed("an entry is cut short")
        return Entry(path, Kind(kind), mode, size, data[offset : offset + length]), offset + length
    except (struct.error, ValueError) as error:
        raise _malformed("an entry is cut short or of an unknown kind") from error


def limit(why: str) -> WorkloadError:
    """Return the error for a bundle over one of its bounds."""
    return WorkloadError("workload.bundle.limit", f"The bundle is refused: {why}.")


def _malformed(why: str) -> WorkloadError:
    return WorkloadError("workload.bundle.malformed", f"The bundle is malformed: {why}.")
