"""Machines with a simulated TPM, the evidence they give, and what our verifier makes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from assay.evidence.eventlog import Algorithm
from assay.evidence.facts import FactCache
from assay.evidence.roots import TPM, Roots
from assay.evidence.tpm.quote import STRONG
from assay.evidence.tpm.verify import TpmEndorsements, verify_tpm
from assay.evidence.verification import Expected
from assay.simulator.tpm.device import PrivateKey, SoftwareTpm
from assay.simulator.tpm.machine import EvidenceDraft, Machine, certificate, derived_key

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NONCE = bytes(range(32))
SECRET = b"a test's own secret, 32 bytes..."
KINDS = ("rsa", "p256")
ROOT_NAME, ISSUER_NAME, AK_NAME = "Simulated TPM Root", "Simulated AK CA", "machine-1"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    """Return this worker's RSA-2048 key."""
    return rsa.generate_private_key(65537, 2048)


@cache
def keys(label: str) -> ec.EllipticCurvePrivateKey:
    """Return a P-256 key by a label."""
    return derived_key(SECRET, label)


def ak(kind: str) -> PrivateKey:
    """Return the attestation key of a kind."""
    return rsa_key() if kind == "rsa" else keys("ak")


def machine(kind: str = "p256", **options: object) -> Machine:
    """Return a machine that booted and ran two files."""
    found = Machine.booted(SoftwareTpm(ak(kind), **options))
    found.run("/usr/bin/agent", b"agent")
    found.run("/usr/lib/libc.so", b"libc")
    return found


def draft(kind: str = "p256", *, certified: bool = False, **options: object) -> EvidenceDraft:
    """Return the evidence of such a machine, before it is encoded."""
    found = machine(kind, **options).evidence(NONCE)
    if certified:
        found.certificates = chain(kind)
    return found


def chain(kind: str) -> tuple[bytes, ...]:
    """Return AK certificate and its issuer."""
    return (
        certificate(AK_NAME, ak(kind), ISSUER_NAME, keys("issuer"), authority=False),
        certificate(ISSUER_NAME, keys("issuer"), ROOT_NAME, keys("root"), authority=True),
    )


@cache
def root() -> bytes:
    """Return the root of the AK certificates."""
    return certificate(ROOT_NAME, keys("root"), ROOT_NAME, keys("root"), authority=True)


@cache
def roots() -> Roots:
    """Return the pinned roots and the simulated one."""
    return Roots.vendor().with_anchor("a test's TPMs", root(), vendor=TPM)


def judge(
    data: bytes,
    *,
    given: bytes = b"",
    issuers: tuple[bytes, ...] = (),
    binding=None,
    now: datetime = NOW,
    facts: FactCache | None = None,
    banks: frozenset[Algorithm] = STRONG,
):
    """Verify evidence; ``given`` is the attestation key that the caller gives."""
    return verify_tpm(
        data,
        endorsements=TpmEndorsements(given, issuers),
        roots=roots(),
        now=now,
        binding=binding or Expected(NONCE),
        facts=facts or FactCache(),
        banks=banks,
    )
