"""The TD quote or SNP report beside a virtual TPM: every check of it, and how it belongs to this session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from assay.evidence.dcap import checks as dcap
from assay.evidence.dcap import verify_quote
from assay.evidence.google_vm import checks
from assay.evidence.ledger import Check, Outcome
from assay.evidence.snp import checks as snp
from assay.evidence.snp import verify_snp
from assay.evidence.verification import Unchecked

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.dcap import Collateral
    from assay.evidence.facts import FactCache
    from assay.evidence.google_vm.container import GoogleVmEvidence
    from assay.evidence.ledger import CheckSpec
    from assay.evidence.roots import Roots
    from assay.evidence.snp import SnpEndorsements
    from assay.evidence.verification import Binding, EvidenceResult, Need


class TeeOutcome(NamedTuple):
    """What became of the TEE's report.

    Attributes:
        result: What its own verifier returned.
        checks: Its outcomes, the binding's under the name that it has here.
        needs: What is missing for it; its binding is the caller's word.
        bound: Whether it carries the report data that were expected.
        unused: Start and end, in the TEE's evidence, of what stands beside the report and nothing covers.
    """

    result: EvidenceResult[Any]
    checks: tuple[Check, ...]
    needs: tuple[Need, ...]
    bound: bool
    unused: tuple[tuple[int, int], ...]


def judge_td(
    parts: GoogleVmEvidence,
    collateral: Collateral | None,
    roots: Roots,
    now: datetime,
    report_data: Binding,
    facts: FactCache,
) -> TeeOutcome:
    """Make every check of the TD quote; one that is missing fails as an empty one does."""
    found = verify_quote(
        parts.td_quote or b"",
        platform="tdx",
        collateral=collateral,
        roots=roots,
        now=now,
        binding=report_data,
        facts=facts,
    )
    absent = "" if parts.td_quote else "The attestation holds no TD quote."
    return _taken(found, dcap.TDX_BINDING, checks.TD_BOUND, report_data, absent=absent)


def judge_snp(
    parts: GoogleVmEvidence,
    given: SnpEndorsements | None,
    roots: Roots,
    now: datetime,
    report_data: Binding,
    facts: FactCache,
) -> TeeOutcome:
    """Make every check of the SNP report; one that is missing fails as an empty one does."""
    report = b""
    unused: tuple[tuple[int, int], ...] = ()
    if parts.snp is not None:
        report, unused, given = parts.snp.report, parts.snp.unused, parts.snp.endorsements.or_else(given)
    found = verify_snp(report, endorsements=given, roots=roots, now=now, binding=report_data, facts=facts)
    absent = "" if report else "The attestation holds no SNP report."
    return _taken(found, snp.BINDING, checks.SNP_BOUND, report_data, unused, absent=absent)


def _taken(
    found: EvidenceResult[Any],
    binding: CheckSpec,
    spec: CheckSpec,
    report_data: Binding,
    unused: tuple[tuple[int, int], ...] = (),
    *,
    absent: str,
) -> TeeOutcome:
    """Take the outcomes over; the binding is how the report hangs together with the TPM.

    Where there is no report, ``absent`` says so in place of what its verifier says of zero bytes.
    """
    made: list[Check] = []
    bound = False
    for check in found.ledger:
        if absent and check.outcome is Outcome.FAILED:
            made.append(Check(check.spec, Outcome.FAILED, check.code, absent))
        elif check.spec is not binding:
            made.append(check)
        elif isinstance(report_data, Unchecked):
            reason = f"the report data are not compared: {report_data.reason}"
            made.append(Check(spec, Outcome.NOT_APPLICABLE, "", reason))
        elif check.outcome is Outcome.PASSED:
            made.append(spec.passed)
            bound = True
        elif check.outcome is Outcome.FAILED:
            reason = "The report data are not the ones expected."
            made.append(Check(spec, Outcome.FAILED, spec.id, reason))
    needs = tuple(need for need in found.needs if need.kind != "binding")
    return TeeOutcome(found, tuple(made), needs, bound, unused)
