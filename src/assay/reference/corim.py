"""CoRIM: Reference Values in the form that other verifiers keep them in (CBOR).

A CoRIM holds concise module identifiers (CoMIDs); each holds triples. Read here are reference triples: an
environment (class, instance) and measurements, each with a key and values. Of the values, digests and
integrity registers become Reference Values; what else a measurement demands is named, since it is not
appraised here.

    corim = #6.501({0: id, 1: [+ #6.506(bstr .cbor comid) / others], ? 3: profile, ? 4: validity, ...})
    comid = {1: {0: tag id, ? 1: version}, 4: {? 0: [+ [environment, [+ measurement]]], ...}, ...}
    measurement = {? 0: key, 1: {? 2: [+ [algorithm, digest]], ? 14: {+ register => digests}, ...}, ...}
    signed corim = #6.18([{1: algorithm, 3: "application/rim+cbor", ? 8: bstr meta}, {}, corim, signature])

Source: draft-ietf-rats-corim-08, sections 4 and 5; IANA, "Named Information Hash Algorithm Registry".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import ALGORITHM, CONTENT_TYPE, TAG_SIGN1, Sign1
from assay.evidence.decoding.cbor import Tag
from assay.evidence.decoding.cbor import decode as decode_cbor
from assay.evidence.decoding.cbor import encode as encode_cbor
from assay.reference.values import Measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

    from assay.reference.manifest import SigningKey, TrustedKey

LARGEST: Final = 1 << 20
MAX_ITEMS: Final = 1 << 16
MAX_TAGS: Final = 256
MAX_MEASUREMENTS: Final = 4096
CORIM: Final = 501
COMID: Final = 506
CONTENT: Final = ("application/rim+cbor", "application/corim-unsigned+cbor")
META: Final = 8
_URI, _TIME, _UUID, _OID, _UEID, _BYTES = 32, 1, 37, 111, 550, 560
_DIGEST_SIZES: Final = {1: 32, 7: 48, 8: 64, 10: 32, 11: 48, 12: 64}
"""Bytes of a digest by its algorithm: SHA-256, SHA-384, SHA-512 and SHA-3 of the same sizes."""
_ALGORITHM_OF: Final = {32: 1, 48: 7, 64: 8}
_DIGESTS, _REGISTERS = 2, 14
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
_REGISTER = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Reference:
    """One measurement of a reference triple.

    Attributes:
        environment: Class and instance that it is of, as text.
        key: What is measured, as text; empty when there is no key.
        digests: Algorithm and digest.
        others: Names of what else the measurement demands; none of it is read here.
    """

    environment: str
    key: str
    digests: tuple[tuple[int | str, bytes], ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corim:
    """What a CoRIM says.

    Attributes:
        tag_id: Its name.
        profile: URI or OID of the profile that gives its keys their meaning; empty when there is none.
        not_before: From when on it holds; None when it does not say.
        not_after: Until when; None when it does not say.
        references: Measurements of its reference triples, in order.
        ignored: What else it holds, one name for each.
    """

    tag_id: str
    profile: str
    not_before: datetime | None
    not_after: datetime | None
    references: tuple[Reference, ...]
    ignored: tuple[str, ...]


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
    """Verify a signed CoRIM and read it.

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
        _refuse("unsigned", "The CoRIM is not signed.")
    message = _message(data)
    if message.headers.get(CONTENT_TYPE) not in CONTENT or message.payload is None:
        _refuse("malformed", "The signed message does not say that it holds a CoRIM.")
    if not any(_signed_by(message, key) for key in trusted):
        _refuse("signature", "None of the keys that are trusted for Reference Values signed this CoRIM.")
    _check_window(*_meta_window(message.headers.get(META)), now)
    found = _unsigned(_cbor(message.payload))
    _check_window(found.not_before, found.not_after, now)
    return found


def values(corim: Corim, *, platform: str, now: datetime | None, environment: str | None = None) -> Measured:
    """Return the digests of a CoRIM as Reference Values, each register named after its key.

    Args:
        corim: What was read.
        platform: Whose registers these are; a CoRIM does not say it in our words.
        now: The moment of use; None to look at values that nothing rests on.
        environment: Whose measurements, when it holds those of several environments.

    Raises:
        ReferenceValueError: ``reference.corim.expired``, ``reference.corim.not_yet``,
            ``reference.corim.environment``, ``reference.corim.empty``, ``reference.corim.key`` when two keys
            would be the same register; ``reference.values.*``.
    """
    if now is not None:
        _check_window(corim.not_before, corim.not_after, now)
    names = dict.fromkeys(each.environment for each in corim.references)
    if environment is None and len(names) > 1:
        shown = "; ".join(list(names)[:8])
        _refuse(
            "environment", f"The CoRIM has values of several environments, of which one is needed: {shown}."
        )
    chosen = [each for each in corim.references if environment in (None, each.environment)]
    registers: dict[str, frozenset[bytes]] = {}
    keys: dict[str, str] = {}
    notes = [f"The CoRIM also holds {each}; that is not appraised." for each in dict.fromkeys(corim.ignored)]
    for each in chosen:
        notes += [f"Of {each.key or 'a measurement'}: its {name} is not appraised." for name in each.others]
        if not each.digests:
            continue
        register = _register(each.key)
        if keys.setdefault(register, each.key) != each.key:
            _refuse("key", f"Two keys of the CoRIM would both be the register {register}.")
        found = frozenset(digest for _, digest in each.digests)
        registers[register] = registers.get(register, frozenset()) | found
    if not registers:
        _refuse("empty", "The CoRIM holds no digest of this environment.")
    parameters = {"corim": corim.tag_id, "environment": chosen[0].environment}
    if corim.profile:
        parameters["profile"] = corim.profile
    measured = Measured(platform, registers, (), parameters, tuple(dict.fromkeys(notes))[:32])
    return Measured.from_json(measured.to_json())


