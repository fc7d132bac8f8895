"""From bytes to an Attestation Result: the one path that gate, command line and library take.

result = verify(quote, policy=policy, binding=Expected(report_data), roots=Roots.vendor(), now=now,
collateral=collateral)
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.appraiser import appraise
from assay.appraisal.rules.subject import Context
from assay.evidence.dcap import verify_quote
from assay.evidence.eventlog.ccel import verify_ccel
from assay.evidence.facts import FactCache
from assay.verification.opening import CcelData, detect_platform

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.appraisal.policy import Policy
    from assay.appraisal.result import AttestationResult
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.dstack import Presented
    from assay.evidence.eventlog.result import LogResult
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding, EvidenceResult

__all__ = ["verify"]

_NOTHING_KNOWN = Context()
_VERIFIERS: Final = {
    "tdx": partial(verify_quote, platform="tdx"),
    "sgx": partial(verify_quote, platform="sgx"),
}


def verify(
    evidence: bytes,
    *,
    policy: Policy,
    binding: Binding,
    roots: Roots,
    now: datetime,
    collateral: Collateral | None = None,
    references: Mapping[str, frozenset[bytes]] | None = None,
    context: Context = _NOTHING_KNOWN,
    event_log: Presented | CcelData | None = None,
    facts: FactCache | None = None,
) -> AttestationResult:
    """Verify evidence and appraise it. Bad evidence never raises: it is refused, and the ledger says why.

    The bytes only say which verifier can read them; which platforms are accepted is the policy's word.

    Args:
        evidence: A quote of a trust domain or an enclave.
        policy: The appraisal policy.
        binding: What the evidence must carry, or why that is not checked; then it is never accepted.
        roots: The roots in which a chain may end.
        now: The time of the verification, aware.
        collateral: What the vendor says of the platform; without it the evidence cannot be authenticated.
        references: Reference Values by register, for policies that ask for them.
        context: What the Relying Party knows besides.
        event_log: What explains the quote's registers; verified against them, then appraised.
        facts: Verified facts to share between calls on the same platform; a new store when it is not given.

    Raises:
        PolicyError: As ``appraise`` does.
    """
    platform = detect_platform(evidence) or policy.document.platforms[0]
    found: EvidenceResult[Any] = _VERIFIERS[platform](
        evidence,
        collateral=collateral,
        roots=roots,
        now=now,
        binding=binding,
        facts=FactCache(max_entries=8) if facts is None else facts,
    )
    return appraise(
        found,
        policy,
        now=now,
        references=references or {},
        context=context,
        workload_log=_verified_log(found, event_log),
    )


def _verified_log(
    evidence: EvidenceResult[Any], event_log: Presented | CcelData | None
) -> LogResult[Any] | None:
    """Return the log as its verifier sees it; None when there is none, or no quote to check it against."""
    if event_log is None or evidence.platform != "tdx" or not evidence.authentic:
        return None
    if isinstance(event_log, CcelData):
        return verify_ccel(evidence, event_log.data, registers=event_log.registers)
    from assay.evidence.dstack import Expectations, verify_identity  # noqa: PLC0415 - needed for this format alone

    return verify_identity(evidence, event_log, expected=Expectations.nothing("left to the policy"))
