"""Conceptual Message Wrappers (draft-ietf-rats-msg-wrap): a message with its type, alone or in collections.

Three forms of a record:

    JSON  [type, base64url, indicator]          type: media type, or number of a CoAP content format
    CBOR  [type, bytes, indicator]              the indicator, a set of bits, may be absent
    CBOR  TN(content format)(bytes)             RFC 9277: the tag is computed from the content format

A collection is an object (JSON) or a map (CBOR) of records, collections, and tunnels: records of the other
encoding as bytes. A type routes; it proves nothing about the message.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.decoding import cbor, strictjson
from assay.evidence.decoding.cbor import CborError, Tag
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.eat.errors import EatError
from assay.evidence.jose.base64url import decode, encode
from assay.evidence.jose.errors import JoseError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CMW_BYTES: Final = 4 * 1024 * 1024
MAX_ENTRIES: Final = 64
MAX_DEPTH: Final = 4

REFERENCE_VALUES: Final = 1
ENDORSEMENTS: Final = 2
EVIDENCE: Final = 4
ATTESTATION_RESULTS: Final = 8
APPRAISAL_POLICY: Final = 16
_EVERY_KIND: Final = 31

EAT_CWT: Final = "application/eat+cwt"
EAT_JWT: Final = "application/eat+jwt"
EAT_UCS_CBOR: Final = "application/eat-ucs+cbor"
EAT_UCS_JSON: Final = "application/eat-ucs+json"

_TYPE_KEY: Final = "__cmwc_t"
_TO_CBOR: Final = "#cmw-c2j-tunnel"  # in JSON, holds CBOR
_TO_JSON: Final = "#cmw-j2c-tunnel"  # in CBOR, holds JSON
_TAGS: Final = 1668546817  # RFC 9277, section 4.3: TN(ct) = this + (ct / 255) * 256 + ct % 255
_LAST_FORMAT: Final = 65024
_MEDIA: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
    r"(?: ?; ?[A-Za-z0-9!#$&^_.+-]{1,64}=(?:[A-Za-z0-9!#$&^_.+:/-]{1,256}|\"[ !#-\[\]-~]{0,256}\")){0,8}"
)
_URI_OR_OID: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]{0,31}:[!-~]{1,512}|[0-2](?:\.(?:0|[1-9][0-9]{0,18})){1,31})"
)


@dataclass(frozen=True, slots=True)
class Record:
    """One message and its type.

    Attributes:
        type: Media type, or number of a CoAP content format.
        value: The message.
        indicator: What kinds of message it is, a set of the bits above; 0 when it is not stated.
    """

    type: str | int
    value: bytes
    indicator: int = 0

    @property
    def is_evidence(self) -> bool:
        """Whether it says of itself that it is Evidence."""
        return bool(self.indicator & EVIDENCE)


@dataclass(frozen=True, slots=True)
class Collection:
    """Messages under labels.

    Attributes:
        entries: Label -> record or collection; at most 64. Labels are texts; in CBOR numbers as well.
        type: What the collection is, a URI or an object identifier; empty when it is not stated.
    """

    entries: Mapping[str | int, Record | Collection]
    type: str = field(default="")

    def records(self) -> tuple[Record, ...]:
        """Return every record, in order, those of inner collections in their place."""
        found: list[Record] = []
        for entry in self.entries.values():
            found += [entry] if isinstance(entry, Record) else entry.records()
        return tuple(found)


Cmw = Record | Collection


def decode_cmw(data: bytes) -> Cmw:
    """Read a wrapper in either encoding; its first byte tells which.

    Raises:
        EatError: ``cmw.malformed``, ``cmw.oversized``.
    """
    if data[:1] in (b"[", b"{", b" ", b"\n", b"\r", b"\t"):
        return decode_json(data)
    return decode_cbor(data)


def decode_json(data: bytes) -> Cmw:
    """Read a wrapper in JSON.

    Raises:
        EatError: ``cmw.malformed``, ``cmw.oversized``.
    """
    return _from_json(data, MAX_DEPTH)


def decode_cbor(data: bytes) -> Cmw:
    """Read a wrapper in CBOR.

    Raises:
        EatError: ``cmw.malformed``, ``cmw.oversized``.
    """
    return _from_cbor(data, MAX_DEPTH)


def encode_json(cmw: Cmw) -> bytes:
    """Return a wrapper in compact JSON.

    Raises:
        EatError: ``cmw.malformed`` for a label that is a number: JSON has none.
    """
    return json.dumps(_json_item(cmw), separators=(",", ":")).encode()


def encode_cbor(cmw: Cmw, *, tagged: bool = False) -> bytes:
    """Return a wrapper in deterministic CBOR.

    Args:
        cmw: The wrapper.
        tagged: Write records of a content format without indicator as tags.
    """
    return cbor.encode(_cbor_item(cmw, tagged=tagged))


def tag_of(content_format: int) -> int:
    """Return the CBOR tag of a CoAP content format (RFC 9277, section 4.3).

    Raises:
        EatError: ``cmw.malformed`` beyond 65024.
    """
    if not 0 <= content_format <= _LAST_FORMAT:
        raise EatError("cmw.malformed", "A content format has no tag.")
    return _TAGS + content_format // 255 * 256 + content_format % 255


def _format_of(tag: int) -> int:
    high, low = divmod(tag - _TAGS, 256)
    if low == 255 or not 0 <= high * 255 + low <= _LAST_FORMAT:
        raise EatError("cmw.malformed", "A tag is not one of a content format.")
    return high * 255 + low


def _bounded(data: bytes) -> None:
    if len(data) > MAX_CMW_BYTES:
        raise EatError("cmw.oversized", f"A wrapper is longer than {MAX_CMW_BYTES} bytes.")


def _from_json(data: bytes, depth: int) -> Cmw:
    _bounded(data)
    try:
        return _of_json(strictjson.parse(data, max_bytes=MAX_CMW_BYTES), depth)
    except (JsonError, JoseError) as error:
        raise EatError("cmw.malformed", f"A wrapper cannot be read: {error.message}") from None


def _from_cbor(data: bytes, depth: int) -> Cmw:
    _bounded(data)
    try:
        return _of_cbor(cbor.decode(data, max_bytes=MAX_CMW_BYTES), depth)
    except CborError as error:
        raise EatError("cmw.malformed", f"A wrapper cannot be read: {error.message}") from None


def _of_json(item: Any, depth: int) -> Cmw:
    if type(item) is dict:
        return _collection(item, depth, _of_json)
    if type(item) is not list or len(item) not in (2, 3) or type(item[1]) is not str or not item[1].isascii():
        raise EatError("cmw.malformed", "A record is no array of type, value and indicator.")
    value = decode(item[1].encode("ascii"))
    if item[0] == _TO_CBOR and len(item) == 2:
        return _from_cbor(value, _deeper(depth))
    return _record(item, value)


def _of_cbor(item: Any, depth: int) -> Cmw:
    if type(item) is dict:
        return _collection(item, depth, _of_cbor)
    if isinstance(item, Tag) and type(item.value) is bytes:
        return Record(_format_of(item.number), item.value)
    if type(item) is list and len(item) == 2 and item[0] == _TO_JSON and type(item[1]) is str:
        return _from_json(item[1].encode("utf-8"), _deeper(depth))
    if type(item) is not list or len(item) not in (2, 3) or type(item[1]) is not bytes:
        raise EatError("cmw.malformed", "A record is no array of type, value and indicator, and no tag.")
    return _record(item, item[1])


def _record(item: list[Any], value: bytes) -> Record:
    kind = item[0]
    if type(kind) is int:
        fits = 0 <= kind <= 0xFFFF
    else:
        fits = type(kind) is str and len(kind) <= 2048 and _MEDIA.fullmatch(kind) is not None
    if not fits:
        raise EatError("cmw.malformed", "The type of a record is no media type and no content format.")
    if len(item) == 2:
        return Record(kind, value)
    if type(item[2]) is not int or not 0 < item[2] <= _EVERY_KIND:
        raise EatError("cmw.malformed", "The indicator of a record is no set of known kinds.")
    return Record(kind, value, item[2])


def _collection(item: dict[Any, Any], depth: int, read: Any) -> Collection:
    inner = _deeper(depth)
    kind = item.get(_TYPE_KEY, "")
    if type(kind) is not str or (_TYPE_KEY in item and not _URI_OR_OID.fullmatch(kind)):
        raise EatError("cmw.malformed", "The type of a collection is no URI and no object identifier.")
    labels = [label for label in item if label != _TYPE_KEY]
    if not 0 < len(labels) <= MAX_ENTRIES:
        raise EatError("cmw.malformed", f"A collection holds nothing, or more than {MAX_ENTRIES} messages.")
    if any(type(label) is bytes or (type(label) is str and not 0 < len(label) <= 256) for label in labels):
        raise EatError(
            "cmw.malformed", "A label of a collection is no text of 1 to 256 characters, no number."
        )
    return Collection(MappingProxyType({label: read(item[label], inner) for label in labels}), kind)


def _deeper(depth: int) -> int:
    if depth == 0:
        raise EatError("cmw.malformed", "Collections stand too deep in each other.")
    return depth - 1


def _json_item(cmw: Cmw) -> Any:
    if isinstance(cmw, Record):
        return _array(cmw, encode(cmw.value).decode())
    if any(type(label) is not str for label in cmw.entries):
        raise EatError("cmw.malformed", "A label that is a number cannot be written in JSON.")
    return _labelled(cmw, {label: _json_item(entry) for label, entry in cmw.entries.items()})


def _cbor_item(cmw: Cmw, *, tagged: bool) -> Any:
    if isinstance(cmw, Collection):
        inner = {label: _cbor_item(entry, tagged=tagged) for label, entry in cmw.entries.items()}
        return _labelled(cmw, inner)
    if tagged and isinstance(cmw.type, int) and not cmw.indicator:
        return Tag(tag_of(cmw.type), cmw.value)
    return _array(cmw, cmw.value)


def _array(record: Record, value: Any) -> list[Any]:
    return [record.type, value, record.indicator] if record.indicator else [record.type, value]


def _labelled(cmw: Collection, inner: dict[Any, Any]) -> dict[Any, Any]:
    return ({_TYPE_KEY: cmw.type} if cmw.type else {}) | inner
