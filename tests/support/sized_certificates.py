"""Certificates of an exact size, for the limits of those who read them."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from support.token_scenes import NOW, stranger

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

_PADDING = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


def certificate_for(key: CertificatePublicKeyTypes, padding: int = 0) -> bytes:
    """Return a certificate for ``key`` with an extension of ``padding`` zero bytes, as DER."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a key")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.UnrecognizedExtension(_PADDING, bytes(padding)), critical=False)
    )
    return builder.sign(stranger(), SHA256()).public_bytes(Encoding.DER)


@cache
def certificate_of(size: int) -> bytes:
    """Return a self-signed certificate of exactly ``size`` bytes, at least 2,000, as DER."""
    key = stranger().public_key()
    # Each padding is of 256 to 65,535 bytes, so that its length takes as many bytes to say.
    made = certificate_for(key, 1000 + size - len(certificate_for(key, 1000)))
    assert len(made) == size
    return made
