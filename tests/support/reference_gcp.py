"""Endorsements of firmware as Google makes them, under a root of our own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PSS = padding.PSS(padding.MGF1(SHA256()), 32)


@cache
def key(_which: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def certificate(
    name: str = "GCE-uefi-signer",
    *,
    authority: bool = False,
    issuer: str = "GCE-cc-tcb-root",
    signed_by: str = "root",
    digital_signature: bool = True,
) -> bytes:
    subject, parent = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in (name, issuer))
    usage = dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("encipher_only", "decipher_only"),
        ),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent)
        .public_key(key("root" if authority else "signer").public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=30))
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=digital_signature and not authority,
                key_cert_sign=authority,
                crl_sign=authority or not digital_signature,
                **usage,
            ),
            critical=True,
        )
        .sign(key(signed_by), SHA256(), rsa_padding=PSS)
        .public_bytes(Encoding.DER)
    )


def root() -> bytes:
    return certificate("GCE-cc-tcb-root", authority=True)


def varint(value: int) -> bytes:
    found = b""
    while value > 0x7F:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


SNP = {2: [field(1, 1) + field(2, b"\1" * 48), field(1, 4) + field(2, b"\4" * 48)], 1: [3], 7: [b"\7" * 48]}
TDX = {
    1: [5],
    2: [field(1, 16) + field(3, b"\x10" * 48), field(1, 16) + field(2, 1) + field(3, b"\x11" * 48)],
}


def message(fields) -> bytes:
    return b"".join(field(number, each) for number, values in fields.items() for each in values)


def golden(**changes) -> bytes:
    """Return the inner message; ``f7=[...]`` changes the values of field 7, None leaves it out."""
    fields = {
        1: [field(1, int(NOW.timestamp()))],
        2: [12345],
        3: [b"commit"],
        4: [certificate()],
        5: [b"\5" * 48],
        7: [message(SNP)],
        8: [message(TDX)],
    }
    fields |= {int(name[1:]): values for name, values in changes.items()}
    return message({number: values for number, values in fields.items() if values is not None})


def endorsement(inner: bytes, *, signed_by: str = "signer", more: bytes = b"") -> bytes:
    return field(1, inner) + field(2, key(signed_by).sign(inner, PSS, SHA256())) + more
