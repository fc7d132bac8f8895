"""An Attestation Result as a person reads it: checks, claims, what it rests on, what is missing, verdict."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.plain import ready
from assay.appraisal.platforms import platform_of
from assay.appraisal.result import Verdict
from assay.appraisal.trust_vector import tier
from assay.cli.claim_lines import claim_lines
from assay.cli.output import escape, style
from assay.evidence.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from assay.appraisal.result import AttestationResult
    from assay.cli.output import Kind
    from assay.errors import AssayError
    from assay.evidence.dcap.tcb import TcbClaims
    from assay.evidence.ledger import Check
    from assay.evidence.verification import Anchor, UnsignedRegion

NARROWEST: Final = 60
WIDEST: Final = 100
_NAME_CHARACTERS: Final = 64
_INDENT: Final = "  "
UNVERIFIED: Final = "In the file, but not verified"

_MARKS: Final[Mapping[Outcome, tuple[str, Kind]]] = {
    Outcome.PASSED: ("ok", "good"),
    Outcome.FAILED: ("FAIL", "bad"),
    Outcome.NOT_APPLICABLE: ("n/a", "dim"),
    Outcome.NOT_CHECKED: ("open", "warn"),
}
_VERDICTS: Final[Mapping[Verdict, tuple[str, Kind]]] = {
    Verdict.ACCEPTED: ("accepted", "good"),
    Verdict.REFUSED: ("refused", "bad"),
    Verdict.GENUINE_NOT_BOUND: ("genuine, not bound", "warn"),
}
_GROUPS: Final = (
    ("dcap.quote.", "Quote"),
    ("dcap.pck.", "Certificates"),
    ("dcap.root.", "Certificates"),
    ("dcap.root_crl.", "Revocation"),
    ("dcap.pck_crl.", "Revocation"),
    ("dcap.tcb_signer.", "Collateral"),
    ("dcap.tcb_info.", "Collateral"),
    ("dcap.qe_identity.", "Collateral"),
    ("dcap.qe_report.", "Quoting enclave"),
    ("dcap.tdx_module.", "TDX module"),
    ("dcap.", "Status"),
    ("snp.report.", "Report"),
    ("snp.crl.", "Revocation"),
    ("snp.tcb.", "Firmware"),
    ("snp.chip_id", "Certificates"),
    ("snp.product.", "Certificates"),
    ("snp.vek.", "Certificates"),
    ("snp.root.", "Certificates"),
    ("snp.chain.", "Certificates"),
    ("snp.", "Binding"),
    ("nitro.root.", "Certificates"),
    ("nitro.chain.", "Certificates"),
    ("nitro.binding", "Binding"),
    ("nitro.", "Document"),
    ("azure.container.", "Container"),
    ("azure.hcl.", "Paravisor"),
    ("azure.runtime.", "Paravisor"),
    ("azure.snp.", "Paravisor"),
    ("azure.ak.", "Attestation key"),
    ("azure.quote.", "TPM quote"),
    ("azure.", "Binding"),
    ("google_vm.container.", "Container"),
    ("google_vm.ak.", "Attestation key"),
    ("google_vm.quote", "TPM quotes"),
    ("google_vm.log.", "Event log"),
    ("google_vm.canonical_log.", "Event log"),
    ("google_vm.", "Binding"),
    ("tpm.evidence.", "Container"),
    ("tpm.ak.", "Attestation key"),
    ("tpm.quote.", "TPM quote"),
    ("tpm.eventlog.", "Event log"),
    ("tpm.log.", "Event log"),
    ("tpm.ima.", "IMA log"),
    ("tpm.", "Binding"),
    ("ima.", "IMA log"),
    ("eventlog.", "Event log"),
    ("confidential_space.chain.", "Certificates"),
    ("confidential_space.key.", "Published keys"),
    ("confidential_space.binding", "Binding"),
    ("confidential_space.", "Token"),
    ("maa.binding", "Binding"),
    ("maa.", "Token"),
    ("trust_authority.binding", "Binding"),
    ("trust_authority.report_data", "Binding"),
    ("trust_authority.", "Token"),
    ("nras.device.", "Tokens of the devices"),
    ("nras.binding", "Binding"),
    ("nras.", "Token"),
    ("nvidia.report.", "Reports"),
    ("nvidia.chain.", "Certificates"),
    ("nvidia.ocsp.", "Revocation"),
    ("ocsp.", "Revocation"),
    ("nvidia.golden.", "Golden measurements"),
    ("nvidia.measurements", "Golden measurements"),
    ("rim.", "Golden measurements"),
    ("nvidia.container.", "Container"),
    ("nvidia.set.", "Devices"),
    ("nvidia.binding", "Binding"),
    ("nvidia.composite", "Binding"),
    ("nvidia.", "Devices"),
    ("tdx.", "Binding"),
    ("sgx.", "Binding"),
    ("dstack.", "Event log"),
    ("ccel.", "Event log"),
)


def width() -> int:
    """Return how many columns the output may use; 80 when it does not go to a terminal."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))


