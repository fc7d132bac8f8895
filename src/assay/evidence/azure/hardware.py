"""The hardware's part of an Azure VM's evidence: what proves the paravisor, and so the runtime claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from assay.evidence.azure import checks
from assay.evidence.dcap import checks as dcap
from assay.evidence.dcap import verify_quote
from assay.evidence.ledger import Check, Outcome
from assay.evidence.snp import checks as snp
from assay.evidence.snp import verify_snp

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.dcap import Collateral
    from assay.evidence.facts import FactCache
    from assay.evidence.ledger import CheckSpec
    from assay.evidence.roots import Roots
    from assay.evidence.snp import SnpClaims, SnpEndorsements
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.verification import EvidenceResult, Expected, Need

_VMPL: Final = slice(0x30, 0x34)
_VMPL_0: Final = bytes(4)


class HardwareOutcome(NamedTuple):
    """What became of the hardware's report or quote.

    Attributes:
        result: What its own verifier returned.
        checks: Its outcomes, the binding's under the name that it has here.
        needs: What is missing for it.
    """

    result: EvidenceResult[SnpClaims] | EvidenceResult[TdxClaims]
    checks: tuple[Check, ...]
    needs: tuple[Need, ...]


def judge_report(
    report: bytes,
    endorsements: SnpEndorsements | None,
    roots: Roots,
    now: datetime,
    commitment: Expected,
    facts: FactCache,
) -> HardwareOutcome:
    """Make every check of an SNP report, which the paravisor at VMPL 0 has to have asked for."""
    found = verify_snp(
        report, endorsements=endorsements, roots=roots, now=now, binding=commitment, facts=facts
    )
    if report[_VMPL] == _VMPL_0:
        privilege = checks.VMPL.passed
    else:
        reason = "Something less privileged than the paravisor asked for the report."
        privilege = Check(checks.VMPL, Outcome.FAILED, checks.VMPL.id, reason)
    return _taken(found, snp.BINDING, privilege)


def judge_td(
    quote: bytes | None,
    collateral: Collateral | None,
    roots: Roots,
    now: datetime,
    commitment: Expected,
    facts: FactCache,
) -> HardwareOutcome:
    """Make every check of a TD quote; one that is missing fails as an empty one does."""
    found = verify_quote(
        quote or b"",
        platform="tdx",
        collateral=collateral,
        roots=roots,
        now=now,
        binding=commitment,
        facts=facts,
    )
    return _taken(found, dcap.TDX_BINDING)


def _taken(
    found: EvidenceResult[SnpClaims] | EvidenceResult[TdxClaims], inner: CheckSpec, *more: Check
) -> HardwareOutcome:
    """Take the outcomes over; the binding, the last, is how the runtime claims hang on the hardware."""
    made = found.ledger.checks
    binding = made[-1]
    if binding.spec is not inner:
        raise AssertionError("a hardware format does not bind last")
    bound: tuple[Check, ...] = ()
    if binding.outcome is Outcome.PASSED:
        bound = _BOUND
    elif binding.outcome is Outcome.FAILED:
        spec, reason = (
            checks.RUNTIME_BOUND,
            "The hardware's report data are not the hash of these runtime claims.",
        )
        bound = (Check(spec, Outcome.FAILED, spec.id, reason),)
    needs = tuple([need for need in found.needs if need.kind != "binding"])
    return HardwareOutcome(found, (*made[:-1], *bound, *more), needs)


_BOUND: Final = (checks.RUNTIME_BOUND.passed,)
