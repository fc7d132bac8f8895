"""Certificates and CRLs of clouds' authorities for virtual TPMs, before they are signed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from assay.simulator.tpm.device import PrivateKey

AIK_USAGE: Final = "2.23.133.8.3"
EK_USAGE: Final = "2.23.133.8.1"
MADE: Final = datetime(2025, 6, 1, tzinfo=UTC)
_HASHES: Final[dict[str, SHA256 | SHA384]] = {"sha256": SHA256(), "sha384": SHA384()}


@dataclass(slots=True)
class CertificateDraft:
    """A certificate before it is signed; an attack changes any of it.

    Attributes:
        subject: Its common name; empty for no name at all.
        issuer: Common name of its issuer.
        key: Its key.
        issuer_key: What signs it.
        authority: Whether it issues certificates.
        usages: Extended key usages, dotted.
        extensions: Further extensions: dotted identifier -> whether critical, and DER value.
        serial: Serial number.
        not_before: Beginning of its validity.
        days: Length of its validity.
        digest: ``sha256`` or ``sha384``.
        digital_signature: Whether KeyUsage allows signatures; always off for an authority.
    """

    subject: str
    issuer: str
    key: PrivateKey = field(repr=False)
    issuer_key: rsa.RSAPrivateKey = field(repr=False)
    authority: bool
    usages: tuple[str, ...] = ()
    extensions: dict[str, tuple[bool, bytes]] = field(default_factory=dict)
    serial: int = 0x5EED
    not_before: datetime = MADE
    days: int = 3650
    digest: str = "sha256"
    digital_signature: bool = True

    def sign(self) -> bytes:
        """Return the certificate as it stands, DER."""
        usage = x509.KeyUsage(
            digital_signature=self.digital_signature and not self.authority,
            content_commitment=False,
            key_encipherment=not self.digital_signature and not self.authority,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=self.authority,
            crl_sign=self.authority,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(self.subject))
            .issuer_name(name(self.issuer))
            .public_key(self.key.public_key())
            .serial_number(self.serial)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_before + timedelta(days=self.days))
            .add_extension(x509.BasicConstraints(ca=self.authority, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuer_key.public_key()),
                critical=False,
            )
        )
        if self.usages:
            usages = [ObjectIdentifier(oid) for oid in self.usages]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        for oid, (critical, value) in self.extensions.items():
            extension = x509.UnrecognizedExtension(ObjectIdentifier(oid), value)
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.issuer_key, _HASHES[self.digest]).public_bytes(Encoding.DER)


@dataclass(slots=True)
class CrlDraft:
    """A CRL before it is signed.

    Attributes:
        issuer: Common name of its issuer.
        issuer_key: What signs it; its identifier stands in the list.
        made: When it was made.
        days: For how long it is valid.
        revoked: Serial numbers on it.
        signing_key: What signs it in place of the issuer's key.
    """

    issuer: str
    issuer_key: PrivateKey = field(repr=False)
    made: datetime
    days: int = 30
    revoked: tuple[int, ...] = ()
    signing_key: PrivateKey | None = field(default=None, repr=False)

    def sign(self) -> bytes:
        """Return the CRL as it stands, DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name(self.issuer))
            .last_update(self.made)
            .next_update(self.made + timedelta(days=self.days))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.issuer_key.public_key()),
                critical=False,
            )
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(self.made).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.signing_key or self.issuer_key, SHA256()).public_bytes(Encoding.DER)


def name(common_name: str) -> x509.Name:
    """Return a name of one common name; an empty one for an empty text."""
    if not common_name:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
