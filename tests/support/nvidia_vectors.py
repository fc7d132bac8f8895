"""Real NVIDIA evidence, verified as its manifest says."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.evidence.facts import FactCache
from assay.evidence.nvidia import NvidiaClaims, NvidiaEndorsements, verify_nvidia
from assay.evidence.ocsp import HoldPolicy
from assay.evidence.roots import Roots
from assay.evidence.verification import Binding, EvidenceResult, Unchecked
from assay.reference.rim import RimResult, verify_rim

LOOKING = Unchecked("looking at a published sample")


def moment(text: str | None) -> datetime:
    """Return a stated time; 2025-06-01 where none is stated."""
    return datetime.fromisoformat(text or "2025-06-01T00:00:00Z").astimezone(UTC)


def judge(
    evidence: bytes,
    at: datetime,
    *,
    chain: bytes = b"",
    binding: Binding = LOOKING,
    roots: Roots | None = None,
    facts: FactCache | None = None,
    given: NvidiaEndorsements | None = None,
) -> EvidenceResult[NvidiaClaims]:
    return verify_nvidia(
        evidence,
        endorsements=given or NvidiaEndorsements(chain=chain),
        roots=roots or Roots.vendor(),
        now=at,
        binding=binding,
        facts=facts or FactCache(),
    )


def manifest(data: bytes, at: datetime, *, roots: Roots | None = None) -> RimResult:
    """Verify a manifest without OCSP answers, of which no published one exists."""
    return verify_rim(
        data,
        ocsp=(),
        roots=roots or Roots.vendor(),
        now=at,
        hold=HoldPolicy.REFUSE,
        facts=FactCache(),
    )
