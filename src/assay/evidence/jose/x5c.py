"""Certificates in a token's header (RFC 7515, section 4.1.6), and their verification under a pinned root.

Some services put whole PEM texts where the RFC has base64 of DER; both are read, each strictly. A chain in a
header is a claim about itself until its last certificate is, byte for byte, a root that the caller trusts.
"""

from __future__ import annotations

from typing import Any, Final

from assay.evidence.decoding import pem
from assay.evidence.decoding.der import DerError
from assay.evidence.decoding.pem import PemError
from assay.evidence.jose.base64url import decode_standard
from assay.evidence.jose.errors import JoseError
from assay.evidence.x509.general import MAX_GENERAL_CERTIFICATE_BYTES, GeneralCertificate

MAX_CHAIN: Final = 6
_MOST_TEXT: Final = 2 * MAX_GENERAL_CERTIFICATE_BYTES


def ders_of(x5c: Any, *, count: int | None = None) -> tuple[bytes, ...]:
    """Return the bytes of the certificates of an ``x5c`` header, leaf first.

    Args:
        x5c: The header's value.
        count: How many certificates there must be; None for 1 to 6.

    Raises:
        JoseError: ``jose.chain`` when it is another number of strict texts.
    """
    if type(x5c) is not list or not 1 <= len(x5c) <= MAX_CHAIN or len(x5c) != (count or len(x5c)):
        raise JoseError("jose.chain", f"A header does not hold {count or 'a few'} certificates.")
    return tuple(_der(text) for text in x5c)


def chain_of(x5c: Any, *, count: int | None = None) -> tuple[GeneralCertificate, ...]:
    """Return the certificates of an ``x5c`` header, leaf first; nothing about them is verified.

    Args:
        x5c: The header's value.
        count: How many certificates there must be; None for 1 to 6.

    Raises:
        JoseError: ``jose.chain`` when it is another number of strict certificates.
    """
    return tuple(certificate_of(der) for der in ders_of(x5c, count=count))


def certificate_of(der: bytes) -> GeneralCertificate:
    """Return a certificate of a header.

    Raises:
        JoseError: ``jose.chain``.
    """
    try:
        return GeneralCertificate.parse(der)
    except DerError as error:
        raise JoseError("jose.chain", f"A certificate of a header cannot be read: {error.message}") from None


def _der(text: Any) -> bytes:
    if type(text) is not str or len(text) > _MOST_TEXT or not text.isascii():
        raise JoseError("jose.chain", "A certificate of a header is no text, or too long.")
    data = text.encode("ascii")
    try:
        if data.startswith(b"-----BEGIN"):
            return pem.certificates(data, count=1)[0]
        return decode_standard(data)
    except (PemError, JoseError) as error:
        raise JoseError("jose.chain", f"A certificate of a header cannot be read: {error.message}") from None
