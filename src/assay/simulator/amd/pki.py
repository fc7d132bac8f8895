"""Certificates and CRLs as AMD issues them, before they are signed: everything in them may be changed.

RSASSA-PSS takes its salt from the message, so that an installation always issues the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.simulator.amd import der

if TYPE_CHECKING:
    from datetime import datetime

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

KEY_USAGE = "2.5.29.15"
BASIC_CONSTRAINTS = "2.5.29.19"
SUBJECT_KEY = "2.5.29.14"
AUTHORITY_KEY = "2.5.29.35"
CRL_POINTS = "2.5.29.31"
CRL_NUMBER = "2.5.29.20"
AMD_ARC = "1.3.6.1.4.1.3704.1"
P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
_HASHES = {"sha256": "2.16.840.1.101.3.4.2.1", "sha384": "2.16.840.1.101.3.4.2.2"}


def derive_p384(secret: bytes, label: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-384 key of this secret and label: SHA-512 of both, reduced into 1..n-1."""
    digest = hashlib.sha512(len(secret).to_bytes(4, "big") + secret + label.encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest, "big") % (P384_ORDER - 1) + 1, ec.SECP384R1())


def amd_name(common_name: str) -> bytes:
    """Return a name as AMD orders it: OU, C, L, ST, O, CN."""
    parts = (
        ("2.5.4.11", der.UTF8_STRING, "Engineering"),
        ("2.5.4.6", der.PRINTABLE_STRING, "US"),
        ("2.5.4.7", der.UTF8_STRING, "Santa Clara"),
        ("2.5.4.8", der.UTF8_STRING, "CA"),
        ("2.5.4.10", der.UTF8_STRING, "Advanced Micro Devices"),
        ("2.5.4.3", der.UTF8_STRING, common_name),
    )
    return der.element(
        der.SEQUENCE,
        *(
            der.element(der.SET, der.element(der.SEQUENCE, der.oid(oid), der.element(tag, text.encode())))
            for oid, tag, text in parts
        ),
    )


def pss_identifier(name: str = "sha384") -> bytes:
    """Return the AlgorithmIdentifier of RSASSA-PSS as AMD writes it, its default trailer field included."""
    digest = der.element(der.SEQUENCE, der.oid(_HASHES[name]), der.NULL)
    mask = der.element(der.SEQUENCE, der.oid("1.2.840.113549.1.1.8"), digest)
    return der.element(
        der.SEQUENCE,
        der.oid("1.2.840.113549.1.1.10"),
        der.element(
            der.SEQUENCE,
            der.element(0xA0, digest),
            der.element(0xA1, mask),
            der.element(0xA2, der.integer(hashlib.new(name).digest_size)),
            der.element(0xA3, der.integer(1)),
        ),
    )


