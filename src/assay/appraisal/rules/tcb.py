"""Rules about the state of patches: platform, TDX module, quoting enclave, advisories, evaluation numbers."""

from __future__ import annotations

from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from assay.appraisal.document import Grace, Tcb
from assay.appraisal.rules.subject import Rule, Subject, Workshop, admit, failed
from assay.appraisal.vocabulary import UP_TO_DATE, component_needs
from assay.evidence.ledger import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime


_RELAUNCH: Final = {
    "TDRelaunchAdvised": frozenset({"td-relaunch-advised"}),
    "TDRelaunchAdvisedConfigurationNeeded": frozenset({"td-relaunch-advised", "configuration-needed"}),
}
_WEAK: Final = frozenset({"OutOfDate", "OutOfDateConfigurationNeeded"})
_NAMES: Final = {"platform": "platform", "module": "TDX module", "qe": "quoting enclave"}


def rules(shop: Workshop, platform: str) -> Iterator[Rule]:
    """Return the rules about the trusted computing base of an Intel platform."""
    tcb = shop.document.tcb or Tcb()
    grace = tcb.grace or Grace()
    yield _status(shop)
    for component in ("platform", "module", "qe") if platform == "tdx" else ("platform", "qe"):
        yield _component(shop, component, getattr(tcb, component), getattr(grace, component))
    yield _equal_numbers(shop)
    if tcb.min_evaluation_number is not None:
        yield _least_number(shop, tcb.min_evaluation_number)
    if tcb.rejected_advisories is not None:
        yield _rejected(shop, frozenset(tcb.rejected_advisories))
    if tcb.accepted_advisories is not None:
        yield _only_accepted(shop, frozenset(tcb.accepted_advisories))


def _status(shop: Workshop) -> Rule:
    key = "tcb.status"
    spec = shop.spec(key, "the platform as a whole has a status that can be judged")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        status = subject.tcb.status
        if status == UP_TO_DATE:
            return passed
        needs = _RELAUNCH.get(status)
        if needs is not None:
            return admit(
                subject, shop.accepted, needs, spec, key=key, found=f"The status of the whole is {status}."
            )
        if component_needs("platform", status) is None:
            return failed(
                spec,
                key,
                "inadmissible",
                f"The status of the whole is {ascii(str(status))[1:-1]}; nothing admits it.",
            )
        return passed

    return Rule(spec, judge)


def _component(shop: Workshop, component: str, listed: tuple[str, ...] | None, grace: int | None) -> Rule:
    key = f"tcb.{component}"
    name = _NAMES[component]
    spec = shop.spec(key, f"the {name} is patched as the policy demands")
    passed = spec.passed
    status_of = attrgetter(f"{component}_status")
    date_of = attrgetter(f"{component}_date")
    up_to_date_passes = listed is None or UP_TO_DATE in listed

    def judge_weak(subject: Subject, status: str, found: str) -> Check:
        needs = component_needs(component, status)
        if needs is None:
            return failed(spec, key, "inadmissible", f"{found} No policy can admit it.")
        if listed is not None and status not in listed:
            return failed(spec, key, "not_listed", f"{found} {key} allows {', '.join(listed)}.")
        relaunch = _RELAUNCH.get(subject.tcb.status) if component != "qe" else None
        if relaunch is not None and status in _WEAK and relaunch <= shop.accepted:
            needs = relaunch
        elif grace is not None and status in _WEAK:
            late = _grace_over(subject, date_of(subject.tcb), grace)
            if late:
                return failed(spec, key, "grace_over", f"{found} {late}")
        return admit(subject, shop.accepted, needs, spec, key=key, found=found)

    def judge(subject: Subject) -> Check:
        status = status_of(subject.tcb)
        if status == UP_TO_DATE and up_to_date_passes:
            return passed
        if status is None:
            # Only the module has none: first-generation TDX is judged as part of the platform.
            return Check(spec, Outcome.NOT_APPLICABLE, "", f"The {name} is judged as part of the platform.")
        return judge_weak(subject, status, f"The {name} is {ascii(str(status))[1:-1]}.")

    return Rule(spec, judge)


def _grace_over(subject: Subject, date: datetime | None, days: int) -> str:
    """Return why the grace period is over, or nothing while it runs."""
    if date is None:
        return "Its TCB date is not known, so no grace period can be counted."
    if subject.now - date <= timedelta(days=days):
        return ""
    end = date + timedelta(days=days)
    return f"Its TCB date is {date:%Y-%m-%d}, and the grace of {days} days ended on {end:%Y-%m-%d}."


def _equal_numbers(shop: Workshop) -> Rule:
    key = "tcb.evaluation_numbers"
    spec = shop.spec(key, "TCB info and QE identity come from the same TCB recovery")
    passed = spec.passed
    word = frozenset({"differing-evaluation-numbers"})

    def judge(subject: Subject) -> Check:
        tcb = subject.tcb
        if tcb.tcb_evaluation_number == tcb.qe_evaluation_number:
            return passed
        found = (
            f"TCB info has evaluation number {tcb.tcb_evaluation_number},"
            f" the QE identity has {tcb.qe_evaluation_number}."
        )
        return admit(subject, shop.accepted, word, spec, key=key, found=found)

    return Rule(spec, judge)


def _least_number(shop: Workshop, least: int) -> Rule:
    key = "tcb.min_evaluation_number"
    spec = shop.spec(key, f"the collateral knows TCB recovery {least} or a later one")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = min(subject.tcb.tcb_evaluation_number, subject.tcb.qe_evaluation_number)
        if found >= least:
            return passed
        return failed(
            spec, key, "too_small", f"The collateral's evaluation number is {found}; {least} is required."
        )

    return Rule(spec, judge)


def _rejected(shop: Workshop, words: frozenset[str]) -> Rule:
    key = "tcb.rejected_advisories"
    spec = shop.spec(key, "no advisory applies that the policy rejects")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = sorted(words.intersection(subject.tcb.advisories))
        if not found:
            return passed
        return failed(spec, key, "rejected", f"Advisories apply that the policy rejects: {_few(found)}.")

    return Rule(spec, judge)


def _only_accepted(shop: Workshop, words: frozenset[str]) -> Rule:
    key = "tcb.accepted_advisories"
    spec = shop.spec(key, "no advisory applies but those that the policy accepts")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = sorted(set(subject.tcb.advisories) - words)
        if not found:
            return passed
        return failed(
            spec, key, "not_accepted", f"Advisories apply that the policy does not accept: {_few(found)}."
        )

    return Rule(spec, judge)


def _few(words: list[str]) -> str:
    shown = [ascii(word)[1:-1][:40] for word in words[:8]]
    return ", ".join(shown) + (f" and {len(words) - 8} more" if len(words) > 8 else "")