def encode(measured: Measured, *, tag_id: str, vendor: str, model: str) -> bytes:
    """Write Reference Values as a CoRIM: one CoMID, one environment, one measurement for each value.

    Raises:
        ReferenceValueError: ``reference.corim.digest`` for a value that is no digest by its size.
    """
    measurements = [
        {0: name, 1: {_DIGESTS: [[_algorithm(value), value]]}}
        for name, allowed in sorted(measured.registers.items())
        for value in sorted(allowed)
    ]
    environment = {0: {1: vendor, 2: model}}
    comid = {1: {0: f"{tag_id}/comid"}, 4: {0: [[environment, measurements]]}}
    return encode_cbor(Tag(CORIM, {0: tag_id, 1: [Tag(COMID, encode_cbor(comid))]}))


def sign(data: bytes, key: SigningKey, *, signer: str) -> bytes:
    """Return a CoRIM as a signed message, COSE_Sign1 under tag 18: ES256 or EdDSA by the kind of the key.

    Args:
        data: The CoRIM.
        key: P-256 or Ed25519.
        signer: Who signs, as text.
    """
    elliptic = isinstance(key, EllipticCurvePrivateKey)
    algorithm = Algorithm.ES256 if elliptic else Algorithm.EDDSA
    meta = encode_cbor({0: {0: signer}})
    headers: dict[int | str | bytes, Any] = {ALGORITHM: int(algorithm), CONTENT_TYPE: CONTENT[0], META: meta}
    protected = encode_cbor(headers)
    unsigned = Sign1(protected, headers, {}, data, b"", tagged=True)
    message = unsigned.signed()
    if isinstance(key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ECDSA(SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        signature = key.sign(message)
    return encode_cbor(Tag(TAG_SIGN1, [protected, {}, data, signature]))


def _signed_by(message: Sign1, key: TrustedKey) -> bool:
    try:
        message.verify(key.key, algorithms=(Algorithm.ES256, Algorithm.EDDSA), understood=(META,))
    except EvidenceError:
        return False
    return True


def _unsigned(item: Any) -> Corim:
    if not isinstance(item, Tag) or item.number != CORIM:
        _refuse("malformed", "The bytes are not a CoRIM: they do not carry its tag, 501.")
    corim = _map(item.value)
    tags = _array(corim.get(1), MAX_TAGS)
    references: list[Reference] = []
    ignored: list[str] = []
    for each in tags:
        if not isinstance(each, Tag) or not isinstance(each.value, bytes):
            _refuse("malformed", "A tag of the CoRIM is not one that holds bytes.")
        if each.number != COMID:
            ignored.append(f"a tag {each.number}")
            continue
        found, more = _comid(_cbor(each.value))
        references += found
        ignored += more
    if len(references) > MAX_MEASUREMENTS:
        _refuse("too_many", f"The CoRIM has more than {MAX_MEASUREMENTS} measurements.")
    start, end = _window(corim.get(4))
    return Corim(_shown(corim.get(0)), _profile(corim.get(3)), start, end, tuple(references), tuple(ignored))


def _comid(item: Any) -> tuple[list[Reference], list[str]]:
    triples = _map(_map(item).get(4))
    ignored = [_TRIPLES.get(kind, f"triples of kind {kind}") for kind in triples if kind != 0]
    listed = _array(triples[0], MAX_MEASUREMENTS) if 0 in triples else []
    found = [each for triple in listed for each in _triple(triple)]
    return found, ignored


_TRIPLES = {1: "endorsed values", 2: "identity keys", 3: "attestation keys"}


def _triple(item: Any) -> Iterator[Reference]:
    if not isinstance(item, list) or len(item) != 2:
        _refuse("malformed", "A reference triple is not an environment and its measurements.")
    environment = _environment(_map(item[0]))
    for each in _array(item[1], MAX_MEASUREMENTS):
        yield from _measurement(environment, _map(each))


def _measurement(environment: str, item: Mapping[Any, Any]) -> Iterator[Reference]:
    key = "" if item.get(0) is None else _shown(item[0])
    content = _map(item.get(1))
    others = tuple(
        _NAMES.get(member, f"member {member}")
        for member in content
        if member not in (_DIGESTS, _REGISTERS) and member not in _DESCRIPTIVE
    )
    yield Reference(environment, key, _digests(content.get(_DIGESTS)), others)
    for register, digests in _map(content.get(_REGISTERS, {})).items():
        yield Reference(
            environment, f"{key}/{_shown(register)}" if key else _shown(register), _digests(digests), ()
        )


def _digests(item: Any) -> tuple[tuple[int | str, bytes], ...]:
    if item is None:
        return ()
    # One digest may stand without the array around it.
    listed = [item] if isinstance(item, list) and item and isinstance(item[0], (int, str)) else item
    return tuple(_digest(each) for each in _array(listed, 256))


def _digest(item: Any) -> tuple[int | str, bytes]:
    if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], bytes):
        _refuse("malformed", "A digest of the CoRIM is not an algorithm and bytes.")
    algorithm, digest = item
    if type(algorithm) not in (int, str):
        _refuse("malformed", "The algorithm of a digest is neither a number nor a name.")
    algorithm = _ALGORITHM_NAMES.get(algorithm, algorithm)
    if _DIGEST_SIZES.get(algorithm) != len(digest):
        _refuse(
            "digest", "A digest is of an unknown algorithm, or does not have the size of its algorithm's."
        )
    return algorithm, digest


