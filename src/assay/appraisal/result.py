"""The Attestation Result: what was checked, what came of it, and what it does not establish."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal import not_proven, trust_vector
from assay.appraisal.plain import ready
from assay.appraisal.vocabulary import WEAKNESSES
from assay.errors import EvidenceError
from assay.evidence.ledger import Ledger, Outcome
from assay.evidence.records import record

if TYPE_CHECKING:
    from datetime import datetime

    from assay.appraisal.policy import Policy
    from assay.appraisal.rules.subject import Context
    from assay.appraisal.trust_vector import TrustClaim
    from assay.evidence.eventlog.result import LogResult
    from assay.evidence.ledger import Check
    from assay.evidence.verification import EvidenceResult

SCHEMA: Final = "assay/attestation-result/v1"


class Verdict(StrEnum):
    """The three verdicts; only ``accepted`` opens a gate, releases a key, or stands in a receipt."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    GENUINE_NOT_BOUND = "genuine_not_bound"


@record
class AttestationResult:
    """The outcome of one appraisal.

    Attributes:
        verdict: Accepted, refused, or genuine but not bound.
        ledger: Every check: those of the evidence's format, of its event log if one was given, of the policy.
        evidence: The verified evidence.
        policy: The policy, with the policies that were applied as well.
        now: The time of the appraisal.
        context: What the Relying Party knew besides the evidence.
        workload_log: The verified event log, or None when none was given.
        admitted: Words of the weaknesses that the evidence has and the policy admits.
    """

    verdict: Verdict
    ledger: Ledger
    evidence: EvidenceResult[Any]
    policy: Policy
    now: datetime
    context: Context
    workload_log: LogResult[Any] | None
    admitted: tuple[str, ...]
    _policy_part: slice

    @property
    def policy_checks(self) -> tuple[Check, ...]:
        """The checks of the policy and of those applied as well, without what others added to the ledger."""
        return self.ledger.checks[self._policy_part]

    @property
    def accepted(self) -> bool:
        """True when every required check passed and the evidence is bound to this session."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def indeterminate(self) -> bool:
        """True when nothing failed but a check could not be made: refused for now, worth another try."""
        return self.verdict is Verdict.REFUSED and not self.ledger.failed()

    @property
    def platform(self) -> str:
        """The platform: ``tdx``, ``sgx``."""
        return self.evidence.platform

    @property
    def simulated(self) -> bool:
        """True unless the chain ended in a pinned vendor root; derived from the anchor alone."""
        return self.evidence.simulated

    @property
    def policy_digest(self) -> bytes:
        """SHA-256 that names the policy, 32 bytes."""
        return self.policy.digest

    @property
    def trust_vector(self) -> dict[str, int]:
        """The AR4SI values by claim name."""
        return {name: claim.value for name, claim in self.trust_claims.items()}

    @property
    def trust_claims(self) -> dict[str, TrustClaim]:
        """The AR4SI claims by name, each with its reason."""
        return trust_vector.vector(self)

    @property
    def not_proven(self) -> tuple[str, ...]:
        """What this result does not establish, one sentence each; never empty."""
        return not_proven.sentences(self)

    def require(self) -> AttestationResult:
        """Return this result if it is accepted.

        Raises:
            EvidenceError: The code and reason of the first check that was not met, or
                ``evidence.not_bound`` when only the binding is open.
        """
        if self.accepted:
            return self
        if self.verdict is Verdict.GENUINE_NOT_BOUND:
            raise EvidenceError(
                "evidence.not_bound", "The evidence is genuine, but nothing binds it to this session."
            )
        first = next(iter(self.ledger.failed() or self.ledger.unmet()), None)
        if first is None:
            raise EvidenceError("evidence.refused", "The evidence is refused: nothing binds it to anything.")
        raise EvidenceError(first.code, f"The evidence is refused: {first.reason}")

    def outcomes(self, *keys: str) -> list[Outcome]:
        """Return the outcomes of these checks, of the policy and of those that were added to it."""
        return [check.outcome for check in self.policy_checks for key in keys if check.id.endswith(f".{key}")]

    def passed(self, key: str) -> bool:
        """Return whether a policy check was made and passed."""
        return Outcome.PASSED in self.outcomes(key)

    def any_failed(self, *starts: str, but: tuple[str, ...] = ()) -> bool:
        """Return whether a policy check failed whose key begins with one of ``starts``, none of ``but``."""
        return self._any(Outcome.FAILED, starts, but)

    def any_left_open(self, *starts: str) -> bool:
        """Return whether a policy check was not made whose key begins with one of ``starts``."""
        return self._any(Outcome.NOT_CHECKED, starts, ())

    def _any(self, outcome: Outcome, starts: tuple[str, ...], but: tuple[str, ...]) -> bool:
        keys = [
            check.code.removeprefix("policy.") for check in self.policy_checks if check.outcome is outcome
        ]
        return any(key.startswith(starts) and not key.startswith(but) for key in keys)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values, in the schema that ``schema`` names."""
        evidence = self.evidence
        anchor = evidence.anchor
        return {
            "schema": SCHEMA,
            "verdict": self.verdict.value,
            "platform": self.platform,
            "simulated": self.simulated,
            "appraised_at": self.now.isoformat(),
            "policy": {
                "name": self.policy.name,
                "sha256": self.policy.digest.hex(),
                "also": [{"name": part.name, "sha256": part.digest.hex()} for part in self.policy.also],
            },
            "evidence": {
                "signed_sha256": evidence.signed_digest.hex(),
                "authentic": evidence.authentic,
                "bound": evidence.bound,
                "anchor": anchor
                and {
                    "name": anchor.name,
                    "sha256": anchor.fingerprint.hex(),
                    "simulated": anchor.simulated,
                },
                "unsigned": [
                    {"start": region.start, "end": region.end, "name": region.name}
                    for region in evidence.unsigned
                ],
            },
            "claims": ready(evidence.claims) if evidence.authentic else None,
            "unauthenticated": None if evidence.authentic else ready(dict(evidence.decoded)),
            "isolation": self.context.isolation,
            "checks": [check.to_json() for check in self.ledger],
            "trust_vector": {name: claim.to_json() for name, claim in self.trust_claims.items()},
            "admitted": [{"word": word, "meaning": WEAKNESSES[word].meaning} for word in self.admitted],
            "missing": [
                {"kind": need.kind, "key": dict(need.key), "reason": need.reason} for need in evidence.needs
            ],
            "not_proven": list(self.not_proven),
        }
