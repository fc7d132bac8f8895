"""Several pieces of evidence, verified and appraised as one.

result = verify_together([Part("quote", quote), Part("gpus", gpus)], policy=policy, tie=Shared(nonce), ...)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.composite import appraise_together
from assay.appraisal.pieces import Carried, Held, Piece, Shared, Tie, expected
from assay.appraisal.rules.composite import MAX_PIECES
from assay.appraisal.rules.subject import Context
from assay.evidence.facts import FactCache
from assay.verification import routed, verify
from assay.verification.formats import format_of
from assay.verification.materials import Materials
from assay.verification.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from assay.appraisal.composite import CompositeResult
    from assay.appraisal.policy import Policy
    from assay.evidence.dstack import Attestation, Presented
    from assay.evidence.roots import Roots
    from assay.verification.firmware_log import CcelData

__all__ = ["Carried", "Held", "Part", "Shared", "Tie", "verify_together"]

_NOTHING_KNOWN: Final = Context()
_NOTHING_STATED: Final = Terms()


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of evidence among others.

    Attributes:
        name: What people call it; stands in the result.
        evidence: The evidence, as its format's verifier takes it.
        platform: Which format to read it as; empty to recognise it.
        endorsements: What vouches for it, as its format takes it; None to look through the materials.
        event_log: What explains its registers.
        references: Reference Values by register for this piece alone; None to compare it with those that are
            given for all of them.
        beside: Files that came with the evidence and may vouch for it, by name.
    """

    name: str
    evidence: bytes
    platform: str = ""
    endorsements: Any = None
    event_log: Presented | CcelData | Attestation | None = None
    references: Mapping[str, frozenset[bytes]] | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)


def verify_together(
    parts: Sequence[Part],
    *,
    policy: Policy,
    tie: Tie,
    roots: Roots,
    now: datetime,
    materials: Materials | None = None,
    references: Mapping[str, frozenset[bytes]] | None = None,
    context: Context = _NOTHING_KNOWN,
    facts: FactCache | None = None,
    terms: Terms = _NOTHING_STATED,
) -> CompositeResult:
    """Verify pieces of evidence and appraise them as one. Bad evidence never raises: it is refused.

    Args:
        parts: The pieces, at most 16; with more the whole is refused, and the rest is not looked at.
        policy: The appraisal policy.
        tie: How all of them are tied to this session, or why that is not checked; then none is accepted.
        roots: The roots in which chains may end.
        now: The time of the verification, aware; one for all.
        materials: Files to look through for endorsements, where a part has none of its own.
        references: Reference Values by register, for policies that ask for them: for every piece that has
            none of its own, whatever its platform. Values of one platform belong to its pieces alone.
        context: What the Relying Party knows besides.
        facts: Verified facts to share; a new store when it is not given.
        terms: What else the Relying Party states, for formats that carry more to compare.

    Raises:
        PolicyError: As ``appraise`` does.
        EvidenceError: ``evidence.call.*`` for a tie that a format cannot carry, such as a nonce of another
            size: an error of the caller.
    """
    parts = parts[: MAX_PIECES + 1]
    names = [routed(part.evidence, policy, part.platform or None) for part in parts]
    shared = FactCache(max_entries=64) if facts is None else facts
    known = replace(context, company=tuple(names))
    found: list[Piece] = []
    for part, name in zip(parts, names, strict=True):
        result = verify(
            part.evidence,
            policy=policy,
            binding=expected(tie, name, format_of(name).binding_bytes),
            roots=roots,
            now=now,
            endorsements=part.endorsements,
            materials=_materials(materials, part),
            references=references if part.references is None else part.references,
            context=known,
            event_log=part.event_log,
            facts=shared,
            platform=name,
            terms=terms,
        )
        found.append(Piece(part.name, result))
    return appraise_together(found, policy, tie=tie, now=now)


def _materials(given: Materials | None, part: Part) -> Materials | None:
    """Return what there is to look through: what the caller has, and what came with the evidence."""
    if not part.beside:
        return given
    own = {f"{part.name}/{name}": data for name, data in part.beside.items()}
    return (given or Materials({})).with_evidence(own)
