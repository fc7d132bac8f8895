"""The rule about one weakness: refused unless the policy admits it by its word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.evidence.ledger import Check


def weakness_rule(
    shop: Workshop,
    path: str,
    word: str,
    title: str,
    found_in: Callable[[Any], str],
    *,
    wanted: bool | None = None,
) -> Rule:
    """Return the rule about one weakness.

    Args:
        shop: The policy.
        path: Path of the check: ``snp.alias_check``.
        word: What admits it in ``accept``.
        title: What is known once the check passed, as a clause.
        found_in: Takes the Claims; returns what is weak about them as a sentence, or nothing.
        wanted: What the policy says of the property itself: False forbids it even where the word stands, True
            demands it.
    """
    spec = shop.spec(path, title)
    passed = spec.passed
    admitted = wanted is not False and word in shop.accepted

    def judge(subject: Subject) -> Check:
        why = found_in(subject.claims)
        if not why:
            if wanted is True:
                return failed(spec, path, "mismatch", "It is not so, which the policy demands.")
            return passed
        if admitted:
            subject.admitted.append(word)
            return passed
        return failed(spec, path, "weak", f'{why} To admit it, name "{word}" in accept.')

    return Rule(spec, judge)
