"""Keys and the certificates that carry them through TLS.

A certificate here is only an envelope: trust never rests on its names, dates or issuer, always on the bytes
of the public key, which the binding (guest) or the measured launch configuration (owner) names.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from assay.errors import ChannelError
from assay.workload import linux_calls

if TYPE_CHECKING:
    import ssl

    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

# A guest's clock belongs to its host: validity means nothing here and must never be the reason of a refusal.
NOT_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
MAX_CERTIFICATE_BYTES = 2048


def spki_of(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    """Return the SubjectPublicKeyInfo DER of ``key``."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return ``key`` as unencrypted PKCS#8 PEM: a secret."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def self_signed(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    """Return a self-signed certificate of ``key``, DER."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )


def spki_of_certificate(der: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo DER inside the certificate ``der``.

    Raises:
        ChannelError: ``channel.certificate.malformed`` when it is not a certificate.
    """
    if len(der) <= MAX_CERTIFICATE_BYTES:
        try:
            certificate = x509.load_der_x509_certificate(der)
            return certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
            raise ChannelError(
                "channel.certificate.malformed", "The peer's certificate cannot be read."
            ) from error
    raise ChannelError("channel.certificate.malformed", "The peer's certificate is too large.")


def certificate_pem(der: bytes) -> bytes:
    """Return the certificate ``der`` as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def load_into(context: ssl.SSLContext, certificate: bytes, key_pem: bytes) -> None:
    """Give ``context`` a certificate (DER) and its private key (PEM) without touching a disk.

    The standard library only loads files, so the bytes pass through an anonymous memory file that is closed
    at once.
    """
    descriptor = linux_calls.memfd_create("assay-identity", linux_calls.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key_pem + certificate_pem(certificate))
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
