"""Several pieces of evidence as one: the appraisal of what they prove together.

Each piece is verified and appraised by itself. What makes them one machine are bindings between them, and
those are checks of their own (``rules.composite``): every piece belongs to this session, the nonces of GPUs
and virtual TPMs are what the CPU's evidence commits to, nothing stands there twice, nothing that the policy
demands is left out, and no simulated piece hides behind a genuine one. All of it is judged at one time, under
one policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.pieces import DEVICES, MACHINES, TOKENS, TPMS, Piece, Tie
from assay.appraisal.result import Verdict
from assay.appraisal.rules import composite
from assay.errors import EvidenceError
from assay.evidence.ledger import Ledger, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from assay.appraisal.policy import Policy

SCHEMA: Final = "assay/composite-result/v1"


@dataclass(frozen=True, slots=True)
class CompositeResult:
    """The outcome of one appraisal of several pieces.

    Attributes:
        verdict: Of the whole. That of a piece alone opens nothing.
        ledger: The checks of the whole; those of the pieces stand in their results.
        pieces: The pieces with their results, in the order in which they were given.
        policy: The policy, with those that were applied as well.
        now: The time of the appraisal.
    """

    verdict: Verdict
    ledger: Ledger
    pieces: tuple[Piece, ...]
    policy: Policy
    now: datetime

    @property
    def accepted(self) -> bool:
        """True when every piece is accepted and every check between them passed."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def indeterminate(self) -> bool:
        """True when nothing failed but something could not be checked: refused for now."""
        return self.verdict is Verdict.REFUSED and not self.ledger.failed()

    @property
    def simulated(self) -> bool:
        """True unless every piece ended in a pinned vendor root."""
        return not self.pieces or any(piece.result.simulated for piece in self.pieces)

    @property
    def not_proven(self) -> tuple[str, ...]:
        """What the whole does not establish, one sentence each; never empty."""
        return tuple(_not_proven(self))

    def require(self) -> CompositeResult:
        """Return this result if it is accepted.

        Raises:
            EvidenceError: The code and reason of the first check that was not met, or
                ``evidence.not_bound`` when only bindings are open.
        """
        if self.accepted:
            return self
        if self.verdict is Verdict.GENUINE_NOT_BOUND:
            raise EvidenceError(
                "evidence.not_bound", "The evidence is genuine, but nothing binds all of it to this session."
            )
        first = (self.ledger.failed() or self.ledger.unmet())[0]
        raise EvidenceError(first.code, f"The evidence is refused: {first.reason}")

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values, in the schema that ``schema`` names."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict.value,
            "simulated": self.simulated,
            "appraised_at": self.now.isoformat(),
            "policy": {
                "name": self.policy.name,
                "sha256": self.policy.digest.hex(),
                "also": [{"name": part.name, "sha256": part.digest.hex()} for part in self.policy.also],
            },
            "checks": [check.to_json() for check in self.ledger],
            "parts": [{"name": piece.name, **piece.result.to_json()} for piece in self.pieces],
            "not_proven": list(self.not_proven),
        }


def appraise_together(pieces: Sequence[Piece], policy: Policy, *, tie: Tie, now: datetime) -> CompositeResult:
    """Return what pieces of evidence prove together.

    Args:
        pieces: The pieces, each verified with the binding that ``pieces.expected`` returns for the tie, and
            appraised under the policy with all their platforms as its company. What machines, and devices
            beside them, answered is compared here once more; what a token or a lone device did is not.
        policy: The policy; its added policies are applied as well.
        tie: How the pieces are tied to the session.
        now: The time of the appraisal; the one that each piece was appraised at.
    """
    found = Ledger(tuple(composite.judge(pieces, policy, tie, now)))
    return CompositeResult(_verdict(found, pieces), found, tuple(pieces), policy, now)


def _verdict(ledger: Ledger, pieces: Sequence[Piece]) -> Verdict:
    for check in ledger.unmet():
        if check.outcome is Outcome.FAILED or check.spec not in composite.BINDINGS:
            return Verdict.REFUSED
    accepted = not ledger.unmet() and all(piece.result.accepted for piece in pieces)
    return Verdict.ACCEPTED if accepted else Verdict.GENUINE_NOT_BOUND


def _not_proven(result: CompositeResult) -> Iterator[str]:
    if result.ledger[composite.SESSION.id].outcome is not Outcome.PASSED:
        yield "That the evidence is fresh, or meant for you: not all of it is bound to a session of yours."
    platforms = {piece.result.platform for piece in result.pieces}
    if platforms & DEVICES:
        yield "That the GPUs are in this machine: their answers show who asked them, not where they are."
    if platforms & TPMS and len(platforms) > 1:
        yield "That the virtual TPM is this machine's: its answer shows who asked it, not where it is."
    if platforms & TOKENS and platforms & MACHINES:
        yield "That the token is about this machine: it shows who asked for it, not where."
    said = [(piece.name, piece.result.not_proven) for piece in result.pieces]
    told: set[str] = set()
    for name, sentences in said:
        for sentence in sentences:
            if not all(sentence in others for _, others in said):
                yield f"{name}: {sentence}"
            elif sentence not in told:
                told.add(sentence)
                yield sentence
    if not said:
        yield "Anything: there is no evidence."
