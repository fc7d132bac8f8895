"""Quotes inside certificates: dstack's RA-TLS extensions.

The arc 1.3.6.1.4.1.62397.1 holds: 1 quote, 2 event log (JSON, or ``ELGZv1`` and gzip), 3 application id,
4 use of the certificate, 8 attestation (see ``attestation``), 9 application information. Each value is the
DER of an OCTET STRING. Certificates carry 8, older ones 1 and 2.

Nothing here looks at the certificate's signature or validity: the quote speaks for the certificate's key
through its report data, and for nothing else in the certificate. Nothing here tells that somebody holds the
key now.

Source: dstack 0.6.0, ``ra-tls/src/oids.rs``, ``ra-tls/src/cert.rs``, ``ra-tls/src/attestation.rs``.
"""

from __future__ import annotations

import binascii
import re
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.decoding import der
from assay.evidence.dstack.fields import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CERTIFICATE_BYTES = 1024 * 1024
MAX_CHAIN_CERTIFICATES = 8
MAX_UNPACKED_LOG_BYTES = 16 * 1024
"""Largest event log in a compressed extension, as dstack bounds it."""
GZIP_MAGIC = b"ELGZv1"
_ARC = bytes.fromhex("2b0601040183e73d01")
_MAX_EXTENSIONS = 64
_VERSION_3 = 0xA0
_EXTENSIONS = 0xA3
_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+?)\r?\n-----END CERTIFICATE-----(?:\r?\n)*"
)


class Extension(IntEnum):
    """Members of dstack's arc."""

    QUOTE = 1
    EVENT_LOG = 2
    APP_ID = 3
    CERT_USAGE = 4
    ATTESTATION = 8
    APP_INFO = 9


@dataclass(frozen=True, slots=True)
class RatlsCertificate:
    """The parts of a certificate that dstack's evidence rests on; nothing in it is authenticated.

    Attributes:
        spki: DER of the SubjectPublicKeyInfo.
        extensions: The content of dstack's extensions.
    """

    spki: bytes
    extensions: Mapping[Extension, bytes]


def parse_certificate(certificate: bytes) -> RatlsCertificate:
    """Read key and extensions of a DER certificate.

    Raises:
        EvidenceError: ``dstack.certificate.*``; ``der.malformed`` when it is not strict DER.
    """
    if len(certificate) > MAX_CERTIFICATE_BYTES:
        refuse("certificate.size", f"The certificate has more than {MAX_CERTIFICATE_BYTES} bytes.")
    outer = der.DerReader(certificate)
    body = outer.enter()
    outer.finish()
    tbs = body.enter()
    if tbs.peek() == _VERSION_3:
        tbs.span(_VERSION_3)
    tbs.unsigned()
    for _ in ("signature algorithm", "issuer", "validity", "subject"):
        tbs.span(der.SEQUENCE)
    spki = tbs.whole(der.SEQUENCE)
    found: dict[Extension, bytes] = {}
    if tbs.peek() == _EXTENSIONS:
        wrapper = tbs.enter(_EXTENSIONS)
        found = _extensions(wrapper.enter())
        wrapper.finish()
    tbs.finish()
    return RatlsCertificate(spki, found)


def leaf_of_chain(pem: bytes) -> bytes:
    """Return the DER of the first certificate of a PEM chain.

    Raises:
        EvidenceError: ``dstack.certificate.chain`` when the text is anything but certificates.
    """
    if len(pem) > MAX_CERTIFICATE_BYTES:
        refuse("certificate.size", f"The certificate chain has more than {MAX_CERTIFICATE_BYTES} bytes.")
    at = 0
    found: list[bytes] = []
    while at < len(pem):
        block = _PEM.match(pem, at)
        if block is None or len(found) == MAX_CHAIN_CERTIFICATES:
            refuse("certificate.chain", "The certificate chain is not a few certificates in PEM.")
        found.append(_base64(block[1]))
        at = block.end()
    if not found:
        refuse("certificate.chain", "The certificate chain is empty.")
    return found[0]


def unpack_log(value: bytes) -> bytes:
    """Return the JSON of an event log extension, decompressed when it is compressed.

    Raises:
        EvidenceError: ``dstack.certificate.log_size`` for more than 16 KiB, before more is decompressed;
            ``dstack.certificate.log_gzip`` for anything but one whole gzip member.
    """
    if not value.startswith(GZIP_MAGIC):
        return value
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = unpacker.decompress(value[len(GZIP_MAGIC) :], MAX_UNPACKED_LOG_BYTES + 1)
    except zlib.error as error:
        raise EvidenceError("dstack.certificate.log_gzip", "The compressed event log is not gzip.") from error
    if len(found) > MAX_UNPACKED_LOG_BYTES:
        refuse("certificate.log_size", f"The event log has more than {MAX_UNPACKED_LOG_BYTES} bytes.")
    if not unpacker.eof or unpacker.unused_data:
        refuse("certificate.log_gzip", "The compressed event log is cut short, or something follows it.")
    return found


def _extensions(reader: der.DerReader) -> dict[Extension, bytes]:
    found: dict[Extension, bytes] = {}
    count = 0
    while reader.more():
        count += 1
        if count > _MAX_EXTENSIONS:
            refuse("certificate.extensions", f"The certificate has more than {_MAX_EXTENSIONS} extensions.")
        extension = reader.enter()
        oid = extension.value(der.OBJECT_IDENTIFIER)
        if extension.peek() == der.BOOLEAN:
            extension.boolean()
        value = extension.value(der.OCTET_STRING)
        extension.finish()
        kind = _kind(oid)
        if kind is None:
            continue
        if kind in found:
            refuse("certificate.duplicate", "The certificate has one of dstack's extensions twice.")
        found[kind] = _octets(value)
    return found


def _kind(oid: bytes) -> Extension | None:
    if oid[:-1] != _ARC:
        return None
    try:
        return Extension(oid[-1])
    except ValueError:
        return None


def _octets(value: bytes) -> bytes:
    reader = der.DerReader(value)
    found = reader.value(der.OCTET_STRING)
    reader.finish()
    return found


def _base64(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text.translate(None, b"\r\n"), strict_mode=True)
    except binascii.Error as error:
        raise EvidenceError("dstack.certificate.chain", "A certificate is not base64.") from error