def sign_pss(key: rsa.RSAPrivateKey, message: bytes, name: str = "sha384") -> bytes:
    """Return the RSASSA-PSS signature (RFC 8017, 8.1.1) whose salt is derived from key and message."""
    numbers = key.private_numbers()
    modulus = numbers.public_numbers.n
    size = hashlib.new(name).digest_size
    digest = hashlib.new(name, message).digest()
    salt = hashlib.new(name, b"salt" + numbers.d.to_bytes(1024, "big") + digest).digest()
    hashed = hashlib.new(name, bytes(8) + digest + salt).digest()
    length = (modulus.bit_length() - 1 + 7) // 8
    block = bytes(length - 2 * size - 2) + b"\x01" + salt
    mask = b"".join(
        hashlib.new(name, hashed + counter.to_bytes(4, "big")).digest()
        for counter in range((len(block) + size - 1) // size)
    )
    masked = bytearray(left ^ right for left, right in zip(block, mask, strict=False))
    masked[0] &= 0xFF >> (8 * length - (modulus.bit_length() - 1))
    encoded = int.from_bytes(bytes(masked) + hashed + b"\xbc", "big")
    low = pow(encoded, numbers.dmp1, numbers.p)
    other = pow(encoded, numbers.dmq1, numbers.q)
    signature = other + numbers.q * ((low - other) * numbers.iqmp % numbers.p)
    return signature.to_bytes((modulus.bit_length() + 7) // 8, "big")


def spki(key: PublicKey) -> bytes:
    """Return a public key as SubjectPublicKeyInfo, DER."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_identifier(key: PublicKey) -> bytes:
    """Return the identifier of a key, 20 bytes."""
    return hashlib.sha256(spki(key)).digest()[:20]


def authority_extensions(
    key: PublicKey, issuer: PublicKey | None, *, path_length: int | None, usage: int, url: str
) -> list[bytes]:
    """Return the extensions of an ARK (no issuer), an ASK or an ASVK."""
    names_issuer = der.element(der.SEQUENCE, der.element(0x80, key_identifier(issuer))) if issuer else b""
    point = der.element(der.SEQUENCE, der.element(0xA0, der.element(0xA0, der.element(0x86, url.encode()))))
    return [
        der.extension(SUBJECT_KEY, der.element(der.OCTET_STRING, key_identifier(key))),
        *([der.extension(AUTHORITY_KEY, names_issuer)] if issuer else []),
        basic_constraints(authority=True, path_length=path_length),
        key_usage(usage),
        der.extension(CRL_POINTS, der.element(der.SEQUENCE, point)),
    ]


def basic_constraints(*, authority: bool, path_length: int | None = None) -> bytes:
    """Return critical basic constraints."""
    length = b"" if path_length is None else der.integer(path_length)
    value = der.element(der.SEQUENCE, der.TRUE if authority else b"", length)
    return der.extension(BASIC_CONSTRAINTS, value, critical=True)


def key_usage(usage: int) -> bytes:
    """Return a critical key usage of these bits (keyCertSign 0x04, cRLSign 0x02), all eight written out."""
    return der.extension(KEY_USAGE, der.bits(bytes([usage])), critical=True)


@dataclass(slots=True)
class CertificateDraft:
    """A certificate before it is signed.

    Attributes:
        common_name: The subject's.
        issuer_name: The issuer's, as it is written.
        key: The public key that is certified.
        issuer_key: Signs it.
        not_before: Start of validity.
        not_after: End of validity.
        serial: The serial number; 0 in every VCEK and VLEK.
        extensions: Each as DER, in order.
        hash: Of the signature: ``sha384``, as AMD signs, or ``sha256``.
    """

    common_name: str
    issuer_name: str
    key: PublicKey
    issuer_key: rsa.RSAPrivateKey = field(repr=False)
    not_before: datetime
    not_after: datetime
    serial: int = 0
    extensions: list[bytes] = field(default_factory=list)
    hash: str = "sha384"

    def sign(self) -> bytes:
        """Return the DER of the signed certificate."""
        body = der.element(
            der.SEQUENCE,
            der.element(0xA0, der.integer(2)),
            der.integer(self.serial),
            pss_identifier(self.hash),
            amd_name(self.issuer_name),
            der.element(der.SEQUENCE, der.time(self.not_before), der.time(self.not_after)),
            amd_name(self.common_name),
            spki(self.key),
            der.element(0xA3, der.element(der.SEQUENCE, *self.extensions)),
        )
        return _signed(body, self.issuer_key, self.hash)


@dataclass(slots=True)
class CrlDraft:
    """A CRL before it is signed.

    Attributes:
        issuer_name: The issuer's, as it is written.
        issuer_key: Signs it.
        this_update: When it was made.
        next_update: When the next one is due.
        revoked: Serial numbers.
        number: The CRL number; None leaves it out.
        names_key: The public key that it names as its issuer's; None is that of ``issuer_key``.
        hash: Of the signature.
    """

    issuer_name: str
    issuer_key: rsa.RSAPrivateKey = field(repr=False)
    this_update: datetime
    next_update: datetime
    revoked: list[int] = field(default_factory=list)
    number: int | None = 1
    names_key: PublicKey | None = None
    hash: str = "sha384"

    def sign(self) -> bytes:
        """Return the DER of the signed CRL."""
        named = key_identifier(self.names_key or self.issuer_key.public_key())
        extensions = [der.extension(AUTHORITY_KEY, der.element(der.SEQUENCE, der.element(0x80, named)))]
        if self.number is not None:
            extensions.append(der.extension(CRL_NUMBER, der.integer(self.number)))
        entries = [
            der.element(der.SEQUENCE, der.integer(serial), der.time(self.this_update))
            for serial in self.revoked
        ]
        body = der.element(
            der.SEQUENCE,
            der.integer(1),
            pss_identifier(self.hash),
            amd_name(self.issuer_name),
            der.time(self.this_update),
            der.time(self.next_update),
            der.element(der.SEQUENCE, *entries) if entries else b"",
            der.element(0xA0, der.element(der.SEQUENCE, *extensions)),
        )
        return _signed(body, self.issuer_key, self.hash)


def _signed(body: bytes, key: rsa.RSAPrivateKey, name: str) -> bytes:
    return der.element(der.SEQUENCE, body, pss_identifier(name), der.bits(sign_pss(key, body, name)))
