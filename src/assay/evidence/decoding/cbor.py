"""A strict reader of CBOR, and a writer of its one deterministic form.

Accepted is what RFC 8949 section 4.2.1 leaves, the order of map keys aside, which signers do not keep to:
definite lengths, every number in its shortest form, no key twice, nothing behind the item. Keys of a map are
integers, byte strings or texts: 1, 1.0 and true would otherwise be one key to Python and three to the signer.
What a length announces is compared with what is there before anything is built from it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH: Final = 16
MAX_ITEMS: Final = 4096

_KEYS: Final = frozenset({int, bytes, str})
_NESTED: Final = 4  # the first of the major types whose items hold items
_OPEN_MAP: Final = 0xBF
_BREAK: Final = 0xFF
_SIMPLE: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}
_FLOATS: Final = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}


class CborError(EvidenceError):
    """The bytes are not the CBOR that was expected; code ``cbor.malformed``."""

    def __init__(self, message: str) -> None:
        super().__init__("cbor.malformed", message)

    def __reduce__(self) -> tuple[type[CborError], tuple[str]]:
        return (CborError, (self.message,))


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged item (RFC 8949 section 3.4); what a tag means is for the format to say.

    Attributes:
        number: The tag.
        value: The item that it stands before.
    """

    number: int
    value: Any


def decode(
    data: bytes,
    *,
    max_bytes: int,
    max_depth: int = MAX_DEPTH,
    max_items: int = MAX_ITEMS,
    indefinite_maps: bool = False,
) -> Any:
    """Decode one item and demand that nothing follows it.

    Integers become ``int``, strings ``bytes`` and ``str``, arrays ``list``, maps ``dict`` in the order of the
    input, false, true and null themselves, floats ``float``, and everything tagged a ``Tag``.

    Args:
        data: The item.
        max_bytes: Longest input that is looked at.
        max_depth: How deep arrays, maps and tags may stand in each other.
        max_items: How many items there may be in all, keys and tags included.
        indefinite_maps: Whether maps may be of indefinite length, as some signers write them. Their bytes are
            signed as they are, so this leaves no second form of what was signed.

    Raises:
        CborError: It is not strict CBOR or exceeds a bound.
    """
    if len(data) > max_bytes:
        raise CborError(f"There are more than {max_bytes} bytes of CBOR.")
    reader = _Reader(data, max_items, indefinite_maps=indefinite_maps)
    try:
        value = reader.item(max_depth)
    except IndexError:
        raise CborError("The data ends inside an item.") from None
    if reader.pos != len(data):
        raise CborError(f"{len(data) - reader.pos} bytes follow the item.")
    return value


