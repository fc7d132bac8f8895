"""The bytes of a Nitro attestation document: a COSE_Sign1 message over a map of CBOR.

    {module_id: text, digest: "SHA384", timestamp: milliseconds, pcrs or nitrotpm_pcrs: {index: value},
     certificate: DER, cabundle: [root, region, zone, instance],
     ? public_key, ? user_data, ? nonce: bytes or null}

Real documents write the map with a definite or an indefinite length; both are read, nothing else is lenient.
Source: "Attestation process" of the Nitro Enclaves SDK documentation, sections 3.1 and 3.2, and "Validate a
NitroTPM Attestation Document" of the EC2 user guide.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

from assay.errors import EvidenceError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import ALGORITHM, CoseError, Sign1
from assay.evidence.decoding.cbor import CborError, decode
from assay.evidence.nitro import checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.ledger import CheckSpec
    from assay.evidence.nitro.claims import Platform

MAX_DOCUMENT_BYTES: Final = 16 * 1024
"""Largest document; a security module answers with at most 12 KiB."""
MAX_CERTIFICATE_BYTES: Final = 1024
MAX_CABUNDLE: Final = 8
MAX_PCRS: Final = 32
MAX_MODULE_ID: Final = 128
MAX_OPTIONAL_BYTES: Final = 1024
SIGNATURE_BYTES: Final = 96

_MAX_ITEMS: Final = 160  # twice what the largest document needs
_MAX_DEPTH: Final = 2
_PCR_BYTES: Final = frozenset({32, 48, 64})
_LAST_MILLISECOND: Final = 253_402_300_799_999  # of the year 9999
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REGISTERS: Final[dict[str, Platform]] = {"pcrs": "nitro", "nitrotpm_pcrs": "nitro-tpm"}
_REQUIRED: Final = frozenset({"module_id", "digest", "timestamp", "certificate", "cabundle"})
_OPTIONAL: Final = frozenset({"public_key", "user_data", "nonce"})
_KNOWN: Final = _REQUIRED | _OPTIONAL | _REGISTERS.keys()


class DocumentError(EvidenceError):
    """A document that cannot be read.

    Attributes:
        spec: The check that refuses it.
    """

    def __init__(self, spec: CheckSpec, code: str, message: str) -> None:
        super().__init__(code, message)
        self.spec = spec

    def __reduce__(self) -> tuple[type[DocumentError], tuple[CheckSpec, str, str]]:
        return (DocumentError, (self.spec, self.code, self.message))


@dataclass(frozen=True, slots=True)
class Document:
    """One decoded document; nothing about it is verified.

    Attributes:
        message: The signed message.
        platform: What issued it.
        module_id: Which module that was, at most 128 characters.
        digest: ``SHA384``.
        timestamp: When, aware UTC.
        pcrs: Register index -> value.
        certificate: The leaf, DER.
        cabundle: Root, region, zone, instance, DER.
        public_key: What the workload put in; None when it is absent or null.
        user_data: The same.
        nonce: The same.
    """

    message: Sign1
    platform: Platform
    module_id: str
    digest: str
    timestamp: datetime
    pcrs: dict[int, bytes]
    certificate: bytes
    cabundle: tuple[bytes, ...]
    public_key: bytes | None
    user_data: bytes | None
    nonce: bytes | None


def parse_document(data: bytes, platform: Platform) -> Document:
    """Decode a document and make the checks of ``LAYOUT_CHECKS`` in order.

    Args:
        data: The document, with or without tag 18, and nothing behind it.
        platform: What the Relying Party demands.

    Raises:
        DocumentError: The first of the checks that fails.
    """
    message, content = _message(data)
    payload = _payload(content)
    register = next((name for name in _REGISTERS if name in payload), "")
    if _REGISTERS[register] != platform:
        _refuse(
            checks.NITRO_PAYLOAD_PLATFORM, f"The document is of {_REGISTERS[register]}, not of {platform}."
        )
    return Document(
        message=message,
        platform=platform,
        module_id=_module_id(payload["module_id"]),
        digest=_digest(payload["digest"]),
        timestamp=_timestamp(payload["timestamp"]),
        pcrs=_pcrs(payload[register]),
        certificate=_certificate(payload["certificate"]),
        cabundle=_cabundle(payload["cabundle"]),
        public_key=_optional(payload, "public_key"),
        user_data=_optional(payload, "user_data"),
        nonce=_optional(payload, "nonce"),
    )


def _refuse(spec: CheckSpec, message: str, code: str = "") -> NoReturn:
    raise DocumentError(spec, code or spec.id, message)


def _message(data: bytes) -> tuple[Sign1, bytes]:
    """Return the message and its payload."""
    if len(data) > MAX_DOCUMENT_BYTES:
        _refuse(
            checks.NITRO_COSE_LAYOUT,
            f"The document is longer than {MAX_DOCUMENT_BYTES} bytes.",
            "nitro.cose.oversized",
        )
    try:
        message = Sign1.parse(data, max_bytes=MAX_DOCUMENT_BYTES)
    except CoseError as error:
        spec = checks.NITRO_COSE_HEADERS if error.code == "cose.headers" else checks.NITRO_COSE_LAYOUT
        raise DocumentError(spec, spec.id, error.message) from None
    if not message.payload:
        _refuse(checks.NITRO_COSE_LAYOUT, "The document has no payload.", "nitro.cose.payload")
    if len(message.signature) != SIGNATURE_BYTES:
        _refuse(
            checks.NITRO_COSE_LAYOUT,
            f"The signature has {len(message.signature)} bytes, not {SIGNATURE_BYTES}.",
            "nitro.cose.signature_length",
        )
    if message.headers.get(ALGORITHM) != Algorithm.ES384:
        _refuse(checks.NITRO_COSE_HEADERS, "The algorithm is not ES384.", "nitro.cose.algorithm")
    if len(message.headers) != 1 or message.unprotected:
        _refuse(checks.NITRO_COSE_HEADERS, "The headers hold more than the algorithm.")
    return message, message.payload


def _payload(data: bytes) -> dict[str, Any]:
    spec = checks.NITRO_PAYLOAD_LAYOUT
    try:
        payload = decode(
            data,
            max_bytes=MAX_DOCUMENT_BYTES,
            max_depth=_MAX_DEPTH,
            max_items=_MAX_ITEMS,
            indefinite_maps=True,
        )
    except CborError as error:
        raise DocumentError(spec, spec.id, error.message) from None
    if type(payload) is not dict:
        _refuse(spec, "The payload is no map.")
    if not payload.keys() <= _KNOWN:
        _refuse(spec, "The payload has a member that attestation documents do not have.")
    if not payload.keys() >= _REQUIRED:
        _refuse(spec, "The payload lacks a member that attestation documents have.")
    if len(_REGISTERS.keys() & payload.keys()) != 1:
        _refuse(spec, "The payload does not hold the registers of exactly one platform.")
    return payload


def _module_id(value: Any) -> str:
    if type(value) is not str or not 0 < len(value) <= MAX_MODULE_ID or not value.isprintable():
        _refuse(
            checks.NITRO_MODULE_ID, f"The module id is no text of 1 to {MAX_MODULE_ID} printable characters."
        )
    return value


def _digest(value: Any) -> str:
    if type(value) is not str or value != "SHA384":
        _refuse(checks.NITRO_DIGEST, "The registers are not of SHA384.")
    return value


def _timestamp(value: Any) -> datetime:
    if type(value) is not int or not 0 < value <= _LAST_MILLISECOND:
        _refuse(checks.NITRO_TIMESTAMP, "The timestamp is no number of milliseconds after 1970.")
    return _EPOCH + timedelta(milliseconds=value)


def _pcrs(value: Any) -> dict[int, bytes]:
    if type(value) is not dict or not 0 < len(value) <= MAX_PCRS:
        _refuse(checks.NITRO_PCRS, f"The registers are no map of 1 to {MAX_PCRS}.")
    for index, register in value.items():
        if type(index) is not int or not 0 <= index < MAX_PCRS:
            _refuse(checks.NITRO_PCRS, f"The index of a register is not 0 to {MAX_PCRS - 1}.")
        if type(register) is not bytes or len(register) not in _PCR_BYTES:
            _refuse(checks.NITRO_PCRS, "A register has not 32, 48 or 64 bytes.")
    return value


def _certificate(value: Any) -> bytes:
    if type(value) is not bytes or not 0 < len(value) <= MAX_CERTIFICATE_BYTES:
        _refuse(checks.NITRO_CERTIFICATES, f"A certificate is not 1 to {MAX_CERTIFICATE_BYTES} bytes.")
    return value


def _cabundle(value: Any) -> tuple[bytes, ...]:
    if type(value) is not list or not 0 < len(value) <= MAX_CABUNDLE:
        _refuse(checks.NITRO_CERTIFICATES, f"The CA bundle is no list of 1 to {MAX_CABUNDLE} certificates.")
    return tuple([_certificate(item) for item in value])


def _optional(payload: Mapping[str, Any], name: str) -> bytes | None:
    value = payload.get(name)
    if value is None:
        return None
    if type(value) is not bytes or len(value) > MAX_OPTIONAL_BYTES:
        _refuse(checks.NITRO_OPTIONAL, f"The {name} is not at most {MAX_OPTIONAL_BYTES} bytes.")
    return value
