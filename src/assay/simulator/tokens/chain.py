"""The simulated authorities of Confidential Space's PKI tokens, with Google's names and extensions."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

_TEXT: Final = (
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Google Cloud"),
    (NameOID.ORGANIZATION_NAME, "Google LLC"),
    (NameOID.LOCALITY_NAME, "Mountain View"),
    (NameOID.STATE_OR_PROVINCE_NAME, "California"),
    (NameOID.COUNTRY_NAME, "US"),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate says; ``dataclasses.replace`` makes one that says something wrong.

    Attributes:
        name: Common name of the subject.
        authority: Whether it is an authority.
        start: notBefore.
        end: notAfter.
        digest: Hash of the signature over it.
        issuer_name: Common name of the issuer as it is written; None takes the issuer's own.
        list_at: Where its issuer is said to publish its list; empty for nowhere.
    """

    name: str
    authority: bool
    start: datetime
    end: datetime
    digest: hashes.SHA256 | hashes.SHA384 = field(default_factory=hashes.SHA256)
    issuer_name: str | None = None
    list_at: str = ""


ROOT: Final = Profile(
    name="Confidential Space Root CA",
    authority=True,
    start=datetime(2024, 1, 19, tzinfo=UTC),
    end=datetime(2034, 1, 16, tzinfo=UTC),
)
INTERMEDIATE: Final = replace(ROOT, name="Confidential Space Intermediate CA")
LEAF: Final = replace(ROOT, name="Confidential Space Leaf Certificate", authority=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key.

    Attributes:
        key: The private key.
        certificate: The certificate.
    """

    key: rsa.RSAPrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The DER of the certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    def text(self, *, pem: bool) -> str:
        """Return it as an entry of ``x5c``: base64 of its DER, or the whole PEM as older tokens have it."""
        if pem:
            return self.certificate.public_bytes(Encoding.PEM).decode()
        return base64.b64encode(self.der).decode()

    def crl(self, at: datetime, *revoked: int, days: int = 30) -> bytes:
        """Return the list of what this authority has revoked, DER.

        Args:
            at: When it is made.
            *revoked: Serial numbers.
            days: For how long it is valid.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(at)
            .next_update(at + timedelta(days=days))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def issue(self, profile: Profile, key: rsa.RSAPrivateKey) -> Issued:
        """Return a certificate for ``key`` that this one issues."""
        return _issue(profile, key, self.key, self.certificate.subject)


def self_signed(profile: Profile, key: rsa.RSAPrivateKey) -> Issued:
    """Return a certificate for ``key`` that it signs itself."""
    return _issue(profile, key, key, _name(profile.name))


def _name(common_name: str) -> x509.Name:
    pairs = ((NameOID.COMMON_NAME, common_name), *_TEXT)
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in reversed(pairs)])


def _issue(
    profile: Profile, key: rsa.RSAPrivateKey, issuer_key: rsa.RSAPrivateKey, issuer: x509.Name
) -> Issued:
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(profile.name))
        .issuer_name(_name(profile.issuer_name) if profile.issuer_name else issuer)
        .public_key(public)
        .serial_number(int.from_bytes(identifier.digest[:16], "big") >> 1 or 1)
        .not_valid_before(profile.start)
        .not_valid_after(profile.end)
        .add_extension(x509.BasicConstraints(profile.authority, None), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if profile.list_at:
        place = x509.DistributionPoint([x509.UniformResourceIdentifier(profile.list_at)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([place]), critical=False)
    if profile.authority:
        usage = dict.fromkeys(
            (
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        builder = builder.add_extension(
            x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True
        )
    return Issued(key, builder.sign(issuer_key, profile.digest))