class _Reader:
    """Reads items in turn; an ``IndexError`` means that the data ended."""

    __slots__ = ("data", "indefinite", "left", "pos")

    def __init__(self, data: bytes, items: int, *, indefinite_maps: bool) -> None:
        self.data = data
        self.pos = 0
        self.left = items
        self.indefinite = indefinite_maps

    def item(self, depth: int) -> Any:
        if self.left == 0:
            raise CborError("There are too many items.")
        self.left -= 1
        start = self.pos
        initial = self.data[start]
        major, argument = initial >> 5, initial & 31
        self.pos = start + 1
        if major == 7:
            return self._simple(argument)
        if argument >= 24:
            if initial == _OPEN_MAP and self.indefinite:
                return self._open_map(_deeper(depth))
            argument = self._argument(argument)
        if major >= _NESTED:
            return self._nested(major, argument, _deeper(depth))
        if major >= 2:
            content = self._string(argument)
            return content if major == 2 else _text(content)
        return -1 - argument if major else argument

    def _nested(self, major: int, argument: int, depth: int) -> list[Any] | dict[Any, Any] | Tag:
        if major == 6:
            return Tag(argument, self.item(depth))
        # Each item takes a byte at least: a length that says more is refused before anything is built.
        if argument * (major - 3) > len(self.data) - self.pos:
            raise CborError("An array or a map says that it is longer than the data.")
        if major == _NESTED:
            return [self.item(depth) for _ in range(argument)]
        found: dict[Any, Any] = {}
        for _ in range(argument):
            self._entry(found, depth)
        return found

    def _argument(self, info: int) -> int:
        if info > 27:
            raise CborError("A length is indefinite or reserved.")
        size = 1 << (info - 24)
        stop = self.pos + size
        content = self.data[self.pos : stop]
        if len(content) != size:
            raise CborError("The data ends inside an item.")
        self.pos = stop
        found = int.from_bytes(content, "big")
        if found < (24 if size == 1 else 1 << (4 * size)):
            raise CborError("A number or a length is not in its shortest form.")
        return found

    def _string(self, length: int) -> bytes:
        start = self.pos
        stop = start + length
        if stop > len(self.data):
            raise CborError("A string is longer than the data.")
        self.pos = stop
        return self.data[start:stop]

    def _open_map(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while self.data[self.pos] != _BREAK:
            self._entry(found, depth)
        self.pos += 1
        return found

    def _entry(self, found: dict[Any, Any], depth: int) -> None:
        key = self.item(depth)
        if type(key) not in _KEYS:
            raise CborError("A key of a map is no integer, byte string or text.")
        if key in found:
            raise CborError("A map has one key twice.")
        found[key] = self.item(depth)

    def _simple(self, info: int) -> bool | float | None:
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info not in _FLOATS:
            raise CborError("A simple value is none of false, true and null, or a break stands alone.")
        form, size = _FLOATS[info]
        content = self._string(size)
        (value,) = struct.unpack(form, content)
        if _float(value)[1:] != content:
            raise CborError("A floating-point number is not in its shortest form.")
        return float(value)


def _deeper(depth: int) -> int:
    if depth == 0:
        raise CborError("Items stand too deep in each other.")
    return depth - 1


def _text(content: bytes) -> str:
    try:
        return str(content, "utf-8")
    except UnicodeDecodeError:
        raise CborError("A text is not UTF-8.") from None


def _float(value: float) -> bytes:
    if not math.isfinite(value):
        raise CborError("A floating-point number is not finite.")
    for info in (25, 26):
        form, _ = _FLOATS[info]
        try:
            content = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, content)[0] == value:
            return bytes([0xE0 | info]) + content
    return b"\xfb" + struct.pack(">d", value)


def head(major: int, argument: int) -> bytes:
    """Return the first bytes of an item: its major type and its argument, in the shortest form.

    Raises:
        CborError: The argument does not fit 64 bits.
    """
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument >> (8 * size) == 0:
            return bytes([major << 5 | info]) + argument.to_bytes(size, "big")
    raise CborError("A number does not fit 64 bits.")


def encode(value: Any) -> bytes:
    """Return the deterministic encoding of a value (RFC 8949 section 4.2.1), map keys in bytewise order.

    Raises:
        CborError: It holds something that ``decode`` would not return.
    """
    if value is None or value is False or value is True:
        return _WORDS[value]
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise CborError("A value has no encoding here.")
    return writer(value)


def _text_item(value: str) -> bytes:
    try:
        content = value.encode()
    except UnicodeEncodeError:
        raise CborError("A text has a lone surrogate.") from None
    return head(3, len(content)) + content


def _array(value: list[Any] | tuple[Any, ...]) -> bytes:
    return head(4, len(value)) + b"".join([encode(item) for item in value])


def _mapping(value: dict[Any, Any]) -> bytes:
    if any(type(key) not in _KEYS for key in value):
        raise CborError("A key of a map is no integer, byte string or text.")
    entries = sorted((encode(key), encode(item)) for key, item in value.items())
    return head(5, len(entries)) + b"".join([key + item for key, item in entries])


_WORDS: Final[dict[bool | None, bytes]] = {None: b"\xf6", False: b"\xf4", True: b"\xf5"}
_WRITERS: Final[dict[type, Callable[[Any], bytes]]] = {
    int: lambda value: head(0, value) if value >= 0 else head(1, -1 - value),
    float: _float,
    bytes: lambda value: head(2, len(value)) + value,
    str: _text_item,
    list: _array,
    tuple: _array,
    dict: _mapping,
    Tag: lambda value: head(6, value.number) + encode(value.value),
}
