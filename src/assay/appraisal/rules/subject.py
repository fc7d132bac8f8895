"""What a rule looks at, and how rules are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.evidence.ledger import Check, CheckSpec, Outcome
from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from assay.appraisal.document import Document
    from assay.evidence.dcap.tcb import TcbClaims
    from assay.evidence.verification import EvidenceResult

ROOT_BYTES: Final = 32


@record
class Context:
    """What the Relying Party knows besides the evidence, from its own side alone.

    Attributes:
        isolation: The rung of isolation between workload and agent, as the launcher set it up; None when
            it is not known.
        installation_roots: SHA-256 of the DER of this installation's own roots, 32 bytes each, one for each
            vendor that is simulated: the only anchors under which simulated evidence can be admitted.
        nonce_made_at: When the nonce that the evidence answers was made; None when it is not known.
        company: Platforms of all the evidence that is appraised together with this piece, its own included;
            empty when it is appraised alone. Whoever appraises the whole says so, and nobody else.
    """

    isolation: str | None = None
    installation_roots: frozenset[bytes] = frozenset()
    nonce_made_at: datetime | None = None
    company: tuple[str, ...] = ()


@record
class Subject:
    """One piece of authentic evidence under appraisal, with everything that a rule may look at.

    Attributes:
        evidence: The verified evidence.
        claims: Its Claims, as the rules of that platform expect them.
        tcb: The Claims of its DCAP part; rules that look at them are made for platforms that have one.
        endorsed_since: When the newest endorsement behind the Claims was issued; None when the evidence
            carries all of them itself.
        now: The time of the appraisal.
        references: Reference Values by register.
        context: What the Relying Party knows besides.
        workload_log: Claims of a verified event log, or None.
        admitted: Weaknesses that a rule found and the policy admits, in the order in which they were found.
    """

    evidence: EvidenceResult[Any]
    claims: Any
    tcb: TcbClaims
    endorsed_since: datetime | None
    now: datetime
    references: Mapping[str, frozenset[bytes]]
    context: Context
    workload_log: Any
    admitted: list[str]


@record
class Rule:
    """One requirement of a policy, compiled.

    Attributes:
        spec: The check that it makes.
        judge: Makes the check.
    """

    spec: CheckSpec
    judge: Callable[[Subject], Check]


@record
class Workshop:
    """Makes the checks of one policy.

    Attributes:
        document: What the policy says.
        accepted: The words of its ``accept``.
        prefix: First part of every check id: ``policy``, or ``policy.added`` for a policy applied as well.
        name: The policy's name.
    """

    document: Document
    accepted: frozenset[str]
    prefix: str
    name: str

    def spec(self, key: str, title: str) -> CheckSpec:
        """Return the check of one policy key.

        Args:
            key: Path of the key: ``tcb.platform``.
            title: What is known once it passed, as a clause.
        """
        return CheckSpec(f"{self.prefix}.{key}", title, f"policy {self.name}: {key}")


def failed(spec: CheckSpec, key: str, what: str, reason: str) -> Check:
    """Return a failed check; its code is the same whether or not the policy was applied as well.

    Args:
        spec: The check.
        key: Path of the policy key: ``tcb.platform``.
        what: Last part of the code: ``mismatch``.
        reason: A sentence for a person.
    """
    return Check(spec, Outcome.FAILED, f"policy.{key}.{what}", reason)


def admit(
    subject: Subject,
    accepted: frozenset[str],
    needs: frozenset[str],
    spec: CheckSpec,
    *,
    key: str,
    found: str,
) -> Check:
    """Return a passed check, noting the weaknesses, if the policy admits all of them; else a failed one.

    Args:
        subject: The evidence under appraisal.
        accepted: The words of the policy's ``accept``.
        needs: Words that must all be among them.
        spec: The check.
        key: Path of the policy key.
        found: What was found, as a sentence.
    """
    missing = sorted(needs - accepted)
    if missing:
        words = ", ".join(f'"{word}"' for word in missing)
        return failed(spec, key, "weak", f"{found} To admit it, name {words} in accept.")
    subject.admitted.extend(sorted(needs.difference(subject.admitted)))
    return spec.passed


def nested(rule: Rule, claims_of: Callable[[Any], Any], tcb_of: Callable[[Any], Any]) -> Rule:
    """Return a rule of one platform, applied to that platform's part of composite Claims.

    Args:
        rule: A rule of the inner platform.
        claims_of: Takes the composite Claims, returns the inner platform's.
        tcb_of: Takes the inner Claims, returns those of their DCAP part, or None.
    """
    from dataclasses import replace  # noqa: PLC0415 - costly, and only composite evidence has inner parts

    def judge(subject: Subject) -> Check:
        inner = claims_of(subject.claims)
        # The list of admitted weaknesses is shared, so what the inner rule admits stands in the result.
        return rule.judge(replace(subject, claims=inner, tcb=tcb_of(inner)))

    return Rule(rule.spec, judge)
