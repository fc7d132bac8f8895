"""Reading CoRIMs: from bytes to what they say, and whether somebody who is trusted signed them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import CONTENT_TYPE, TAG_SIGN1, Sign1
from assay.evidence.decoding.cbor import Tag
from assay.evidence.decoding.cbor import decode as decode_cbor
from assay.evidence.decoding.cbor import encode as encode_cbor
from assay.reference.corim.model import (
    COMID,
    CONTENT,
    CORIM,
    DIGESTS,
    LARGEST,
    META,
    NOT_AFTER,
    TIME,
    VALIDITY,
    Corim,
    Reference,
    check_window,
    refuse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.reference.manifest import TrustedKey

MAX_ITEMS: Final = 1 << 16
MAX_TAGS: Final = 256
MAX_MEASUREMENTS: Final = 4096
_URI, _UUID, _OID, _UEID, _BYTES = 32, 37, 111, 550, 560
_DIGEST_SIZES: Final = {1: 32, 7: 48, 8: 64, 10: 32, 11: 48, 12: 64}
"""Bytes of a digest by its algorithm: SHA-256, SHA-384, SHA-512 and SHA-3 of the same sizes."""
_REGISTERS = 14
_MEASUREMENT_READ: Final = frozenset({0, 1})
_DESCRIPTIVE = frozenset({0, 11})  # version and name of what is measured: nothing is compared with them
_NAMES = {
    1: "svn",
    3: "flags",
    4: "raw value",
    5: "mask of a raw value",
    6: "MAC address",
    7: "IP address",
    8: "serial number",
    9: "UEID",
    10: "UUID",
    13: "keys",
    15: "range",
}


def decode(data: bytes) -> Corim:
    """Read a CoRIM that is not signed, or the one within a signed one, whoever signed it.

    Raises:
        ReferenceValueError: ``reference.corim.malformed``, ``reference.corim.too_many``,
            ``reference.corim.digest`` for a digest whose size is not that of its algorithm.
    """
    item = _cbor(data)
    if isinstance(item, Tag) and item.number == TAG_SIGN1:
        return _unsigned(_cbor(_message(data).payload or b""))
    return _unsigned(item)


def verify(data: bytes, trusted: Sequence[TrustedKey], *, now: datetime) -> Corim:
    """Verify a signed CoRIM and read it; its end is that of the signature, where that one is earlier.

    Args:
        data: A COSE_Sign1 message under tag 18.
        trusted: The keys whose word is taken.
        now: The moment of use.

    Raises:
        ReferenceValueError: ``reference.corim.unsigned``, ``reference.corim.signature``; as ``decode``;
            ``reference.corim.expired``, ``reference.corim.not_yet`` for its own validity or the signature's.
    """
    item = _cbor(data)
    if not isinstance(item, Tag) or item.number != TAG_SIGN1:
        refuse("unsigned", "The CoRIM is not signed.")
    message = _message(data)
    if message.headers.get(CONTENT_TYPE) not in CONTENT or message.payload is None:
        refuse("malformed", "The signed message does not say that it holds a CoRIM.")
    if not any(_signed_by(message, key) for key in trusted):
        refuse("signature", "None of the keys that are trusted for Reference Values signed this CoRIM.")
    start, end = _meta_window(message.headers.get(META))
    check_window(start, end, now)
    found = _unsigned(_cbor(message.payload))
    check_window(found.not_before, found.not_after, now)
    ends = [each for each in (end, found.not_after) if each is not None]
    return replace(found, not_after=min(ends, default=None))


def _signed_by(message: Sign1, key: TrustedKey) -> bool:
    try:
        message.verify(key.key, algorithms=(Algorithm.ES256, Algorithm.EDDSA), understood=(META,))
    except EvidenceError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Module:
    """A CoMID: its name and version, the names of those that it replaces, and what it says."""

    name: str
    version: int
    replaces: frozenset[str]
    references: list[Reference]
    ignored: list[str]


def _unsigned(item: Any) -> Corim:
    if not isinstance(item, Tag) or item.number != CORIM:
        refuse("malformed", "The bytes are not a CoRIM: they do not carry its tag, 501.")
    corim = _map(item.value)
    ignored = _unread(corim, _CORIM_READ, {2: "dependencies on other CoRIMs"})
    modules: list[_Module] = []
    for each in _array(corim.get(1), MAX_TAGS):
        if not isinstance(each, Tag) or not isinstance(each.value, bytes):
            refuse("malformed", "A tag of the CoRIM is not one that holds bytes.")
        if each.number == COMID:
            modules.append(_comid(_cbor(each.value)))
        else:
            ignored.append(f"a tag {each.number}")
    current = _current(modules)
    if len(current) < len(modules):
        ignored.append("modules that others of it replace")
    modules = current
    references = [found for module in modules for found in module.references]
    ignored += [name for module in modules for name in module.ignored]
    if len(references) > MAX_MEASUREMENTS:
        refuse("too_many", f"The CoRIM has more than {MAX_MEASUREMENTS} measurements.")
    start, end = _window(corim.get(VALIDITY))
    return Corim(_shown(corim.get(0)), _profile(corim.get(3)), start, end, tuple(references), tuple(ignored))


def _current(modules: list[_Module]) -> list[_Module]:
    """Return the modules that no other one replaces, and of several versions the newest."""
    replaced = {name for module in modules for name in module.replaces if name != module.name}
    newest: dict[str, int] = {}
    for module in modules:
        newest[module.name] = max(module.version, newest.get(module.name, 0))
    return [
        module
        for module in modules
        if not module.name or (module.name not in replaced and module.version == newest[module.name])
    ]


def _comid(item: Any) -> _Module:
    comid = _map(item)
    triples = _map(comid.get(4))
    ignored = _unread(comid, _COMID_READ, {})
    ignored += [_TRIPLES.get(kind, f"triples of kind {kind}") for kind in triples if kind != 0]
    listed = _array(triples[0], MAX_MEASUREMENTS) if 0 in triples else []
    found = [each for triple in listed for each in _triple(triple)]
    identity = _map(comid.get(1, {}))
    version = identity.get(1, 0)
    if type(version) is not int or version < 0:
        refuse("malformed", "The version of a module is no number.")
    name = "" if identity.get(0) is None else _shown(identity[0])
    return _Module(name, version, _replaced(comid), found, ignored)


def _replaced(comid: Mapping[Any, Any]) -> frozenset[str]:
    """Return the names of the modules that a module replaces; those that it supplements stay."""
    if 3 not in comid:
        return frozenset()
    links = [_map(each) for each in _array(comid[3], MAX_TAGS)]
    if any(each.get(1) not in (_SUPPLEMENTS, _REPLACES) for each in links):
        refuse("malformed", "A module of the CoRIM is linked to another one in no known way.")
    return frozenset(_shown(each.get(0)) for each in links if each[1] == _REPLACES)


def _unread(item: Mapping[Any, Any], read: frozenset[int], names: Mapping[int, str]) -> list[str]:
    """Return the names of the members of a map that are not read."""
    return [names.get(member, f"member {member}") for member in item if member not in read]


# Languages and entities say who wrote it; nothing depends on them.
_CORIM_READ: Final = frozenset({0, 1, 3, VALIDITY, 5})
_COMID_READ: Final = frozenset({0, 1, 2, 3, 4})
_SUPPLEMENTS, _REPLACES = 0, 1
_TRIPLES = {1: "endorsed values", 2: "identity keys", 3: "attestation keys"}


def _triple(item: Any) -> Iterator[Reference]:
    if not isinstance(item, list) or len(item) != 2:
        refuse("malformed", "A reference triple is not an environment and its measurements.")
    environment = _environment(_map(item[0]))
    for each in _array(item[1], MAX_MEASUREMENTS):
        yield from _measurement(environment, _map(each))


@dataclass(frozen=True, slots=True)
class _Environment:
    """Of what a triple is: as text, as the CoRIM has it, and whether that is one instance or group."""

    text: str
    place: bytes
    bound: bool


def _measurement(environment: _Environment, item: Mapping[Any, Any]) -> Iterator[Reference]:
    def reference(key: str, digests: Any, others: tuple[str, ...], *name: Any) -> Reference:
        exact = encode_cbor(list(name))
        where = environment
        return Reference(where.text, key, _digests(digests), others, where.place, exact, where.bound)

    own = item.get(0)
    key = "" if own is None else _shown(own)
    content = _map(item.get(1))
    others = tuple(
        _NAMES.get(member, f"member {member}")
        for member in content
        if member not in (DIGESTS, _REGISTERS) and member not in _DESCRIPTIVE
    ) + tuple(_unread(item, _MEASUREMENT_READ, {2: "authorization"}))
    yield reference(key, content.get(DIGESTS), others, own)
    for register, digests in _map(content.get(_REGISTERS, {})).items():
        shown = _shown(register)
        yield reference(f"{key}/{shown}" if key else shown, digests, (), own, register)


def _digests(item: Any) -> tuple[tuple[int | str, bytes], ...]:
    if item is None:
        return ()
    # One digest may stand without the array around it.
    listed = [item] if isinstance(item, list) and item and isinstance(item[0], (int, str)) else item
    return tuple(_digest(each) for each in _array(listed, 256))


def _digest(item: Any) -> tuple[int | str, bytes]:
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], bytes):
        refuse("malformed", "A digest of the CoRIM is not an algorithm and bytes.")
    algorithm, digest = item
    if type(algorithm) not in (int, str):
        refuse("malformed", "The algorithm of a digest is neither a number nor a name.")
    algorithm = _ALGORITHM_NAMES.get(algorithm, algorithm)
    if _DIGEST_SIZES.get(algorithm) != len(digest):
        refuse("digest", "A digest is of an unknown algorithm, or does not have the size of its algorithm's.")
    return algorithm, digest


_ALGORITHM_NAMES: Final[Mapping[int | str, int]] = {"sha-256": 1, "sha-384": 7, "sha-512": 8}


def _environment(item: Mapping[Any, Any]) -> _Environment:
    kind = {} if item.get(0) is None else _map(item[0])
    if not item.keys() <= {0, *_BOUND} or not kind.keys() <= _CLASS.keys():
        refuse("malformed", "A reference triple says more of its environment than is known here.")
    stated = [(name, kind.get(at)) for at, name in _CLASS.items()]
    stated += [(name, item.get(at)) for at, name in _BOUND.items()]
    parts = [f"{name} {_shown(value)}" for name, value in stated if value is not None]
    if not parts:
        refuse("malformed", "A reference triple does not say of what environment it is.")
    bound = any(item.get(at) is not None for at in _BOUND)
    return _Environment(", ".join(parts), encode_cbor([value for _, value in stated]), bound)


_CLASS: Final = {0: "class", 1: "vendor", 2: "model", 3: "layer", 4: "index"}
_BOUND: Final = {1: "instance", 2: "group"}


def _window(item: Any) -> tuple[datetime | None, datetime | None]:
    if item is None:
        return None, None
    validity = _map(item)
    end = _moment(validity.get(NOT_AFTER))
    if end is None:
        refuse("malformed", "A validity of the CoRIM does not say when it ends.")
    return _moment(validity.get(0)), end


def _meta_window(item: Any) -> tuple[datetime | None, datetime | None]:
    if item is None:
        return None, None
    if not isinstance(item, bytes):
        refuse("malformed", "The CoRIM's header on its signer is not bytes.")
    return _window(_map(_cbor(item)).get(1))


def _moment(item: Any) -> datetime | None:
    if item is None:
        return None
    if not isinstance(item, Tag) or item.number != TIME or type(item.value) is not int:
        refuse("malformed", "A time of the CoRIM is not one.")
    if not 0 <= item.value < 1 << 37:
        refuse("malformed", "A time of the CoRIM is beyond all use.")
    return datetime.fromtimestamp(item.value, UTC)


def _profile(item: Any) -> str:
    return "" if item is None else _shown(item)


def _shown(item: Any) -> str:
    """Return an identifier as text: numbers in decimal, UUIDs in their form, bytes in hexadecimal."""
    if isinstance(item, str):
        return item[:1024]
    if type(item) is int:
        return str(item)
    if isinstance(item, bytes):
        return item.hex()[:1024]
    if isinstance(item, Tag):
        return _shown_tag(item)
    return refuse("malformed", "An identifier of the CoRIM is of a type that none is.")


def _shown_tag(item: Tag) -> str:
    if item.number == _UUID and isinstance(item.value, bytes) and len(item.value) == 16:
        return str(UUID(bytes=item.value))
    if item.number in (_OID, _UEID, _BYTES) and isinstance(item.value, bytes):
        return item.value.hex()[:1024]
    if item.number == _URI and isinstance(item.value, str):
        return item.value[:1024]
    if item.number in (_UUID, _OID, _UEID, _BYTES, _URI):
        refuse("malformed", "An identifier of the CoRIM is not of the type that its tag says.")
    # Of a profile: a name like any other, as long as it is one.
    return f"tag {item.number} {encode_cbor(item.value).hex()[:1024]}"


def _cbor(data: bytes) -> Any:
    try:
        return decode_cbor(data, max_bytes=LARGEST, max_items=MAX_ITEMS)
    except EvidenceError as error:
        raise ReferenceValueError("reference.corim.malformed", error.message) from error


def _message(data: bytes) -> Sign1:
    try:
        return Sign1.parse(data, max_bytes=LARGEST)
    except EvidenceError as error:
        raise ReferenceValueError("reference.corim.malformed", error.message) from error


def _map(item: Any) -> Mapping[Any, Any]:
    if not isinstance(item, dict):
        refuse("malformed", "A part of the CoRIM that must be a map is not one.")
    return item


def _array(item: Any, most: int) -> list[Any]:
    if not isinstance(item, list) or not item:
        refuse("malformed", "A part of the CoRIM that must be a list is not one, or is empty.")
    if len(item) > most:
        refuse("too_many", f"A list of the CoRIM has more than {most} items.")
    return item
