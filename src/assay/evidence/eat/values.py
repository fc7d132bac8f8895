"""The values of claims of an Entity Attestation Token: how each kind is read and written, in both encodings.

Each reader takes what was decoded, the encoding and the claim's name for the error; it refuses anything that
RFC 9711 or RFC 8392 does not have there. Each writer takes what its reader returns.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from assay.evidence.eat.errors import EatError
from assay.evidence.jose.base64url import decode, encode
from assay.evidence.jose.errors import JoseError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NONCES: Final = 16
_NONCE_BYTES: Final = range(8, 65)  # RFC 9711, section 4.1
_ARC: Final = r"\.(?:0|[1-9][0-9]{0,8})"
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")  # JSON can hold half a character; no text does
_OID: Final = re.compile(rf"(?:[01]\.(?:[0-9]|[1-3][0-9])|2{_ARC})(?:{_ARC}){{0,8}}")


class DebugStatus(IntEnum):
    """``dbgstat`` (section 4.2.9)."""

    ENABLED = 0
    DISABLED = 1
    DISABLED_SINCE_BOOT = 2
    DISABLED_PERMANENTLY = 3
    DISABLED_FULLY_AND_PERMANENTLY = 4


class IntendedUse(IntEnum):
    """``intuse`` (section 4.3.3)."""

    GENERIC = 1
    REGISTRATION = 2
    PROVISIONING = 3
    CSR = 4
    POP = 5


class Wire(NamedTuple):
    """How one of the two encodings writes what differs.

    Attributes:
        json: Whether it is JSON.
    """

    json: bool

    def out_bytes(self, value: bytes) -> Any:
        """Return bytes as this encoding writes them."""
        return encode(value).decode() if self.json else value

    def bytes(self, value: Any, name: str) -> bytes:
        """Return the bytes that stand there; raises ``eat.claim`` for anything else."""
        if self.json and type(value) is str and value.isascii():
            try:
                return decode(value.encode("ascii"))
            except JoseError:
                pass
        elif not self.json and type(value) is bytes:
            return value
        raise wrong(name)


JSON: Final = Wire(json=True)
CBOR: Final = Wire(json=False)


def wrong(name: str) -> EatError:
    """Return the error for a claim with a value that it cannot have."""
    return EatError("eat.claim", f"Claim {name} is not what RFC 9711 or RFC 8392 has it be.")


class Kind(NamedTuple):
    """One kind of value: how it is read, and how it is written."""

    read: Callable[[Any, Wire, str], Any]
    write: Callable[[Any, Wire], Any]


def _as_is(value: Any, wire: Wire) -> Any:
    del wire
    return value


def _text(value: Any, wire: Wire, name: str) -> str:
    del wire
    if type(value) is not str or len(value) > 4096 or _SURROGATE.search(value):
        raise wrong(name)
    return value


def _flag(value: Any, wire: Wire, name: str) -> bool:
    del wire
    if type(value) is not bool:
        raise wrong(name)
    return value


def _number(value: Any, wire: Wire, name: str) -> int:
    del wire
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise wrong(name)
    return value


def _sized(sizes: range) -> Callable[[Any, Wire, str], bytes]:
    def read(value: Any, wire: Wire, name: str) -> bytes:
        found = wire.bytes(value, name)
        if len(found) not in sizes:
            raise wrong(name)
        return found

    return read


def _out_bytes(value: bytes, wire: Wire) -> Any:
    return wire.out_bytes(value)


def _nonces(value: Any, wire: Wire, name: str) -> tuple[bytes, ...]:
    many = value if type(value) is list else [value]
    read = _sized(_NONCE_BYTES)
    # An array of one is the form that the specification does not have: one nonce stands alone.
    if type(value) is list and not 2 <= len(value) <= MAX_NONCES:
        raise wrong(name)
    return tuple(read(item, wire, name) for item in many)


def _out_nonces(value: tuple[bytes, ...], wire: Wire) -> Any:
    found = [wire.out_bytes(item) for item in value]
    return found[0] if len(found) == 1 else found


def _oemid(value: Any, wire: Wire, name: str) -> int | bytes:
    if type(value) is int:
        return _number(value, wire, name)
    found = wire.bytes(value, name)
    if len(found) not in (3, 16):
        raise wrong(name)
    return found


def _out_oemid(value: int | bytes, wire: Wire) -> Any:
    return value if isinstance(value, int) else wire.out_bytes(value)


def _version(value: Any, wire: Wire, name: str) -> str:
    if type(value) is not list or not 1 <= len(value) <= 2:
        raise wrong(name)
    return _text(value[0], wire, name)


def _out_version(value: str, wire: Wire) -> Any:
    del wire
    return [value]


def _debug(value: Any, wire: Wire, name: str) -> DebugStatus:
    return DebugStatus(_word(value, wire, name, DebugStatus))


def _use(value: Any, wire: Wire, name: str) -> IntendedUse:
    return IntendedUse(_word(value, wire, name, IntendedUse))


def _word(value: Any, wire: Wire, name: str, words: type[IntEnum]) -> int:
    """Return the number of a word: JSON has the word, CBOR the number. Others are refused, not ignored."""
    for word in words:
        if value == (_spelt(word) if wire.json else word.value) and type(value) in (str, int):
            return word.value
    raise wrong(name)


def _spelt(word: IntEnum) -> str:
    return word.name.lower().replace("_", "-")


def _out_word(value: IntEnum, wire: Wire) -> Any:
    return _spelt(value) if wire.json else value.value


def _formats(value: Any, wire: Wire, name: str) -> tuple[tuple[int, bytes], ...]:
    if type(value) is not list or not 1 <= len(value) <= 64:
        raise wrong(name)
    found = []
    for item in value:
        if type(item) is not list or len(item) != 2:
            raise wrong(name)
        found.append((_number(item[0], wire, name), wire.bytes(item[1], name)))
    return tuple(found)


def _out_formats(value: tuple[tuple[int, bytes], ...], wire: Wire) -> Any:
    return [[number, wire.out_bytes(content)] for number, content in value]


def _profile(value: Any, wire: Wire, name: str) -> str:
    if not wire.json and type(value) is bytes:
        return _dotted(value, name)
    return _text(value, wire, name)


def _out_profile(value: str, wire: Wire) -> Any:
    return _oid(value) if not wire.json and _OID.fullmatch(value) else value


def _dotted(content: bytes, name: str) -> str:
    """Return an object identifier (content bytes of its BER) in dotted form."""
    arcs: list[int] = []
    arc = 0
    for index, byte in enumerate(content[:64]):
        if byte == 0x80 and arc == 0:
            raise wrong(name)
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
        elif index == len(content) - 1:
            raise wrong(name)
    if not arcs or len(content) > 64:
        raise wrong(name)
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def _oid(dotted: str) -> bytes:
    arcs = [int(part) for part in dotted.split(".")]
    found = bytearray()
    for arc in (40 * arcs[0] + arcs[1], *arcs[2:]):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(arc & 0x7F | 0x80)
        found += bytes(reversed(septets))
    return bytes(found)


def _token_id(value: Any, wire: Wire, name: str) -> bytes:
    if wire.json:
        return _text(value, wire, name).encode()
    return wire.bytes(value, name)


def _out_token_id(value: bytes, wire: Wire) -> Any:
    if not wire.json:
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EatError("eat.claim", "A token's id that is no text cannot be written in JSON.") from None


def sized(sizes: range) -> Kind:
    """Return the kind of byte strings of these sizes, in bytes."""
    return Kind(_sized(sizes), _out_bytes)


TEXT: Final = Kind(_text, _as_is)
NUMBER: Final = Kind(_number, _as_is)
FLAG: Final = Kind(_flag, _as_is)
NONCES: Final = Kind(_nonces, _out_nonces)
OEMID: Final = Kind(_oemid, _out_oemid)
VERSION: Final = Kind(_version, _out_version)
DEBUG: Final = Kind(_debug, _out_word)
USE: Final = Kind(_use, _out_word)
FORMATS: Final = Kind(_formats, _out_formats)
PROFILE: Final = Kind(_profile, _out_profile)
TOKEN_ID: Final = Kind(_token_id, _out_token_id)
