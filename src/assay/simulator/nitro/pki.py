"""P-384 keys and certificates with AWS's names, lifetimes and extensions, under any root.

As for Intel, every key is derived from a secret and a label, and every signature is deterministic.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
MADE = datetime(2019, 10, 28, 13, 28, 5, tzinfo=UTC)
FOREVER = datetime(2049, 10, 28, 14, 28, 5, tzinfo=UTC)
ROOT_NAME = "aws.nitro-enclaves"
CRL_URL = "http://crl-{}-aws-nitro-enclaves.s3.{}.amazonaws.com/crl/{}.crl"
SCALAR_BYTES = 48

_KEY_USAGES = (
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
AUTHORITY_USAGE = frozenset({"digital_signature", "key_cert_sign", "crl_sign"})
INSTANCE_USAGE = frozenset({"key_cert_sign"})
LEAF_USAGE = frozenset({"digital_signature"})

PrivateKey = ec.EllipticCurvePrivateKey


def derive_key(secret: bytes, label: str) -> PrivateKey:
    """Return the P-384 key of this secret and label: SHA-512 of both, reduced into 1..n-1."""
    digest = hashlib.sha512(b"nitro" + len(secret).to_bytes(4, "big") + secret + label.encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest, "big") % (P384_ORDER - 1) + 1, ec.SECP384R1())


def sign_raw(key: PrivateKey, message: bytes) -> bytes:
    """Return the deterministic ECDSA signature over SHA-384 of ``message`` as r || s, big-endian."""
    size = (key.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA384(), deterministic_signing=True)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def aws_name(common_name: str) -> x509.Name:
    """Return a name as AWS orders it: C, O, OU, CN."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Amazon"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "AWS"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate says; ``dataclasses.replace`` makes one that says something wrong.

    Attributes:
        common_name: The subject's CN.
        not_before: Start of validity.
        not_after: End of validity.
        authority: Whether basicConstraints says CA; None leaves the extension out.
        path_length: The pathLenConstraint of an authority.
        usage: Names of the key usages that are set; None leaves the extension out.
        usage_critical: Whether they are critical, as all but the leaf's are.
        crl_url: Where its issuer says that revocations are, though AWS publishes none; empty for none.
        digest: What it is signed with.
        extra: A critical extension that nobody knows: its object identifier; empty for none.
    """

    common_name: str
    not_before: datetime
    not_after: datetime
    authority: bool | None = True
    path_length: int | None = None
    usage: frozenset[str] | None = AUTHORITY_USAGE
    usage_critical: bool = True
    crl_url: str = ""
    digest: hashes.SHA256 | hashes.SHA384 = field(default_factory=hashes.SHA384)
    extra: str = ""


ROOT = Profile(ROOT_NAME, MADE, FOREVER)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its private key.

    Attributes:
        key: The private key.
        certificate: The certificate.
    """

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The DER of the certificate."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def issue(self, profile: Profile, key: PrivateKey) -> Issued:
        """Return a certificate for ``key`` that this one issues."""
        return _issue(profile, key, self.key, self.certificate)


def self_signed(profile: Profile, key: PrivateKey) -> Issued:
    """Return a certificate for ``key`` that it signs itself."""
    return _issue(profile, key, key, None)


def _issue(
    profile: Profile, key: PrivateKey, issuer_key: PrivateKey, issuer: x509.Certificate | None
) -> Issued:
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    stamp = int(profile.not_before.timestamp()).to_bytes(8, "big")
    builder = (
        x509.CertificateBuilder()
        .subject_name(aws_name(profile.common_name))
        .issuer_name(issuer.subject if issuer else aws_name(profile.common_name))
        .public_key(public)
        .serial_number(int.from_bytes(hashlib.sha256(identifier.digest + stamp).digest()[:16], "big") >> 1)
        .not_valid_before(profile.not_before)
        .not_valid_after(profile.not_after)
        .add_extension(identifier, critical=False)
    )
    if profile.authority is not None:
        constraints = x509.BasicConstraints(profile.authority, profile.path_length)
        builder = builder.add_extension(constraints, critical=True)
    if profile.usage is not None:
        usage = x509.KeyUsage(**{name: name in profile.usage for name in _KEY_USAGES})
        builder = builder.add_extension(usage, critical=profile.usage_critical)
    if issuer is not None:
        above = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False
        )
    if profile.crl_url:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(profile.crl_url)], None, None, None)
        builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
    if profile.extra:
        unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier(profile.extra), b"\x05\x00")
        builder = builder.add_extension(unknown, critical=True)
    return Issued(key, builder.sign(issuer_key, profile.digest, ecdsa_deterministic=True))
