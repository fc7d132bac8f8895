"""OCSP responses (RFC 6960 section 4.2): one basic response about one certificate, read strictly.

OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED, [0] SEQUENCE { id-pkix-ocsp-basic, OCTET STRING } }
BasicOCSPResponse ::= SEQUENCE { tbsResponseData, signatureAlgorithm, signature BIT STRING, [0] certs }
ResponseData ::= SEQUENCE { responderID, producedAt, SEQUENCE OF SingleResponse, [1] extensions }
SingleResponse ::= SEQUENCE { certID, certStatus, thisUpdate, [0] nextUpdate, [1] extensions }
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import (
    ENUMERATED,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    DerReader,
)
from assay.evidence.x509.certificate import read_extensions
from assay.evidence.x509.signature import ALGORITHMS, SignatureAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MAX_RESPONSE_BYTES: Final = 16384
_MAX_CERTIFICATES: Final = 4
_MOST_NONCE_BYTES: Final = 128

_BASIC: Final = bytes.fromhex("2b0601050507300101")  # id-pkix-ocsp-basic
OID_NONCE: Final = bytes.fromhex("2b0601050507300102")
_NULL: Final = b"\x05\x00"
_GOOD, _REVOKED, _UNKNOWN = 0x80, 0xA1, 0x82
_BY_NAME, _BY_KEY = 0xA1, 0xA2

# AlgorithmIdentifier content, without and with NULL parameters, to the name that hashlib knows. SHA-1 stands
# here because it only names the issuer; nothing is trusted for it.
_HASHES: Final = {
    bytes.fromhex(prefix) + tail: name
    for prefix, name in (
        ("06052b0e03021a", "sha1"),
        ("0609608648016503040201", "sha256"),
        ("0609608648016503040202", "sha384"),
        ("0609608648016503040203", "sha512"),
    )
    for tail in (b"", _NULL)
}


class CertificateStatus(StrEnum):
    """What the service says of the certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


class ResponseStatusError(DerError):
    """The service answered with an error instead of a status."""


@dataclass(frozen=True, slots=True)
class OcspResponse:
    """One decoded response; nothing about it is verified.

    Attributes:
        signed: The bytes that the responder signed, a slice of the input.
        algorithm: What the signature was made with.
        signature: The signature.
        certificates: DER of the certificates that came along, at most four.
        responder_name: DER of the responder's name; None when it named its key.
        responder_key: SHA-1 of the responder's public key, 20 bytes; None when it gave its name.
        produced_at: When the response was signed.
        hash_name: What the issuer is named with, as ``hashlib`` calls it.
        issuer_name_hash: Digest of the issuer's name.
        issuer_key_hash: Digest of the issuer's public key.
        serial: Content of the serial number's INTEGER.
        status: What it says.
        reason: Number of the revocation reason (RFC 5280 section 5.3.1); None when it gives none.
        this_update: When the status was known to be right.
        next_update: When newer information is due; None when the response does not say.
        nonce: The nonce that it carries; None when it carries none.
    """

    signed: bytes
    algorithm: SignatureAlgorithm
    signature: bytes
    certificates: tuple[bytes, ...]
    responder_name: bytes | None
    responder_key: bytes | None
    produced_at: datetime
    hash_name: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: bytes
    status: CertificateStatus
    reason: int | None
    this_update: datetime
    next_update: datetime | None
    nonce: bytes | None

    @classmethod
    def parse(cls, der: bytes) -> OcspResponse:
        """Decode one response.

        Args:
            der: At most 16,384 bytes.

        Raises:
            ResponseStatusError: The service answered that it cannot say.
            DerError: It is no strict basic response about exactly one certificate.
        """
        if len(der) > MAX_RESPONSE_BYTES:
            raise DerError(f"An OCSP response is longer than {MAX_RESPONSE_BYTES} bytes.")
        top = DerReader(der)
        outer = top.enter()
        top.finish()
        status = outer.integer(ENUMERATED)
        if status != 0:
            raise ResponseStatusError(f"The OCSP service answered with error {status & 0xFF}.")
        wrapper = outer.enter(0xA0)
        outer.finish()
        typed = wrapper.enter()
        wrapper.finish()
        if typed.value(OBJECT_IDENTIFIER) != _BASIC:
            raise DerError("An OCSP response is of another type than basic.")
        start, stop = typed.span(OCTET_STRING)
        typed.finish()
        return cls._basic(DerReader(der, start, stop))

    @classmethod
    def _basic(cls, content: DerReader) -> OcspResponse:
        basic = content.enter()
        content.finish()
        first = basic.pos
        data = basic.enter()
        signed = data.data[first : data.end]
        algorithm = ALGORITHMS.get(basic.whole(SEQUENCE))
        if algorithm is None:
            raise DerError("An OCSP response is signed with an algorithm that is not known here.")
        signature = basic.bits()
        certificates = _certificates(basic)
        basic.finish()
        name, key = _responder(data)
        produced_at = data.time(any_form=True)
        responses = data.enter()
        single = responses.enter()
        responses.finish()
        extensions = read_extensions(data.enter(0xA1)) if data.more() else {}
        data.finish()
        identity = single.enter()
        hash_name = _HASHES.get(identity.value(SEQUENCE))
        if hash_name is None:
            raise DerError("An OCSP response names the issuer with a digest that is not known here.")
        issuer_name, issuer_key = identity.value(OCTET_STRING), identity.value(OCTET_STRING)
        serial = identity.unsigned()
        identity.finish()
        found, reason = _status(single)
        this_update = single.time(any_form=True)
        next_update = _optional_time(single)
        if single.more():
            _refuse_critical(read_extensions(single.enter(0xA1)))
        single.finish()
        return cls(
            signed,
            algorithm,
            signature,
            certificates,
            name,
            key,
            produced_at,
            hash_name,
            issuer_name,
            issuer_key,
            serial,
            found,
            reason,
            this_update,
            next_update,
            _nonce(extensions),
        )


