"""The claims of an Entity Attestation Token (RFC 9711), in JSON and in CBOR: one table for both.

Byte strings stand as base64url without padding in JSON. Claims that are not in the table are kept under the
name or the label that they have: nothing that was said is lost.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from assay.evidence.decoding import cbor, strictjson
from assay.evidence.decoding.cbor import CborError
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.eat.errors import EatError
from assay.evidence.jose.base64url import decode, encode
from assay.evidence.jose.errors import JoseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_EAT_BYTES: Final = 262144
MAX_SUBMODULES: Final = 64
MAX_DEPTH: Final = 4
MAX_NONCES: Final = 16
_NONCE_BYTES: Final = range(8, 65)  # RFC 9711, section 4.1
_UEID_BYTES: Final = range(7, 34)
_ARC: Final = r"\.(?:0|[1-9][0-9]{0,8})"
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


@dataclass(frozen=True, slots=True)
class Nested:
    """A submodule that is a token of its own, not taken apart.

    Attributes:
        kind: ``JWT``, ``CBOR`` (a CWT), or the name of another wrapping as it stood there.
        token: The token.
    """

    kind: str
    token: bytes


@dataclass(frozen=True, slots=True)
class Digest:
    """A submodule that is elsewhere, by its digest.

    Attributes:
        algorithm: Name or COSE number of the hash.
        value: The digest.
    """

    algorithm: str | int
    value: bytes


@dataclass(frozen=True, slots=True)
class Eat:
    """Claims of one entity; what was not stated is None or empty.

    Attributes:
        nonces: ``eat_nonce``, 8 to 64 bytes each.
        ueid: Identity of the entity, 7 to 33 bytes.
        oemid: Manufacturer: an enterprise number, or 3 or 16 bytes.
        hwmodel: Model, 1 to 32 bytes.
        hwversion: Version of the hardware.
        oemboot: Whether only software of the manufacturer booted.
        dbgstat: State of debug facilities.
        profile: ``eat_profile``: a URI, or an object identifier in dotted form.
        submods: Name -> claims, token or digest.
        bootcount: How often it booted.
        bootseed: Random for each boot.
        swname: Name of the software.
        swversion: Its version.
        manifests: Content format and bytes of each.
        measurements: Content format and bytes of each.
        intuse: For what the token is meant.
        issuer: ``iss``.
        subject: ``sub``.
        audience: ``aud``.
        expires_at: ``exp``, seconds since 1970.
        not_before: ``nbf``.
        issued_at: ``iat``.
        token_id: ``cti``, or ``jti`` as UTF-8.
        other: Everything else, by its name or label.
    """

    nonces: tuple[bytes, ...] = ()
    ueid: bytes | None = None
    oemid: int | bytes | None = None
    hwmodel: bytes | None = None
    hwversion: str | None = None
    oemboot: bool | None = None
    dbgstat: DebugStatus | None = None
    profile: str | None = None
    submods: Mapping[str, Eat | Nested | Digest] = field(default_factory=dict)
    bootcount: int | None = None
    bootseed: bytes | None = None
    swname: str | None = None
    swversion: str | None = None
    manifests: tuple[tuple[int, bytes], ...] = ()
    measurements: tuple[tuple[int, bytes], ...] = ()
    intuse: IntendedUse | None = None
    issuer: str | None = None
    subject: str | None = None
    audience: str | None = None
    expires_at: int | None = None
    not_before: int | None = None
    issued_at: int | None = None
    token_id: bytes | None = None
    other: Mapping[int | str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes) -> Eat:
        """Read an unprotected claims set (``application/eat-ucs+json``), or the payload of a JWT.

        Raises:
            EatError: ``eat.malformed``, ``eat.claim``.
        """
        try:
            found = strictjson.parse_object(data, max_bytes=MAX_EAT_BYTES)
        except JsonError as error:
            raise EatError("eat.malformed", f"The claims are no JSON object: {error.message}") from None
        return _read(found, _JSON, MAX_DEPTH)

    @classmethod
    def from_cbor(cls, data: bytes) -> Eat:
        """Read an unprotected claims set (``application/eat-ucs+cbor``), or the payload of a CWT.

        Raises:
            EatError: ``eat.malformed``, ``eat.claim``.
        """
        try:
            found = cbor.decode(data, max_bytes=MAX_EAT_BYTES)
        except CborError as error:
            raise EatError("eat.malformed", f"The claims are no CBOR: {error.message}") from None
        if type(found) is not dict:
            raise EatError("eat.malformed", "The claims are no map.")
        return _read(found, _CBOR, MAX_DEPTH)

    def to_json(self) -> bytes:
        """Return the claims as compact JSON."""
        return json.dumps(_write(self, _JSON), separators=(",", ":")).encode()

    def to_cbor(self) -> bytes:
        """Return the claims as deterministic CBOR."""
        return cbor.encode(_write(self, _CBOR))


class _Wire(NamedTuple):
    """How one of the two encodings writes what differs.

    Attributes:
        json: Whether it is JSON.
    """

    json: bool

    def out_bytes(self, value: bytes) -> Any:
        return encode(value).decode() if self.json else value

    def bytes(self, value: Any, name: str) -> bytes:
        if self.json and type(value) is str and value.isascii():
            try:
                return decode(value.encode("ascii"))
            except JoseError:
                pass
        elif not self.json and type(value) is bytes:
            return value
        raise _wrong(name)


_JSON: Final = _Wire(json=True)
_CBOR: Final = _Wire(json=False)


def _wrong(name: str) -> EatError:
    return EatError("eat.claim", f"Claim {name} is not what RFC 9711 or RFC 8392 has it be.")


class _Claim(NamedTuple):
    """One row of the table: attribute, name in JSON, label in CBOR, how it is read and written."""

    attribute: str
    name: str
    label: int
    read: Callable[[Any, _Wire, str], Any]
    write: Callable[[Any, _Wire], Any]


def _as_is(value: Any, wire: _Wire) -> Any:
    del wire
    return value


def _text(value: Any, wire: _Wire, name: str) -> str:
    del wire
    if type(value) is not str or len(value) > 4096:
        raise _wrong(name)
    return value


def _flag(value: Any, wire: _Wire, name: str) -> bool:
    del wire
    if type(value) is not bool:
        raise _wrong(name)
    return value


def _number(value: Any, wire: _Wire, name: str) -> int:
    del wire
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise _wrong(name)
    return value


def _sized(sizes: range) -> Callable[[Any, _Wire, str], bytes]:
    def read(value: Any, wire: _Wire, name: str) -> bytes:
        found = wire.bytes(value, name)
        if len(found) not in sizes:
            raise _wrong(name)
        return found

    return read


def _out_bytes(value: bytes, wire: _Wire) -> Any:
    return wire.out_bytes(value)


def _nonces(value: Any, wire: _Wire, name: str) -> tuple[bytes, ...]:
    many = value if type(value) is list else [value]
    read = _sized(_NONCE_BYTES)
    # An array of one is the form that the specification does not have: one nonce stands alone.
    if type(value) is list and not 2 <= len(value) <= MAX_NONCES:
        raise _wrong(name)
    return tuple(read(item, wire, name) for item in many)


def _out_nonces(value: tuple[bytes, ...], wire: _Wire) -> Any:
    found = [wire.out_bytes(item) for item in value]
    return found[0] if len(found) == 1 else found


def _oemid(value: Any, wire: _Wire, name: str) -> int | bytes:
    if type(value) is int:
        return _number(value, wire, name)
    found = wire.bytes(value, name)
    if len(found) not in (3, 16):
        raise _wrong(name)
    return found


def _out_oemid(value: int | bytes, wire: _Wire) -> Any:
    return value if isinstance(value, int) else wire.out_bytes(value)


def _version(value: Any, wire: _Wire, name: str) -> str:
    if type(value) is not list or not 1 <= len(value) <= 2:
        raise _wrong(name)
    return _text(value[0], wire, name)


def _out_version(value: str, wire: _Wire) -> Any:
    del wire
    return [value]


def _debug(value: Any, wire: _Wire, name: str) -> DebugStatus:
    return DebugStatus(_word(value, wire, name, DebugStatus))


def _use(value: Any, wire: _Wire, name: str) -> IntendedUse:
    return IntendedUse(_word(value, wire, name, IntendedUse))


def _word(value: Any, wire: _Wire, name: str, words: type[IntEnum]) -> int:
    """Return the number of a word: JSON has the word, CBOR the number. Others are refused, not ignored."""
    for word in words:
        if value == (_spelt(word) if wire.json else word.value) and type(value) in (str, int):
            return word.value
    raise _wrong(name)


def _spelt(word: IntEnum) -> str:
    return word.name.lower().replace("_", "-")


def _out_word(value: IntEnum, wire: _Wire) -> Any:
    return _spelt(value) if wire.json else value.value


def _formats(value: Any, wire: _Wire, name: str) -> tuple[tuple[int, bytes], ...]:
    if type(value) is not list or not 1 <= len(value) <= 64:
        raise _wrong(name)
    found = []
    for item in value:
        if type(item) is not list or len(item) != 2:
            raise _wrong(name)
        found.append((_number(item[0], wire, name), wire.bytes(item[1], name)))
    return tuple(found)


def _out_formats(value: tuple[tuple[int, bytes], ...], wire: _Wire) -> Any:
    return [[number, wire.out_bytes(content)] for number, content in value]


def _profile(value: Any, wire: _Wire, name: str) -> str:
    if not wire.json and type(value) is bytes:
        return _dotted(value, name)
    return _text(value, wire, name)


def _out_profile(value: str, wire: _Wire) -> Any:
    return _oid(value) if not wire.json and _OID.fullmatch(value) else value


def _dotted(content: bytes, name: str) -> str:
    """Return an object identifier (content bytes of its BER) in dotted form."""
    arcs: list[int] = []
    arc = 0
    for index, byte in enumerate(content[:64]):
        if byte == 0x80 and arc == 0:
            raise _wrong(name)
        arc = arc << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(arc)
            arc = 0
        elif index == len(content) - 1:
            raise _wrong(name)
    if not arcs or len(content) > 64:
        raise _wrong(name)
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


def _token_id(value: Any, wire: _Wire, name: str) -> bytes:
    if wire.json:
        return _text(value, wire, name).encode("utf-8", "replace")
    return wire.bytes(value, name)


def _out_token_id(value: bytes, wire: _Wire) -> Any:
    return value.decode("utf-8", "replace") if wire.json else value


_TABLE: Final = (
    _Claim("issuer", "iss", 1, _text, _as_is),
    _Claim("subject", "sub", 2, _text, _as_is),
    _Claim("audience", "aud", 3, _text, _as_is),
    _Claim("expires_at", "exp", 4, _number, _as_is),
    _Claim("not_before", "nbf", 5, _number, _as_is),
    _Claim("issued_at", "iat", 6, _number, _as_is),
    _Claim("token_id", "jti", 7, _token_id, _out_token_id),
    _Claim("nonces", "eat_nonce", 10, _nonces, _out_nonces),
    _Claim("ueid", "ueid", 256, _sized(_UEID_BYTES), _out_bytes),
    _Claim("oemid", "oemid", 258, _oemid, _out_oemid),
    _Claim("hwmodel", "hwmodel", 259, _sized(range(1, 33)), _out_bytes),
    _Claim("hwversion", "hwversion", 260, _version, _out_version),
    _Claim("oemboot", "oemboot", 262, _flag, _as_is),
    _Claim("dbgstat", "dbgstat", 263, _debug, _out_word),
    _Claim("profile", "eat_profile", 265, _profile, _out_profile),
    _Claim("bootcount", "bootcount", 267, _number, _as_is),
    _Claim("bootseed", "bootseed", 268, _sized(range(1, 65)), _out_bytes),
    _Claim("swname", "swname", 270, _text, _as_is),
    _Claim("swversion", "swversion", 271, _version, _out_version),
    _Claim("manifests", "manifests", 272, _formats, _out_formats),
    _Claim("measurements", "measurements", 273, _formats, _out_formats),
    _Claim("intuse", "intuse", 275, _use, _out_word),
)
_SUBMODS: Final = ("submods", 266)
_BY_NAME: Final = MappingProxyType({claim.name: claim for claim in _TABLE})
_BY_LABEL: Final = MappingProxyType({claim.label: claim for claim in _TABLE})


def _read(found: Mapping[Any, Any], wire: _Wire, depth: int) -> Eat:
    rows: Mapping[Any, _Claim] = _BY_NAME if wire.json else _BY_LABEL
    stated: dict[str, Any] = {}
    other: dict[int | str, Any] = {}
    for key, value in found.items():
        row = rows.get(key)
        if row is not None:
            stated[row.attribute] = row.read(value, wire, row.name)
        elif key == _SUBMODS[0 if wire.json else 1]:
            stated["submods"] = _submodules(value, wire, depth)
        elif type(key) is bytes:
            raise EatError("eat.claim", "The label of a claim is neither a number nor a text.")
        else:
            other[key] = value
    return Eat(**stated, other=MappingProxyType(other))


def _submodules(value: Any, wire: _Wire, depth: int) -> Mapping[str, Eat | Nested | Digest]:
    if type(value) is not dict or not 0 < len(value) <= MAX_SUBMODULES or depth == 0:
        raise _wrong("submods")
    if any(type(name) is not str or not 0 < len(name) <= 256 for name in value):
        raise _wrong("submods")
    return MappingProxyType({name: _submodule(item, wire, depth - 1) for name, item in value.items()})


def _submodule(item: Any, wire: _Wire, depth: int) -> Eat | Nested | Digest:
    match item:
        case dict():
            return _read(item, wire, depth)
        case bytes() if not wire.json:
            return Nested("CBOR", item)
        case ["DIGEST", [str(algorithm) | int(algorithm), value]] if type(algorithm) is not bool:
            return Digest(algorithm, wire.bytes(value, "submods"))
        case ["JWT", str(token)] if token.isascii():
            return Nested("JWT", token.encode("ascii"))
        case [str(kind), str(token)] if wire.json:
            return Nested(kind, wire.bytes(token, "submods"))
    raise _wrong("submods")


def _write(eat: Eat, wire: _Wire) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for row in _TABLE:
        value = getattr(eat, row.attribute)
        if value is not None and value != ():
            found[row.name if wire.json else row.label] = row.write(value, wire)
    if eat.submods:
        key = _SUBMODS[0 if wire.json else 1]
        found[key] = {name: _out_submodule(item, wire) for name, item in eat.submods.items()}
    return found | dict(eat.other)


def _out_submodule(item: Eat | Nested | Digest, wire: _Wire) -> Any:
    if isinstance(item, Eat):
        return _write(item, wire)
    if isinstance(item, Digest):
        return ["DIGEST", [item.algorithm, wire.out_bytes(item.value)]]
    if item.kind == "JWT":
        return ["JWT", item.token.decode("ascii")]
    return [item.kind, wire.out_bytes(item.token)] if wire.json else item.token