def lines(
    result: AttestationResult,
    *,
    title: str,
    missing: Iterable[str],
    as_of: bool,
    unverified: Iterable[str] = (),
) -> Iterator[str]:
    """Return the whole result, line by line, the verdict last. Everything a peer wrote is escaped.

    Args:
        result: The result.
        title: What was verified.
        missing: What a stronger answer would need, line by line.
        as_of: Whether the time of the appraisal was asked for, instead of being now.
        unverified: What its file holds besides, by name.
    """
    columns = width()
    yield paint(escape(title), "strong")
    yield from _checks(result, columns)
    yield from _fields(result, columns)
    yield from _log_fields(result, columns)
    yield from _tcb(result)
    yield from _rests_on(result, columns, as_of=as_of)
    yield from missing
    yield from _list(UNVERIFIED, unverified, columns)
    yield from _list("Not proven", result.not_proven, columns)
    yield ""
    yield from _verdict(result, columns)


def unreadable(name: str, error: AssayError) -> Iterator[str]:
    """Return what to say of a file that is no evidence."""
    columns = width()
    yield paint(name, "strong")
    yield ""
    yield paint("Verdict: refused", "bad")
    yield from wrapped(f"{error.message} [{error.code}]", columns, "", "")
    if error.action:
        yield from wrapped(error.action, columns, "", "")


def paint(text: str, kind: Kind) -> str:
    """Return text in the style of what it means, where the output takes styles."""
    return style(text, kind, sys.stdout)


def heading(text: str) -> Iterator[str]:
    """Return a heading with an empty line before it."""
    yield ""
    yield paint(text, "strong")


def wrapped(text: str, columns: int, first: str, later: str) -> list[str]:
    """Return text broken into lines, escaped."""
    return textwrap.wrap(
        escape(text), columns, initial_indent=first, subsequent_indent=later, break_on_hyphens=False
    ) or [first]


def _checks(result: AttestationResult, columns: int) -> Iterator[str]:
    groups: dict[str, list[Check]] = {}
    for check in result.ledger:
        groups.setdefault(_group(check.id, result), []).append(check)
    told: set[str] = set()
    for name, checks in groups.items():
        yield from heading(name)
        yield from check_lines(checks, columns, told)


def check_lines(checks: Iterable[Check], columns: int, told: set[str] | None = None) -> Iterator[str]:
    """Return checks one below the other.

    Args:
        checks: The checks.
        columns: How wide the output may be.
        told: Reasons that were told before, and are not told again.
    """
    listed, said = list(checks), set() if told is None else told
    wide = max(len(check.id) for check in listed)
    for check in listed:
        again = check.outcome is not Outcome.FAILED and check.reason in said
        said.add(check.reason)
        yield from _check(check, columns, wide, "likewise" if again else check.reason)


def _group(check_id: str, result: AttestationResult) -> str:
    if check_id.startswith("policy.added"):
        return "Policies applied as well: " + ", ".join(escape(part.name) for part in result.policy.also)
    if check_id.startswith("policy."):
        return f"Policy {escape(result.policy.name)}"
    return next((name for start, name in _GROUPS if check_id.startswith(start)), "Other checks")


