"""From bytes to an Attestation Result: the one path that gate, command line and library take.

    result = verify(evidence, policy=policy, binding=Expected(value), roots=Roots.vendor(), now=now,
                    materials=Materials.of(files))

The same call does for every platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.appraiser import appraise
from assay.appraisal.rules.subject import Context
from assay.evidence.facts import FactCache
from assay.verification.firmware_log import CcelData
from assay.verification.formats import format_of
from assay.verification.recognition import recognise
from assay.verification.terms import Given, Terms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.appraisal.policy import Policy
    from assay.appraisal.result import AttestationResult
    from assay.evidence.dstack import Attestation, Presented
    from assay.evidence.eventlog.result import LogResult
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding, EvidenceResult
    from assay.verification.materials import Materials

__all__ = ["verify"]

_NOTHING_KNOWN: Final = Context()
_NOTHING_STATED: Final = Terms()
_LESSER: Final = {"gcp-vtpm": ("gcp-tdx", "gcp-snp")}
"""What is recognised by its lesser part alone: where the policy names the whole, the whole is demanded."""


def verify(
    evidence: bytes,
    *,
    policy: Policy,
    binding: Binding,
    roots: Roots,
    now: datetime,
    endorsements: Any = None,
    materials: Materials | None = None,
    references: Mapping[str, frozenset[bytes]] | None = None,
    context: Context = _NOTHING_KNOWN,
    event_log: Presented | CcelData | Attestation | None = None,
    facts: FactCache | None = None,
    platform: str | None = None,
    terms: Terms = _NOTHING_STATED,
) -> AttestationResult:
    """Verify evidence and appraise it. Bad evidence never raises: it is refused, and the ledger says why.

    The bytes only say which verifier can read them; which platforms are accepted is the policy's word.

    Args:
        evidence: Raw evidence: a quote, a report, a document, a token, or a container of several.
        policy: The appraisal policy.
        binding: What the evidence must carry, or why that is not checked; then it is never accepted.
        roots: The roots in which a chain may end.
        now: The time of the verification, aware.
        endorsements: What vouches for the hardware, as the format takes it: ``Collateral`` for quotes,
            ``SnpEndorsements`` for reports. None where the evidence brings it all, or the materials have it.
        materials: Files to look through for endorsements, when none are given.
        references: Reference Values by register, for policies that ask for them.
        context: What the Relying Party knows besides.
        event_log: What explains the quote's registers, or the dstack attestation that other evidence came in;
            verified against the evidence, then appraised.
        facts: Verified facts to share between calls on the same platform; a new store when it is not given.
        platform: Which format to read the bytes as; None to recognise it.
        terms: What else the Relying Party states, for formats that carry more to compare.

    Raises:
        PolicyError: As ``appraise`` does.
        EvidenceError: ``evidence.call.*``, errors of the caller: a naive time, an empty expectation.
        KeyError: ``platform`` names none.
    """
    form = format_of(routed(evidence, policy, platform))
    given = Given(roots, now, binding, FactCache(max_entries=8) if facts is None else facts, terms)
    found = form.verify(evidence, endorsements, given)
    if endorsements is None and materials:  # a list of revoked keys is never a need, and counts all the same
        fitting = form.endorse(materials, found, given)
        found = found if fitting is None else form.verify(evidence, fitting, given)
    return appraise(
        found,
        policy,
        now=now,
        references=references or {},
        context=context,
        workload_log=_verified_log(found, event_log),
    )


def routed(evidence: bytes, policy: Policy, platform: str | None) -> str:
    """Return the platform whose format verifies evidence.

    Args:
        evidence: The evidence.
        policy: The policy, which may demand more of it than it looks like.
        platform: What it is to be read as; None to recognise it.
    """
    accepted = policy.document.platforms
    name = platform or recognise(evidence) or accepted[0]
    wholes = [whole for whole in _LESSER.get(name, ()) if whole in accepted]
    if not wholes:
        return name
    return wholes[0] if len(wholes) == 1 else _held(evidence)


def whole_of(evidence: bytes, platform: str) -> str:
    """Return the platform of evidence with all that it holds, where recognition named its lesser part.

    Args:
        evidence: The evidence.
        platform: What it was recognised as.
    """
    if platform not in _LESSER:
        return platform
    from assay.verification.formats.google_vm import held_in  # noqa: PLC0415 - for evidence of Google's VMs

    return held_in(evidence) or platform


def _verified_log(
    evidence: EvidenceResult[Any], event_log: Presented | CcelData | Attestation | None
) -> LogResult[Any] | None:
    """Return the log as its verifier sees it; None when there is none, or nothing to check it against."""
    if event_log is None or not evidence.authentic:
        return None
    if evidence.platform != "tdx":
        return _verified_guest(evidence, event_log)
    if isinstance(event_log, CcelData):
        from assay.evidence.eventlog.ccel import verify_ccel  # noqa: PLC0415 - most evidence comes without one

        return verify_ccel(evidence, event_log.data, registers=event_log.registers)
    from assay.evidence.dstack import Expectations, Presented, verify_identity  # noqa: PLC0415 - for this format

    if not isinstance(event_log, Presented):
        return None
    return verify_identity(evidence, event_log, expected=Expectations.nothing("left to the policy"))


def _verified_guest(
    evidence: EvidenceResult[Any], event_log: Presented | CcelData | Attestation
) -> LogResult[Any] | None:
    """Return what a dstack attestation says beside other evidence than TDX; None for any other log."""
    if isinstance(event_log, CcelData):
        return None
    from assay.evidence.dstack import Attestation, verify_guest  # noqa: PLC0415 - needed for this format alone

    if not isinstance(event_log, Attestation) or event_log.variant == "tdx":
        return None
    return verify_guest(evidence, event_log)


def _held(evidence: bytes) -> str:
    """Return which of the platforms that a policy names a container of Google's is whole of."""
    from assay.verification.formats.google_vm import whole_of  # noqa: PLC0415 - few policies name both

    return whole_of(evidence)
