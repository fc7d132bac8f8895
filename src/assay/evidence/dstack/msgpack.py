"""A strict reader of the MessagePack that dstack's attestations of version 1 are written in.

Accepted are maps with string keys, arrays, strings, byte strings, unsigned integers, booleans and nil, each
in its shortest form. Nothing is built before its bytes were seen, so a count costs what it holds.

Source: MessagePack specification (2017-08), sections "Formats" and "Serialization".
"""

from __future__ import annotations

from typing import Any

from assay.evidence.dstack.fields import refuse

MAX_DEPTH = 8
_SIZED = {
    0xC4: ("bin", 1, 0),
    0xC5: ("bin", 2, 1 << 8),
    0xC6: ("bin", 4, 1 << 16),
    0xD9: ("str", 1, 32),
    0xDA: ("str", 2, 1 << 8),
    0xDB: ("str", 4, 1 << 16),
    0xDC: ("array", 2, 16),
    0xDD: ("array", 4, 1 << 16),
    0xDE: ("map", 2, 16),
    0xDF: ("map", 4, 1 << 16),
}
"""First byte: kind, bytes of the length, and the smallest length that needs this form."""
_UNSIGNED = {0xCC: (1, 1 << 7), 0xCD: (2, 1 << 8), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def unpack(data: bytes) -> Any:
    """Return the one value that ``data`` is.

    Raises:
        EvidenceError: ``dstack.msgpack`` for anything else.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.at != len(data):
        refuse("msgpack", "Bytes follow the MessagePack value.")
    return value


class _Reader:
    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            refuse("msgpack", "The MessagePack value is cut short.")
        found = self.data[self.at : end]
        self.at = end
        return found

    def number(self, width: int, least: int) -> int:
        """Read a big-endian number, which in its shortest form is at least ``least``."""
        found = int.from_bytes(self.take(width), "big")
        if found < least:
            refuse("msgpack", "A MessagePack number is not in its shortest form.")
        return found

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            refuse("msgpack", "The MessagePack value is nested too deeply.")
        first = self.take(1)[0]
        if first < 0x80:
            return first
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first in _UNSIGNED:
            return self.number(*_UNSIGNED[first])
        if first & 0xC0 == 0x80:
            kind, size = self.short(first)
        elif first in _SIZED:
            kind, width, least = _SIZED[first]
            size = self.number(width, least)
        else:
            refuse("msgpack", f"The MessagePack format 0x{first:02x} is not used here.")
        return self.sized(kind, size, depth)

    @staticmethod
    def short(first: int) -> tuple[str, int]:
        if first < 0x90:
            return "map", first & 0x0F
        if first < 0xA0:
            return "array", first & 0x0F
        return "str", first & 0x1F

    def sized(self, kind: str, size: int, depth: int) -> Any:
        if kind == "bin":
            return self.take(size)
        if kind == "str":
            return self.text(size)
        if kind == "array":
            return [self.value(depth + 1) for _ in range(size)]
        found: dict[str, Any] = {}
        for _ in range(size):
            key = self.value(depth + 1)
            if type(key) is not str or key in found:
                refuse("msgpack", "A key of a MessagePack map is not a string, or comes twice.")
            found[key] = self.value(depth + 1)
        return found

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode()
        except UnicodeDecodeError:
            refuse("msgpack", "A MessagePack string is not UTF-8.")
