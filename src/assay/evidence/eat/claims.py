"""The claims of an Entity Attestation Token (RFC 9711), in JSON and in CBOR: one table for both.

Byte strings stand as base64url without padding in JSON. Claims that are not in the table are kept under the
name or the label that they have: nothing that was said is lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from assay.evidence.decoding import cbor, strictjson
from assay.evidence.decoding.cbor import CborError
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.eat import values
from assay.evidence.eat.errors import EatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.eat.values import DebugStatus, IntendedUse

MAX_EAT_BYTES: Final = 262144
MAX_SUBMODULES: Final = 64
MAX_DEPTH: Final = 4


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
        return _read(found, values.JSON, MAX_DEPTH)

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
        return _read(found, values.CBOR, MAX_DEPTH)

    def to_json(self) -> bytes:
        """Return the claims as compact JSON.

        Raises:
            EatError: ``eat.claim`` for a token's id that is no UTF-8: JSON has no bytes to write it as.
        """
        return json.dumps(_write(self, values.JSON), separators=(",", ":")).encode()

    def to_cbor(self) -> bytes:
        """Return the claims as deterministic CBOR."""
        return cbor.encode(_write(self, values.CBOR))


class _Claim(NamedTuple):
    """One row of the table: attribute, name in JSON, label in CBOR, kind of value."""

    attribute: str
    name: str
    label: int
    kind: values.Kind


_TABLE: Final = (
    _Claim("issuer", "iss", 1, values.TEXT),
    _Claim("subject", "sub", 2, values.TEXT),
    _Claim("audience", "aud", 3, values.TEXT),
    _Claim("expires_at", "exp", 4, values.NUMBER),
    _Claim("not_before", "nbf", 5, values.NUMBER),
    _Claim("issued_at", "iat", 6, values.NUMBER),
    _Claim("token_id", "jti", 7, values.TOKEN_ID),
    _Claim("nonces", "eat_nonce", 10, values.NONCES),
    _Claim("ueid", "ueid", 256, values.sized(range(7, 34))),
    _Claim("oemid", "oemid", 258, values.OEMID),
    _Claim("hwmodel", "hwmodel", 259, values.sized(range(1, 33))),
    _Claim("hwversion", "hwversion", 260, values.VERSION),
    _Claim("oemboot", "oemboot", 262, values.FLAG),
    _Claim("dbgstat", "dbgstat", 263, values.DEBUG),
    _Claim("profile", "eat_profile", 265, values.PROFILE),
    _Claim("bootcount", "bootcount", 267, values.NUMBER),
    _Claim("bootseed", "bootseed", 268, values.sized(range(1, 65))),
    _Claim("swname", "swname", 270, values.TEXT),
    _Claim("swversion", "swversion", 271, values.VERSION),
    _Claim("manifests", "manifests", 272, values.FORMATS),
    _Claim("measurements", "measurements", 273, values.FORMATS),
    _Claim("intuse", "intuse", 275, values.USE),
)
_SUBMODS: Final = ("submods", 266)
_BY_NAME: Final = MappingProxyType({claim.name: claim for claim in _TABLE})
_BY_LABEL: Final = MappingProxyType({claim.label: claim for claim in _TABLE})


def _read(found: Mapping[Any, Any], wire: values.Wire, depth: int) -> Eat:
    rows: Mapping[Any, _Claim] = _BY_NAME if wire.json else _BY_LABEL
    stated: dict[str, Any] = {}
    other: dict[int | str, Any] = {}
    for key, value in found.items():
        row = rows.get(key)
        if row is not None:
            stated[row.attribute] = row.kind.read(value, wire, row.name)
        elif key == _SUBMODS[0 if wire.json else 1]:
            stated["submods"] = _submodules(value, wire, depth)
        elif type(key) is bytes:
            raise EatError("eat.claim", "The label of a claim is neither a number nor a text.")
        else:
            other[key] = value
    return Eat(**stated, other=MappingProxyType(other))


def _submodules(value: Any, wire: values.Wire, depth: int) -> Mapping[str, Eat | Nested | Digest]:
    if type(value) is not dict or not 0 < len(value) <= MAX_SUBMODULES or depth == 0:
        raise values.wrong("submods")
    if any(type(name) is not str or not 0 < len(name) <= 256 for name in value):
        raise values.wrong("submods")
    return MappingProxyType({name: _submodule(item, wire, depth - 1) for name, item in value.items()})


def _submodule(item: Any, wire: values.Wire, depth: int) -> Eat | Nested | Digest:
    if type(item) is dict:
        return _read(item, wire, depth)
    if wire.json:
        return _selected(item)
    match item:
        case bytes():
            return Nested("CBOR", item)
        case str():
            return _selected(_json(item))
        case [algorithm, value] if type(algorithm) in (str, int):
            return Digest(algorithm, wire.bytes(value, "submods"))
    raise values.wrong("submods")


def _json(text: str) -> Any:
    try:
        return strictjson.parse(text.encode(), max_bytes=MAX_EAT_BYTES)
    except JsonError:
        raise values.wrong("submods") from None


def _selected(item: Any) -> Nested | Digest:
    """Read what JSON has for CBOR's types and tags (section 7.3.3): an array of a word and a value."""
    match item:
        case ["DIGEST", [algorithm, value]] if type(algorithm) in (str, int):
            return Digest(algorithm, values.JSON.bytes(value, "submods"))
        case ["JWT", str(token)] if token.isascii():
            return Nested("JWT", token.encode("ascii"))
        case [str(kind), str(token)]:
            return Nested(kind, values.JSON.bytes(token, "submods"))
    raise values.wrong("submods")


def _write(eat: Eat, wire: values.Wire) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for row in _TABLE:
        value = getattr(eat, row.attribute)
        if value is not None and value != ():
            found[row.name if wire.json else row.label] = row.kind.write(value, wire)
    if eat.submods:
        key = _SUBMODS[0 if wire.json else 1]
        found[key] = {name: _out_submodule(item, wire) for name, item in eat.submods.items()}
    return found | dict(eat.other)


def _out_submodule(item: Eat | Nested | Digest, wire: values.Wire) -> Any:
    if isinstance(item, Eat):
        return _write(item, wire)
    if isinstance(item, Digest):
        stated = [item.algorithm, wire.out_bytes(item.value)]
        return ["DIGEST", stated] if wire.json else stated
    if item.kind == "CBOR" and not wire.json:
        return item.token
    token = item.token.decode("ascii") if item.kind == "JWT" else values.JSON.out_bytes(item.token)
    return [item.kind, token] if wire.json else json.dumps([item.kind, token], separators=(",", ":"))
