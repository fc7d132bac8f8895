"""The rule about Intel's status of a platform, where only a token states it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.appraisal.rules.subject import Rule, Subject, Workshop, admit, failed
from assay.appraisal.vocabulary import UP_TO_DATE, component_needs
from assay.evidence.ledger import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable


def status_rule(shop: Workshop, path: str, status_of: Callable[[Any], str], *, required: bool) -> Rule:
    """Return the rule that a platform is up to date, or that the policy admits its status.

    Args:
        shop: The policy.
        path: Path of the check.
        status_of: Takes the Claims, returns Intel's status; empty when it is not stated.
        required: Whether it must be stated.
    """
    spec = shop.spec(path, "the platform is up to date, as the token's issuer found")
    passed = spec.passed
    not_stated = Check(spec, Outcome.NOT_APPLICABLE, "", "The token does not state what its issuer found.")

    def judge(subject: Subject) -> Check:
        status = status_of(subject.claims)
        if status == UP_TO_DATE:
            return passed
        if not status and not required:
            return not_stated
        needs = component_needs("platform", status) if status else None
        if needs is None:
            shown = ascii(status)[1:-1][:40] or "not stated"
            return failed(spec, path, "unknown", f"The status of the platform is {shown}.")
        return admit(subject, shop.accepted, needs, spec, key=path, found=f"The platform is {status}.")

    return Rule(spec, judge)
