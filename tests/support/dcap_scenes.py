"""Simulated quotes and collateral with one defect each, signed all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from assay.evidence.dcap import verify_quote
from assay.evidence.decoding.der import SEQUENCE, DerReader
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.intel import Installation
from assay.simulator.pki import Issued
from assay.simulator.scene import Evidence, Scene

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
INTEL = Installation(b"\x07" * 32)
STRANGER = ec.derive_private_key(0x5EED, ec.SECP256R1())
DAY = timedelta(days=1)
KINDS = (("tdx", 4), ("tdx", 5), ("sgx", 3), ("sgx", 4), ("sgx", 5))

Spoil = Callable[[Scene], None]


def scene(platform: str = "tdx", version: int = 4, *, at: datetime = NOW) -> Scene:
    return Scene(INTEL, platform, version, at, REPORT_DATA)


def judge(evidence: Evidence, *, binding=None, facts=None, roots=None, at=None, collateral=...):
    return verify_quote(
        evidence.quote,
        platform=evidence.platform,
        collateral=evidence.collateral if collateral is ... else collateral,
        roots=roots or Roots.vendor().with_anchor("simulated", INTEL.root_der),
        now=at or evidence.at,
        binding=binding or Expected(evidence.report_data),
        facts=facts or FactCache(),
    )


def spoilt(spoil: Spoil, platform: str = "tdx", version: int = 4):
    """Verify a scene with one defect."""
    stage = scene(platform, version)
    spoil(stage)
    return judge(stage.finish())


def encode(tag: int, content: bytes) -> bytes:
    """Return one DER element."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def resigned(der: bytes, key: ec.EllipticCurvePrivateKey, change: Callable[[bytes], bytes]) -> bytes:
    """Change the content of the signed part of a certificate or CRL, and sign it again."""
    outer = DerReader(der).enter()
    content = outer.value(SEQUENCE)
    algorithm = outer.whole(SEQUENCE)
    signed = encode(SEQUENCE, change(content))
    signature = key.sign(signed, ec.ECDSA(SHA256()))
    return encode(SEQUENCE, signed + algorithm + encode(0x03, b"\0" + signature))


def with_extension(issued: Issued, issuer: Issued, oid: str, *, critical: bool) -> Issued:
    """Return a certificate with one more extension, issued again."""
    own = issued.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(own.subject)
        .issuer_name(own.issuer)
        .public_key(own.public_key())
        .serial_number(own.serial_number)
        .not_valid_before(own.not_valid_before_utc)
        .not_valid_after(own.not_valid_after_utc)
    )
    for extension in own.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    added = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00")
    certificate = builder.add_extension(added, critical=critical).sign(issuer.key, SHA256())
    return Issued(issued.key, certificate)


def stand_in(der: bytes, key: ec.EllipticCurvePrivateKey) -> Issued:
    """Return bytes of a certificate that a decoder of others may not even read, in a place of a chain."""
    return Issued(key, _Raw(der))


class _Raw:
    """What a draft asks of a certificate."""

    def __init__(self, der: bytes) -> None:
        self._der = der

    def public_bytes(self, encoding: Encoding) -> bytes:
        if encoding is Encoding.DER:
            return self._der
        from assay.evidence.decoding.pem import encode as pem

        return pem(self._der)


def leaf(stage: Scene, **changes) -> None:
    """Issue the PCK certificate again, with changes to its profile."""
    authority = INTEL.authority(stage.machine.ca)
    issued = authority.issue(replace(stage.machine.pck_profile, **changes), stage.machine.pck.key)
    stage.quote.certificates[0] = issued.certificate


def authority(stage: Scene, **changes) -> None:
    """Issue the PCK CA's certificate again, with changes to its profile, everywhere."""
    from assay.simulator import pki

    issued = INTEL.root.issue(replace(pki.PLATFORM_CA, **changes), INTEL.platform_ca.key)
    stage.quote.certificates[1] = issued.certificate


def signer(stage: Scene, issued: Issued, chain: list[Issued] | None = None) -> None:
    """Let another certificate sign TCB info and QE identity."""
    draft = stage.collateral
    draft.tcb_signer = draft.qe_signer = issued
    draft.tcb_chain = draft.qe_chain = chain or [issued, INTEL.root]
