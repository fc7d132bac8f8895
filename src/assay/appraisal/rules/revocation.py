"""Rules about the lists of what the authorities above a key revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.revocation_field import EVERY_ISSUER, NAMED
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.evidence.ledger import Check

_TITLES: Final = {
    NAMED: "every revocation list that the chain of its key names was looked at",
    EVERY_ISSUER: "a revocation list of every authority above its key was looked at",
}
_LACKING: Final = {
    NAMED: "A certificate of the chain names a revocation list that was not given.",
    EVERY_ISSUER: "Not every authority of the chain had a revocation list; some may publish none.",
}


@record
class Looked:
    """What was looked at for the chain above a key.

    Attributes:
        named: Whether every list that a certificate of the chain names was.
        every: Whether a list of every authority was.
    """

    named: bool
    every: bool


def revocation_rule(shop: Workshop, path: str, read: Callable[[Any], Looked | None], wanted: str) -> Rule:
    """Return the rule that revocation lists were looked at, none of which had a certificate of the chain.

    Args:
        shop: The policy.
        path: Path of the key: ``google.revocation``.
        read: Takes the Claims; None where no chain vouches for the key, so that there is nothing to look up.
        wanted: ``named`` or ``every-issuer``.
    """
    spec = shop.spec(path, _TITLES[wanted])
    passed = spec.passed

    def judge(subject: Subject) -> Check:
        found = read(subject.claims)
        if found is None:
            return failed(spec, path, "no_chain", "No chain of certificates vouches for the key.")
        if found.named if wanted == NAMED else found.every:
            return passed
        return failed(spec, path, "incomplete", _LACKING[wanted])

    return Rule(spec, judge)