def _check(check: Check, columns: int, wide: int, reason: str) -> Iterator[str]:
    """Return one check: mark, id, and beside it what it established, or below it why it did not."""
    mark, kind = _MARKS[check.outcome]
    head = f"{_INDENT}{mark:<4}  {check.id:<{wide}}  "
    text = check.spec.title if check.outcome is Outcome.PASSED else reason
    rest = wrapped(text, columns, " " * len(head), " " * len(head))
    yield f"{head.replace(mark, paint(mark, kind), 1)}{rest[0].lstrip()}".rstrip()
    yield from rest[1:]
    if check.outcome is Outcome.FAILED:
        yield paint(f"{' ' * len(head)}[{check.code}]", "dim")


def _fields(result: AttestationResult, columns: int) -> Iterator[str]:
    evidence = result.evidence
    if evidence.authentic:
        yield from heading("What it says")
        found: dict[str, Any] = ready(evidence.claims)
        if _tcb_claims(result) is not None:
            # Intel's judgement has a heading of its own, wherever the quote lies.
            for holder in (found, *(each for each in found.values() if isinstance(each, dict))):
                holder.pop("tcb", None)
    else:
        yield from heading("What its bytes say (not authenticated)")
        found = ready(dict(evidence.decoded))
    yield from claim_lines(found, columns)


def _log_fields(result: AttestationResult, columns: int) -> Iterator[str]:
    log = result.workload_log
    if log is None or not log.authentic:
        return
    found: dict[str, Any] = ready(log.claims)
    for repeated in ("system", "report_data"):
        found.pop(repeated, None)
    for name in ("events", "app_events"):
        if name in found:
            found[name] = len(found.pop(name))
    yield from heading("What its event log says")
    yield from claim_lines(found, columns)


def _tcb_claims(result: AttestationResult) -> TcbClaims | None:
    """Return what Intel's collateral says of the platform; None where there is none of it."""
    evidence = result.evidence
    return platform_of(evidence.platform).tcb(evidence.claims) if evidence.authentic else None


def _tcb(result: AttestationResult) -> Iterator[str]:
    tcb = _tcb_claims(result)
    if tcb is None:
        return
    yield from heading("Trusted computing base")
    rows = [("platform", tcb.platform_status, tcb.platform_date, tcb.platform_advisories)]
    if tcb.module_status is not None:
        rows.append(("TDX module", tcb.module_status, tcb.module_date, tcb.module_advisories))
    rows.append(("quoting enclave", tcb.qe_status, tcb.qe_date, tcb.qe_advisories))
    rows.append(("together", tcb.status, tcb.effective_date, tcb.advisories))
    wide = max(len(str(status)) for _, status, _, _ in rows)
    for name, status, date, advisories in rows:
        day = f"{date:%Y-%m-%d}" if date is not None else "no date   "
        told = ", ".join(escape(word) for word in advisories)
        line = f"{_INDENT}{name:<15}  {escape(str(status)):<{wide}}  {day}"
        yield from wrapped(f"{line}  {told}".strip(), width(), _INDENT, _INDENT * 4)
    number = str(tcb.tcb_evaluation_number)
    if tcb.qe_evaluation_number != tcb.tcb_evaluation_number:
        number = f"{number} of the TCB info, {tcb.qe_evaluation_number} of the QE identity"
    yield f"{_INDENT}evaluation data number {number}"
    yield f"{_INDENT}FMSPC {tcb.fmspc.hex()}, SGX type {tcb.sgx_type.name.lower().replace('_', '-')}"


