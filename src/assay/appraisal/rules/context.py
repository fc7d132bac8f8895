"""Rules about what surrounds the evidence: platform, anchor, ages, isolation."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from assay.appraisal.document import Freshness, Isolation
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.vocabulary import RUNGS
from assay.evidence.ledger import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator


def rules(shop: Workshop) -> Iterator[Rule]:
    """Return the rules that hold on every platform: anchor, company, then ages, then isolation."""
    yield _only_simulated(shop) if shop.document.simulated == "only" else _no_simulated(shop)
    if shop.document.together is not None:
        yield _together(shop, shop.document.together)
    freshness = shop.document.freshness or Freshness()
    if freshness.collateral_max_age_hours is not None:
        yield _collateral_age(shop, freshness.collateral_max_age_hours)
    if freshness.evidence_max_age_seconds is not None:
        yield _evidence_age(shop, freshness.evidence_max_age_seconds)
    least = (shop.document.isolation or Isolation()).min
    if least is not None:
        yield _isolation(shop, least)


def company_defect(demanded: tuple[str, ...], company: tuple[str, ...]) -> tuple[str, str] | None:
    """Return what is wrong with the company of evidence that a policy demands together.

    Args:
        demanded: Platforms, each as often as there must be evidence of it.
        company: Platforms of the evidence that there is.

    Returns:
        Last part of the code and a sentence; None when each is there exactly as often as demanded.
    """
    wanted, there = Counter(demanded), Counter(company)
    if not company:
        return "alone", f"The policy demands {_counted(wanted)} together; this was appraised alone."
    for platform, times in wanted.items():
        if there[platform] != times:
            return (
                "missing" if there[platform] < times else "repeated",
                f"The policy demands {_counted(wanted)} together; there is {_counted(there)}.",
            )
    return None


def _counted(platforms: Counter[str]) -> str:
    return ", ".join(name if times == 1 else f"{name} ({times} times)" for name, times in platforms.items())


def _together(shop: Workshop, demanded: tuple[str, ...]) -> Rule:
    spec = shop.spec("together", "all the evidence that is demanded together was appraised together")

    def judge(subject: Subject) -> Check:
        defect = company_defect(demanded, subject.context.company)
        return spec.passed if defect is None else failed(spec, "together", *defect)

    return Rule(spec, judge)


def _no_simulated(shop: Workshop) -> Rule:
    spec = shop.spec("simulated", "the chain ended in a pinned vendor root: real hardware")
    passed = spec.passed
    word = "published-keys"
    admitted = word in shop.accepted
    published = failed(
        spec,
        "simulated",
        "published_keys",
        "No chain ends in a vendor's root: the token is signed by a key that its issuer publishes on a"
        f' website. To admit it, name "{word}" in accept.',
    )
    refused = failed(
        spec,
        "simulated",
        "refused",
        "The hardware is simulated: the chain ended in no vendor's root. Only the policy local admits it.",
    )

    def judge(subject: Subject) -> Check:
        if not subject.evidence.simulated:
            return passed
        anchor = subject.evidence.anchor
        if anchor is None or not anchor.published_keys:
            return refused
        if admitted:
            subject.admitted.append(word)
            return passed
        return published

    return Rule(spec, judge)


def _only_simulated(shop: Workshop) -> Rule:
    spec = shop.spec("simulated", "the chain ended in this installation's own root: simulated hardware")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        anchor = subject.evidence.anchor
        own = subject.context.installation_roots
        if anchor is None or not anchor.simulated:
            return failed(
                spec,
                "simulated",
                "hardware",
                "The policy is for simulated hardware alone; this is real hardware.",
            )
        if not own:
            return failed(
                spec,
                "simulated",
                "no_root",
                "This installation has no root of its own, so none can be trusted.",
            )
        if anchor.fingerprint not in own:
            return failed(
                spec,
                "simulated",
                "foreign_root",
                "The simulated hardware belongs to another installation: its root is"
                f" {anchor.fingerprint.hex()}, which is none of this one's.",
            )
        subject.admitted.append("simulated")
        return passed

    return Rule(spec, judge)


def _collateral_age(shop: Workshop, hours: int) -> Rule:
    key = "freshness.collateral_max_age_hours"
    spec = shop.spec(key, f"the newest part of the collateral is at most {hours} hours old")
    passed = spec.passed
    carries_its_own = Check(
        spec, Outcome.NOT_APPLICABLE, "", "The evidence of this platform carries its own chain, valid now."
    )
    limit = timedelta(hours=hours)

    def judge(subject: Subject) -> Check:
        if subject.endorsed_since is None:
            return carries_its_own
        age = subject.now - subject.endorsed_since
        if age <= limit:
            return passed
        found = age // timedelta(hours=1)
        return failed(spec, key, "too_old", f"The collateral is {found} hours old; {hours} are allowed.")

    return Rule(spec, judge)


def _evidence_age(shop: Workshop, seconds: int) -> Rule:
    key = "freshness.evidence_max_age_seconds"
    spec = shop.spec(key, f"the nonce that the evidence answers is at most {seconds} seconds old")
    passed = spec.passed
    limit = timedelta(seconds=seconds)

    def judge(subject: Subject) -> Check:
        made = subject.context.nonce_made_at
        if made is None or not subject.evidence.bound:
            return failed(
                spec,
                key,
                "unknown",
                "The age of the evidence is not known: it answers no nonce of known age.",
            )
        age = subject.now - made
        if timedelta(0) <= age <= limit:
            return passed
        found = int(age.total_seconds())
        return failed(
            spec,
            key,
            "too_old",
            f"The nonce was made {found} seconds before now; 0 to {seconds} are allowed.",
        )

    return Rule(spec, judge)


def _isolation(shop: Workshop, least: str) -> Rule:
    key = "isolation.min"
    spec = shop.spec(key, f"the workload is isolated from its agent by {least} or stronger")
    passed = spec.passed
    enough = frozenset(RUNGS[RUNGS.index(least) :])

    def judge(subject: Subject) -> Check:
        found = subject.context.isolation
        if found in enough:
            return passed
        if found is None:
            return failed(spec, key, "unknown", "Nothing says what isolates the workload from its agent.")
        shown = found if found in RUNGS else f"{ascii(found)[:40]}, which is no known rung"
        return failed(spec, key, "too_weak", f"The isolation is {shown}; {least} or stronger is required.")

    return Rule(spec, judge)
