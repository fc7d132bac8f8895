"""Rules that compare one Claim with a list, a bound or a wanted value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from assay.evidence.ledger import Check


def listed_rule(
    shop: Workshop, path: str, read: Callable[[Any], Any], allowed: Collection[Any], *, title: str = ""
) -> Rule:
    """Return the rule that a Claim is one of those that the policy lists.

    Args:
        shop: The policy.
        path: Path of the key: ``nitro.regions``.
        read: Takes the Claims, returns the value; None stands for "not stated" and is on no list.
        allowed: The values of the policy.
        title: What is known once it passed; made from the key when empty.
    """
    spec = shop.spec(path, title or f"{path.rpartition('.')[2]} is one that the policy names")
    passed = spec.passed
    values = frozenset(allowed)

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found is not None and found in values:
            return passed
        shown = found.hex() if isinstance(found, bytes) else ascii(found)[:80]
        said = "It is not stated" if found is None or found in (b"", "") else f"It is {shown}"
        return failed(spec, path, "not_listed", f"{said}; the policy names {len(values)} other(s).")

    return Rule(spec, judge)


def least_rule(shop: Workshop, path: str, read: Callable[[Any], int | None], least: int) -> Rule:
    """Return the rule that a number of the Claims is at least what the policy says."""
    name = path.rpartition(".")[2].removeprefix("min_")
    spec = shop.spec(path, f"{name} is at least {least}")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found is not None and found >= least:
            return passed
        return failed(spec, path, "too_small", f"{name} is {found}; {least} is required.")

    return Rule(spec, judge)


def flag_rule(
    shop: Workshop, path: str, read: Callable[[Any], bool | None], *, wanted: bool, title: str = ""
) -> Rule:
    """Return the rule that a truth value of the Claims is the wanted one; what is not stated never is."""
    name = path.rpartition(".")[2]
    spec = shop.spec(path, title or f"{name}: {'yes' if wanted else 'no'}")
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found is wanted:
            return passed
        if found is None:
            return failed(spec, path, "unknown", f"Nothing says whether {name} is so.")
        return failed(spec, path, "mismatch", f"{name} is {found}; the policy demands {wanted}.")

    return Rule(spec, judge)
