"""Keys, certificates and revocation lists with Intel's names, lifetimes and extensions, under any root.

Every key is derived from a secret and a label, and every signature is deterministic (RFC 6979): the same
installation always issues the same bytes, and nothing but the secret has to be kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from assay.simulator import pck_extension

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
MADE = datetime(2018, 5, 21, 10, 45, 10, tzinfo=UTC)
FOREVER = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
ROOT_CRL_URL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
PCK_CRL_URL = "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca={}&encoding=der"

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
AUTHORITY_USAGE = frozenset({"key_cert_sign", "crl_sign"})
SIGNER_USAGE = frozenset({"digital_signature", "content_commitment"})


def derive_key(secret: bytes, label: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of this secret and label: SHA-512 of both, reduced into 1..n-1."""
    digest = hashlib.sha512(len(secret).to_bytes(4, "big") + secret + label.encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest, "big") % (P256_ORDER - 1) + 1, ec.SECP256R1())


def derive_bytes(secret: bytes, label: str, size: int) -> bytes:
    """Return ``size`` bytes (at most 64) of this secret and label."""
    return hashlib.sha512(b"bytes" + len(secret).to_bytes(4, "big") + secret + label.encode()).digest()[:size]


def sign_raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the deterministic ECDSA signature over SHA-256 of ``message`` as r || s, 64 bytes big-endian."""
    der = key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public point as X || Y, 64 bytes big-endian."""
    encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return key.public_key().public_bytes(encoding, form)[1:]


def intel_name(common_name: str) -> x509.Name:
    """Return a name as Intel orders it: CN, O, L, ST, C."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Intel Corporation"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate says; ``dataclasses.replace`` makes one that says something wrong.

    Attributes:
        common_name: The subject's CN.
        crl_url: Where its issuer publishes revocations.
        not_before: Start of validity.
        not_after: End of validity.
        authority: Whether basicConstraints says CA.
        path_length: The pathLenConstraint of an authority.
        usage: Names of the key usages that are set.
        serial: The serial number; None takes 20 bytes from the key.
        issuer_name: CN of the issuer as it is written; None takes the issuer's own subject.
        extension: The SGX extension of a PCK certificate.
        criticality: Whether basicConstraints and keyUsage are critical, as Intel marks them.
    """

    common_name: str
    crl_url: str
    not_before: datetime = MADE
    not_after: datetime = FOREVER
    authority: bool = False
    path_length: int | None = None
    usage: frozenset[str] = SIGNER_USAGE
    serial: int | None = None
    issuer_name: str | None = None
    extension: pck_extension.PckExtension | None = None
    criticality: bool = True


ROOT = Profile("Intel SGX Root CA", ROOT_CRL_URL, authority=True, path_length=1, usage=AUTHORITY_USAGE)
PLATFORM_CA = replace(ROOT, common_name="Intel SGX PCK Platform CA", path_length=0)
PROCESSOR_CA = replace(ROOT, common_name="Intel SGX PCK Processor CA", path_length=0)
TCB_SIGNING = Profile("Intel SGX TCB Signing", ROOT_CRL_URL)
PCK = Profile("Intel SGX PCK Certificate", PCK_CRL_URL)


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
        return _issue(profile, key, self.key, self.certificate.subject, self.certificate)


def self_signed(profile: Profile, key: ec.EllipticCurvePrivateKey) -> Issued:
    """Return a certificate for ``key`` that it signs itself."""
    return _issue(profile, key, key, intel_name(profile.common_name), None)


def _issue(
    profile: Profile,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    issuer_name: x509.Name,
    issuer: x509.Certificate | None,
) -> Issued:
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(profile.crl_url)], None, None, None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(intel_name(profile.common_name))
        .issuer_name(intel_name(profile.issuer_name) if profile.issuer_name else issuer_name)
        .public_key(public)
        .serial_number(profile.serial if profile.serial is not None else _serial(identifier.digest))
        .not_valid_before(profile.not_before)
        .not_valid_after(profile.not_after)
        .add_extension(
            _authority_identifier(issuer)
            if issuer
            else x509.AuthorityKeyIdentifier(identifier.digest, None, None),
            critical=False,
        )
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.KeyUsage(**{name: name in profile.usage for name in _KEY_USAGES}),
            critical=profile.criticality,
        )
        .add_extension(
            x509.BasicConstraints(profile.authority, profile.path_length), critical=profile.criticality
        )
    )
    if profile.extension:
        oid = x509.ObjectIdentifier(pck_extension.OID)
        builder = builder.add_extension(
            x509.UnrecognizedExtension(oid, profile.extension.encode()), critical=False
        )
    return Issued(key, builder.sign(issuer_key, hashes.SHA256(), ecdsa_deterministic=True))


def _serial(digest: bytes) -> int:
    return int.from_bytes(digest, "big") >> 1 or 1


def _authority_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


@dataclass(slots=True)
class RevocationList:
    """A revocation list before it is signed; each field may be changed.

    Attributes:
        issuer: Who signs it.
        this_update: When it was made.
        next_update: When the next one is due.
        revoked: Serial numbers, all revoked for key compromise at ``this_update``.
        number: The CRL number; None leaves the extension out.
        names_key: Whether it carries the authority key identifier.
        issuer_name: CN written as its issuer; None takes the issuer's own subject.
    """

    issuer: Issued
    this_update: datetime
    next_update: datetime
    revoked: list[int] = field(default_factory=list)
    number: int | None = 1
    names_key: bool = True
    issuer_name: str | None = None

    def sign(self) -> bytes:
        """Return the DER of the signed list."""
        own = self.issuer.certificate
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(intel_name(self.issuer_name) if self.issuer_name else own.subject)
            .last_update(self.this_update)
            .next_update(self.next_update)
        )
        if self.number is not None:
            builder = builder.add_extension(x509.CRLNumber(self.number), critical=False)
        if self.names_key:
            builder = builder.add_extension(_authority_identifier(own), critical=False)
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(self.this_update)
                .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
                .build()
            )
        signed = builder.sign(self.issuer.key, hashes.SHA256(), ecdsa_deterministic=True)
        return signed.public_bytes(serialization.Encoding.DER)