def _certificates(basic: DerReader) -> tuple[bytes, ...]:
    found: list[bytes] = []
    if basic.more():
        wrapper = basic.enter(0xA0)
        items = wrapper.enter()
        wrapper.finish()
        while items.more():
            if len(found) == _MAX_CERTIFICATES:
                raise DerError(f"An OCSP response carries more than {_MAX_CERTIFICATES} certificates.")
            found.append(items.whole(SEQUENCE))
    return tuple(found)


def _responder(data: DerReader) -> tuple[bytes | None, bytes | None]:
    tag = data.peek()
    if tag not in (_BY_NAME, _BY_KEY):
        raise DerError("An OCSP response does not name its responder, or is of another version than 1.")
    inner = data.enter(tag)
    if tag == _BY_NAME:
        name = inner.whole(SEQUENCE)
        inner.finish()
        return name, None
    key = inner.value(OCTET_STRING)
    inner.finish()
    return None, key


def _status(single: DerReader) -> tuple[CertificateStatus, int | None]:
    tag = single.peek()
    if tag in (_GOOD, _UNKNOWN):
        if single.value(tag):
            raise DerError("An OCSP status without content has some.")
        return (CertificateStatus.GOOD if tag == _GOOD else CertificateStatus.UNKNOWN), None
    info = single.enter(_REVOKED)
    info.time(any_form=True)
    reason = None
    if info.more():
        wrapper = info.enter(0xA0)
        reason = wrapper.integer(ENUMERATED)
        wrapper.finish()
    info.finish()
    return CertificateStatus.REVOKED, reason


def _optional_time(single: DerReader) -> datetime | None:
    if single.peek() != 0xA0:
        return None
    wrapper = single.enter(0xA0)
    found = wrapper.time(any_form=True)
    wrapper.finish()
    return found


def _refuse_critical(extensions: Mapping[bytes, tuple[bool, bytes]]) -> None:
    if any(critical for oid, (critical, _) in extensions.items() if oid != OID_NONCE):
        raise DerError("An OCSP response has a critical extension that is not known here.")


def _nonce(extensions: Mapping[bytes, tuple[bool, bytes]]) -> bytes | None:
    """Return the nonce, an OCTET STRING of 1 to 128 bytes (RFC 9654)."""
    _refuse_critical(extensions)
    found = extensions.get(OID_NONCE)
    if found is None:
        return None
    reader = DerReader(found[1])
    nonce = reader.value(OCTET_STRING)
    reader.finish()
    if not 1 <= len(nonce) <= _MOST_NONCE_BYTES:
        raise DerError("The nonce of an OCSP response has another length than 1 to 128 bytes.")
    return nonce
