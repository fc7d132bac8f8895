"""Appraisal: a policy over verified evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.platforms import platform_of
from assay.appraisal.result import AttestationResult, Verdict
from assay.appraisal.rules.subject import ROOT_BYTES, Subject, failed
from assay.errors import EvidenceError, PolicyError
from assay.evidence.ledger import Check, Ledger, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.appraisal.policy import Policy
    from assay.appraisal.rules.subject import Context
    from assay.evidence.eventlog.result import LogResult
    from assay.evidence.verification import EvidenceResult

_PASSED: Final = Outcome.PASSED
_NOT_APPLICABLE: Final = Outcome.NOT_APPLICABLE
_NOT_CHECKED: Final = Outcome.NOT_CHECKED


def appraise(
    evidence: EvidenceResult[Any],
    policy: Policy,
    *,
    now: datetime,
    references: Mapping[str, frozenset[bytes]],
    context: Context,
    workload_log: LogResult[Any] | None,
) -> AttestationResult:
    """Return what a policy makes of verified evidence.

    Claims of evidence that is not authentic are never looked at: then every check of the policy that needs
    them stands in the ledger as not made.

    Args:
        evidence: What a verifier of ``evidence`` returned.
        policy: The policy; its added policies are applied as well.
        now: The time of the appraisal, aware; the one that the evidence was verified at.
        references: Reference Values by register: ``{"mr_td": {48 bytes}, "rtmr3": {...}}``.
        context: What the Relying Party knows besides.
        workload_log: The event log as it was verified against this evidence's registers, or None.

    Raises:
        PolicyError: ``appraisal.time.naive`` for a time without zone, ``appraisal.context.root`` for an
            installation root that is not 32 bytes.
    """
    if now.tzinfo is None:
        raise PolicyError("appraisal.time.naive", "The time of an appraisal needs a time zone.")
    if any(len(root) != ROOT_BYTES for root in context.installation_roots):
        raise PolicyError(
            "appraisal.context.root", f"An installation's root is named by SHA-256, {ROOT_BYTES} bytes."
        )
    subject = _subject(evidence, now, references, context, workload_log)
    checks = _checks(policy, evidence, subject)
    for part in policy.also:
        checks += _checks(part, evidence, subject)
    ledger = evidence.ledger.checks
    if workload_log is not None:
        ledger += workload_log.ledger.checks
    start = len(ledger)
    return AttestationResult(
        _verdict(evidence, subject, checks, workload_log),
        Ledger((*ledger, *checks)),
        evidence,
        policy,
        now,
        context,
        workload_log,
        tuple(dict.fromkeys(subject.admitted)) if subject is not None else (),
        slice(start, start + len(checks)),
    )


def _subject(
    evidence: EvidenceResult[Any],
    now: datetime,
    references: Mapping[str, frozenset[bytes]],
    context: Context,
    workload_log: LogResult[Any] | None,
) -> Subject | None:
    """Return what rules may look at, or None when the evidence is not authentic."""
    try:
        claims = evidence.claims
    except EvidenceError:
        return None
    known = platform_of(evidence.platform)
    # A platform without a DCAP part has no rule that looks at one.
    tcb: Any = known.tcb(claims)
    since = known.endorsed_since(claims)
    return Subject(evidence, claims, tcb, since, now, references, context, workload_log, [])


def _checks(policy: Policy, evidence: EvidenceResult[Any], subject: Subject | None) -> list[Check]:
    """Return the outcomes of one policy's own checks."""
    compiled = policy.platforms.get(evidence.platform)
    if compiled is None:
        chosen = ", ".join(policy.document.platforms)
        return [
            failed(
                policy.platform_check,
                "platforms",
                "other",
                f"The evidence is of platform {evidence.platform}; policy {policy.name} accepts {chosen}.",
            )
        ]
    if subject is None:
        return [policy.platform_check.passed, *compiled.unreached]
    return [policy.platform_check.passed, *[judge(subject) for judge in compiled.judges]]


def _verdict(
    evidence: EvidenceResult[Any],
    subject: Subject | None,
    checks: list[Check],
    workload_log: LogResult[Any] | None,
) -> Verdict:
    if subject is None or (workload_log is not None and not workload_log.authentic):
        return Verdict.REFUSED
    for check in checks:
        if check.outcome is not _PASSED and check.outcome is not _NOT_APPLICABLE:
            return Verdict.REFUSED
    binding = _binding(evidence)
    if binding is _PASSED:
        return Verdict.ACCEPTED
    return Verdict.GENUINE_NOT_BOUND if binding is _NOT_CHECKED else Verdict.REFUSED


def _binding(evidence: EvidenceResult[Any]) -> Outcome:
    """Return the outcome of the binding's check, which most formats make last."""
    last = evidence.ledger.checks[-1]
    if last.spec.id == evidence.binding_check:
        return last.outcome
    return evidence.ledger[evidence.binding_check].outcome