_ALGORITHM_NAMES: Final[Mapping[int | str, int]] = {"sha-256": 1, "sha-384": 7, "sha-512": 8}


def _algorithm(value: bytes) -> int:
    found = _ALGORITHM_OF.get(len(value))
    if found is None:
        _refuse("digest", "A value is not a digest of 32, 48 or 64 bytes, so that a CoRIM cannot say it.")
    return found


def _environment(item: Mapping[Any, Any]) -> str:
    parts = []
    if item.get(0) is not None:
        kind = _map(item[0])
        parts += [f"{name} {_shown(kind[at])}" for at, name in _CLASS.items() if kind.get(at) is not None]
    parts += [
        f"{name} {_shown(item[at])}"
        for at, name in ((1, "instance"), (2, "group"))
        if item.get(at) is not None
    ]
    if not parts:
        _refuse("malformed", "A reference triple does not say of what environment it is.")
    return ", ".join(parts)


_CLASS: Final = {0: "class", 1: "vendor", 2: "model", 3: "layer", 4: "index"}


def _window(item: Any) -> tuple[datetime | None, datetime | None]:
    if item is None:
        return None, None
    validity = _map(item)
    end = _moment(validity.get(1))
    if end is None:
        _refuse("malformed", "A validity of the CoRIM does not say when it ends.")
    return _moment(validity.get(0)), end


def _meta_window(item: Any) -> tuple[datetime | None, datetime | None]:
    if item is None:
        return None, None
    if not isinstance(item, bytes):
        _refuse("malformed", "The CoRIM's header on its signer is not bytes.")
    return _window(_map(_cbor(item)).get(1))


def _moment(item: Any) -> datetime | None:
    if item is None:
        return None
    if not isinstance(item, Tag) or item.number != _TIME or type(item.value) is not int:
        _refuse("malformed", "A time of the CoRIM is not one.")
    if not 0 <= item.value < 1 << 37:
        _refuse("malformed", "A time of the CoRIM is beyond all use.")
    return datetime.fromtimestamp(item.value, UTC)


def _check_window(start: datetime | None, end: datetime | None, now: datetime) -> None:
    if end is not None and now > end:
        _refuse("expired", f"The CoRIM, or its signature, expired on {end:%Y-%m-%d}.")
    if start is not None and now < start:
        _refuse("not_yet", f"The CoRIM, or its signature, does not hold before {start:%Y-%m-%d}.")


def _profile(item: Any) -> str:
    return "" if item is None else _shown(item)


def _register(key: str) -> str:
    """Return the name of a register for a key: itself, or what is left of it in our alphabet."""
    if _REGISTER.fullmatch(key):
        return key
    name = re.sub(r"[^a-z0-9]+", "_", key.lower()).strip("_")
    if not name:
        return "digest"
    name = name if name[:1].isalpha() else f"m_{name}"
    return name if len(name) <= 64 else f"{name[:47]}_{hashlib.sha256(key.encode()).hexdigest()[:16]}"


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
    return _refuse("malformed", "An identifier of the CoRIM is of a type that none is.")


def _shown_tag(item: Tag) -> str:
    if item.number == _UUID and isinstance(item.value, bytes) and len(item.value) == 16:
        return str(UUID(bytes=item.value))
    if item.number in (_OID, _UEID, _BYTES) and isinstance(item.value, bytes):
        return item.value.hex()[:1024]
    if item.number == _URI and isinstance(item.value, str):
        return item.value[:1024]
    if item.number in (_UUID, _OID, _UEID, _BYTES, _URI):
        _refuse("malformed", "An identifier of the CoRIM is not of the type that its tag says.")
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
        _refuse("malformed", "A part of the CoRIM that must be a map is not one.")
    return item


def _array(item: Any, most: int) -> list[Any]:
    if not isinstance(item, list) or not item:
        _refuse("malformed", "A part of the CoRIM that must be a list is not one, or is empty.")
    if len(item) > most:
        _refuse("too_many", f"A list of the CoRIM has more than {most} items.")
    return item


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.corim.{code}", message)
