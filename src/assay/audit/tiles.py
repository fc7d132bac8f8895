"""Paths and bundles of a tiled log (C2SP tlog-tiles): tiles of height 8, 256 hashes or entries each.

``tile/<level>/<index>`` holds up to 256 hashes of the complete subtrees of height ``8 * level``;
``tile/entries/ <index>`` up to 256 entries, each after its length (16 bits, big-endian). The last of a level
is partial: ``<index>.p/<width>``. The index is written in groups of three digits, all but the last with an
``x`` before them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDTH = 256
HEIGHT = 8
_LARGEST_ENTRY = 65535
LARGEST_BUNDLE = WIDTH * (2 + _LARGEST_ENTRY)


def tile_path(level: int | None, index: int, width: int) -> str:
    """Return the path of a tile of ``width`` hashes, or of an entry bundle when ``level`` is None."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    name = "/".join(reversed(groups))
    kind = "entries" if level is None else str(level)
    return f"tile/{kind}/{name}" + ("" if width == WIDTH else f".p/{width}")


def levels(size: int) -> Iterator[tuple[int, int]]:
    """Yield (level, number of hashes in it) of the tiles of a log of ``size`` entries."""
    level = 0
    while size:
        yield level, size
        size >>= HEIGHT
        level += 1


def widths(count: int) -> Iterator[tuple[int, int]]:
    """Yield (index, width) of the tiles that hold ``count`` hashes or entries."""
    full, rest = divmod(count, WIDTH)
    for index in range(full):
        yield index, WIDTH
    if rest:
        yield full, rest


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return the entries, each after its length."""
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the ``width`` entries of a bundle.

    Raises:
        AuditError: ``audit.format.bundle`` when it holds another number of entries, or anything besides them.
    """
    entries: list[bytes] = []
    place, end = 0, len(data)
    while place < end:
        start = place + 2
        place = start + int.from_bytes(data[place:start], "big")
        entries.append(data[start:place])
    if place != end or len(entries) != width:
        raise AuditError("audit.format.bundle", f"A bundle does not hold exactly {width} entries.")
    return entries