def _rests_on(result: AttestationResult, columns: int, *, as_of: bool) -> Iterator[str]:
    evidence = result.evidence
    anchor = evidence.anchor
    yield from heading("Rests on")
    if anchor is None:
        yield f"{_INDENT}no root: the chain ended in none that was given"
    else:
        kind = _anchor_kind(anchor)
        if not evidence.authentic:
            kind += "; the chain ends there, but the evidence is not authenticated"
        yield from wrapped(f"{anchor.name} ({kind})", columns, _INDENT, _INDENT * 2)
        yield f"{_INDENT}SHA-256 {anchor.fingerprint.hex()}"
    tcb = _tcb_claims(result)
    if tcb is not None:
        yield (
            f"{_INDENT}collateral valid {tcb.collateral_valid_from:%Y-%m-%d %H:%M} to"
            f" {tcb.collateral_valid_until:%Y-%m-%d %H:%M} UTC"
        )
    asked = ", as asked with --at" if as_of else ""
    yield f"{_INDENT}time of the appraisal {result.now:%Y-%m-%d %H:%M:%S} UTC{asked}"
    for where in _unsigned(evidence.unsigned):
        yield from wrapped(f"{where}; signed by nobody, nothing rests on them", columns, _INDENT, _INDENT * 2)


def _anchor_kind(anchor: Anchor) -> str:
    """Say what the chain ended in."""
    if anchor.published_keys:
        return "no root: a token under keys that its issuer publishes"
    return "no vendor's root: simulated hardware" if anchor.simulated else "a pinned vendor root"


def _unsigned(regions: Iterable[UnsignedRegion]) -> Iterator[str]:
    """Say where unsigned bytes are: those of one name, of which an event log has many, in one line."""
    named: dict[str, list[UnsignedRegion]] = {}
    for region in regions:
        named.setdefault(region.name, []).append(region)
    for name, found in named.items():
        where = f"bytes {found[0].start} to {found[-1].end}"
        if len(found) > 1:
            where = f"{sum(each.end - each.start for each in found)} bytes in {len(found)} places of {where}"
        yield f"{where}: {name}"


def bullets(title: str, entries: Iterable[str]) -> Iterator[str]:
    """Return a heading and a list below it; nothing where the list is empty."""
    yield from _list(title, entries, width())


def _list(title: str, entries: Iterable[str], columns: int) -> Iterator[str]:
    texts = list(entries)
    if not texts:
        return
    yield from heading(title)
    for text in texts:
        yield from wrapped(text, columns, f"{_INDENT}- ", _INDENT * 2)


def _verdict(result: AttestationResult, columns: int) -> Iterator[str]:
    vector = ", ".join(
        f"{name} {tier(value)}" for name, value in result.trust_vector.items() if tier(value) != "none"
    )
    if vector:
        yield from wrapped(f"AR4SI: {vector}", columns, "", _INDENT)
    yield verdict_of(result.verdict, mark=_mark(result))
    yield from wrapped(_because(result), columns, "", "")


def verdict_of(verdict: Verdict, *, mark: str) -> str:
    """Return the line that says the verdict, and what it is worth only with; empty for nothing."""
    word, kind = _VERDICTS[verdict]
    return paint(f"Verdict: {word}{f' ({mark})' if mark else ''}", kind)


def _mark(result: AttestationResult) -> str:
    anchor = result.evidence.anchor
    if anchor is None or not result.evidence.authentic or not result.simulated:
        return ""
    # Keys of this installation's own services are known, and simulated; of others nobody can tell.
    published = anchor.published_keys and "simulated" not in result.admitted
    return "under published keys" if published else "simulated"


def _because(result: AttestationResult) -> str:
    if result.verdict is Verdict.ACCEPTED:
        return (
            f"Every required check passed under policy {result.policy.name}, and it is bound to your value."
        )
    if result.verdict is Verdict.GENUINE_NOT_BOUND:
        return (
            f"Authentic, and within policy {result.policy.name}. Nothing ties it to you or to now, so it"
            " opens no gate."
        )
    failed = result.ledger.failed()
    if not failed:
        left = len(result.ledger.unmet())
        return f"Nothing failed, but {left} checks could not be made; what they need is listed as missing."
    more = f" {len(failed) - 1} more failed." if len(failed) > 1 else ""
    return f"{failed[0].id} failed: {failed[0].reason}{more}"
