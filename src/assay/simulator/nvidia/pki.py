"""P-384 keys and certificates with NVIDIA's names and extensions, under any root.

Keys are derived and signatures deterministic, as those of the simulated Intel are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

_ORDER: Final = (
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
)
MADE: Final = datetime(2021, 11, 5, tzinfo=UTC)
FOREVER: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
AUTHORITY_USAGE: Final = frozenset({"key_cert_sign", "crl_sign"})
SIGNER_USAGE: Final = frozenset({"digital_signature"})
COMMON_NAME: Final = NameOID.COMMON_NAME
SERIAL_NUMBER: Final = NameOID.SERIAL_NUMBER
OID_COMPOSITE: Final = "2.23.133.5.4.1"
OID_TCB_INFO: Final = "2.23.133.5.4.1.1"
_SHA384_FWID: Final = bytes.fromhex("303d06096086480165030402020430")


@lru_cache(maxsize=256)
def derive_key(secret: bytes, label: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-384 key of this secret and label."""
    prefix = len(secret).to_bytes(4, "big") + secret + label.encode()
    digest = hashlib.sha512(b"p384 1" + prefix).digest() + hashlib.sha512(b"p384 2" + prefix).digest()
    return ec.derive_private_key(int.from_bytes(digest, "big") % (_ORDER - 1) + 1, ec.SECP384R1())


def sign_raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the deterministic ECDSA signature over SHA-384 of ``message`` as r || s, 96 bytes big-endian."""
    der = key.sign(message, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a key, DER."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def name(common_name: str, *, serial: str = "") -> x509.Name:
    """Return a name as NVIDIA writes it: C, O, CN, and the number of a chip."""
    attributes = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "NVIDIA Corporation"),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    if serial:
        attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
    return x509.Name(attributes)


def composite_id(chip: ec.EllipticCurvePrivateKey, fwid: bytes) -> bytes:
    """Return the composite device id of Hopper's chips: version, the chip's key, a firmware digest."""
    return _sequence(b"\x02\x01\x01", spki(chip), _SHA384_FWID + fwid)


def tcb_info(chip: str, fwids: Sequence[bytes]) -> bytes:
    """Return the DICE TCB info that Blackwell's chips write."""
    fields = b"".join(
        bytes([0x80 | number, len(value)]) + value
        for number, value in enumerate((b"NVIDIA", f"{chip} A01 GSP".encode(), b"1", b"\x01", b"\0", b"\0"))
    )
    listed = b"".join(_SHA384_FWID + fwid for fwid in fwids)
    tail = bytes.fromhex("870500800000018801c0890100")
    return _sequence(fields, tagged(0xA6, listed), tail)


def tagged(tag: int, content: bytes) -> bytes:
    """Return one DER element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return tagged(0x30, b"".join(parts))


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate says; ``dataclasses.replace`` makes one that says something wrong.

    Attributes:
        common_name: The subject's CN.
        serial_number: The subject's serialNumber attribute; empty for none.
        not_before: Start of validity.
        not_after: End of validity.
        authority: Whether basicConstraints says CA; None leaves the extension out.
        usage: Names of the key usages that are set.
        extension: Object identifier and value of one more extension.
        ocsp_signing: Whether it may sign OCSP answers.
        issuer_name: CN written as its issuer's; None takes the issuer's own subject.
    """

    common_name: str
    serial_number: str = ""
    not_before: datetime = MADE
    not_after: datetime = FOREVER
    authority: bool | None = True
    usage: frozenset[str] = AUTHORITY_USAGE
    extension: tuple[str, bytes] | None = None
    ocsp_signing: bool = False
    issuer_name: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key.

    Attributes:
        key: The private key.
        certificate: The certificate.
    """

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The DER of the certificate."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def pem(self) -> bytes:
        """Return the PEM of the certificate, with a newline at its end."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, profile: Profile, key: ec.EllipticCurvePrivateKey) -> Issued:
        """Return a certificate for ``key`` that this one issues."""
        return _issue(profile, key, self.key, self.certificate.subject)


def self_signed(profile: Profile, key: ec.EllipticCurvePrivateKey) -> Issued:
    """Return a certificate for ``key`` that it signs itself."""
    return _issue(profile, key, key, name(profile.common_name))


def _issue(
    profile: Profile,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer_name: x509.Name,
) -> Issued:
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(profile.common_name, serial=profile.serial_number))
        .issuer_name(name(profile.issuer_name) if profile.issuer_name else issuer_name)
        .public_key(public)
        .serial_number(int.from_bytes(identifier.digest, "big") >> 1 or 1)
        .not_valid_before(profile.not_before)
        .not_valid_after(profile.not_after)
        .add_extension(x509.KeyUsage(**{usage: usage in profile.usage for usage in _USAGES}), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(authority, critical=False)
    )
    if profile.authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(profile.authority, None), critical=True)
    if profile.ocsp_signing:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
        builder = builder.add_extension(purposes, critical=False)
    if profile.extension is not None:
        oid, value = profile.extension
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        builder = builder.add_extension(unknown, critical=False)
    return Issued(key, builder.sign(issuer_key, hashes.SHA384(), ecdsa_deterministic=True))


def forged(profile: Profile, key: ec.EllipticCurvePrivateKey, issuer: Issued, forger: Issued) -> Issued:
    """Return a certificate that names one issuer, with its key, and is signed by another."""
    return resigned(issuer.issue(profile, key).certificate.tbs_certificate_bytes, key, forger)


def resigned(signed: bytes, key: ec.EllipticCurvePrivateKey, issuer: Issued) -> Issued:
    """Return a certificate of which every byte that is signed is given."""
    signature = issuer.key.sign(signed, ec.ECDSA(hashes.SHA384(), deterministic_signing=True))
    algorithm = bytes.fromhex("300a06082a8648ce3d040303")
    der = _sequence(signed, algorithm, tagged(0x03, b"\0" + signature))
    return Issued(key, x509.load_der_x509_certificate(der))
