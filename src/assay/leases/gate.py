"""The gate: what a machine presented is verified and appraised, and nothing is sent unless all of it holds.

Every value that decides is this side's own: the binding, the roots and Reference Values of the provider's
``Trust``, the policy, the launch configuration, the history of the runtime register as the book recorded it.
The guest's words only say where to look. To the checks of the evidence and of the policy the gate adds those
that belong to a lease, in the same ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from assay.appraisal.appraiser import appraise
from assay.appraisal.result import AttestationResult, Verdict
from assay.appraisal.rules.subject import Context
from assay.channel import runtime
from assay.evidence.dcap import verify_quote
from assay.evidence.facts import FactCache
from assay.evidence.ledger import CheckSpec, Ledger, LedgerBuilder, Outcome
from assay.evidence.verification import Expected
from assay.leases.record import AppraisalRecord

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from assay.appraisal.policy import Policy
    from assay.channel.binding import SessionBinding
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.roots import Roots
    from assay.providers.interface import CreateRequest, Trust

_SOURCE: Final = "Assay design, Two appraisals, one binding"
LAUNCH_CONFIG: Final = CheckSpec(
    "gate.launch_config", "the guest was launched for this lease and this owner's key (MRCONFIGID)", _SOURCE
)
RUNTIME_REGISTER: Final = CheckSpec(
    "gate.runtime_register", "the runtime register holds exactly what was sent to this guest (RTMR3)", _SOURCE
)
REQUIRED: Final = CheckSpec(
    "gate.required_checks",
    "the checks that settings require were made and passed",
    "settings: require.checks",
)
CHECKS: Final = (LAUNCH_CONFIG, RUNTIME_REGISTER, REQUIRED)
_OWN_REGISTERS: Final = ("mr_config_id", "rtmr3")
"""Registers whose Reference Values are made from a record's launch configuration and history."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Appraises what one machine presents.

    Attributes:
        trust: Roots, collateral and Reference Values of this provider's machines.
        policy: What admits a machine; every policy that applies is part of it.
        required: Ids of further checks that must have passed.
        launch: SHA-384 of the launch configuration, 48 bytes.
        facts: Verified facts, shared between appraisals.
    """

    trust: Trust
    policy: Policy
    required: tuple[str, ...]
    launch: bytes
    facts: FactCache

    def record(
        self,
        binding: SessionBinding,
        *,
        isolation: str,
        history: Sequence[runtime.RuntimeEvent],
        nonce_made_at: datetime,
    ) -> AppraisalRecord:
        """Return what evidence is appraised with: all that ``judge`` takes, and what is kept for audits.

        Args:
            binding: The binding that the evidence must carry, from our own values.
            isolation: The rung of isolation that the guest names.
            history: Every event of the runtime register since the launch, as this side knows them.
            nonce_made_at: When the nonce was made.
        """
        known = self.trust.references
        return AppraisalRecord(
            binding=binding,
            isolation=isolation,
            history=tuple(history),
            launch=self.launch,
            nonce_made_at=nonce_made_at,
            references={name: known[name] for name in known if name not in _OWN_REGISTERS},
            anchors=tuple(
                (root.anchor.name, root.der) for root in self.trust.roots.entries if root.anchor.simulated
            ),
            policy=self.policy.name,
            policy_digest=self.policy.digest,
            required=self.required,
        )

    def judge(self, evidence: bytes, record: AppraisalRecord, *, now: datetime) -> AttestationResult:
        """Return the Attestation Result, accepted or not.

        Args:
            evidence: What the guest presented.
            record: What it is appraised with.
            now: The time of the appraisal.
        """
        return judge(
            evidence,
            record,
            policy=self.policy,
            roots=self.trust.roots,
            collateral=self.trust.collateral,
            facts=self.facts,
            now=now,
        )


def judge(
    evidence: bytes,
    record: AppraisalRecord,
    *,
    policy: Policy,
    roots: Roots,
    collateral: Collateral | None,
    facts: FactCache,
    now: datetime,
) -> AttestationResult:
    """Return the Attestation Result: that of the gate now, or that of a record of it long after.

    What is trusted is not in the record: policy and roots are the caller's own.

    Args:
        evidence: What the guest presented.
        record: What it is appraised with.
        policy: What admits a machine.
        roots: The anchors in which a chain may end. When one of them is not a vendor's, it is the root of
            the installation.
        collateral: Endorsements for the platform, or None.
        facts: Verified facts, shared between appraisals.
        now: The time of the appraisal.
    """
    verified = verify_quote(
        evidence,
        platform=cast("Any", record.binding.platform),
        collateral=collateral,
        roots=roots,
        now=now,
        binding=Expected(record.binding.report_data()),
        facts=facts,
    )
    register = runtime.replay(record.history)
    references = {
        **record.references,
        "mr_config_id": frozenset({record.launch}),
        "rtmr3": frozenset({register}),
    }
    own = [root.anchor.fingerprint for root in roots.entries if root.anchor.simulated]
    context = Context(
        isolation=record.isolation,
        installation_roots=frozenset(own if len(own) == 1 else ()),
        nonce_made_at=record.nonce_made_at,
    )
    result = appraise(verified, policy, now=now, references=references, context=context, workload_log=None)
    return _with_own_checks(result, record, register)


def _with_own_checks(
    result: AttestationResult, record: AppraisalRecord, register: bytes
) -> AttestationResult:
    ledger = LedgerBuilder(CHECKS)
    if result.evidence.authentic:
        claims = result.evidence.claims
        _compare(
            ledger,
            LAUNCH_CONFIG,
            claims.mr_config_id,
            record.launch,
            "The guest was launched with another configuration: for another lease, owner or deadline.",
        )
        _compare(
            ledger,
            RUNTIME_REGISTER,
            claims.rtmrs[runtime.REGISTER],
            register,
            "The guest measured something else than what was sent: its runtime register does not replay.",
        )
    else:
        for spec in (LAUNCH_CONFIG, RUNTIME_REGISTER):
            ledger.not_checked(spec, "gate.unauthenticated", "not reached: the evidence is not authenticated")
    _require_named(ledger, record.required, result.ledger)
    own = ledger.close()
    met = all(check.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE) for check in own)
    return replace(result, ledger=result.ledger + own, verdict=result.verdict if met else Verdict.REFUSED)


def _require_named(ledger: LedgerBuilder, required: tuple[str, ...], made: Ledger) -> None:
    outcomes = {check.id: check.outcome for check in made}
    missing = [name for name in required if outcomes.get(name) is not Outcome.PASSED]
    words = f"Not passed: {', '.join(missing)[:300]}."
    if not required:
        ledger.not_applicable(REQUIRED, "settings require none")
    elif not missing:
        ledger.passed(REQUIRED)
    elif all(outcomes.get(name) is Outcome.NOT_CHECKED for name in missing):
        ledger.not_checked(REQUIRED, "gate.required_checks.not_checked", words)
    else:
        ledger.failed(REQUIRED, "gate.required_checks.missing", words)


def _compare(ledger: LedgerBuilder, spec: CheckSpec, found: bytes, expected: bytes, reason: str) -> None:
    if found == expected:
        ledger.passed(spec)
    else:
        ledger.failed(
            spec, f"{spec.id}.mismatch", f"{reason} It is {found.hex()[:24]}..., not {expected.hex()[:24]}..."
        )


def gate_for(trust: Trust, request: CreateRequest, *, policy: Policy, required: tuple[str, ...]) -> Gate:
    """Return the gate for one machine.

    Args:
        trust: What this side knows of the provider's machines.
        request: What was asked for; its launch configuration is measured.
        policy: What admits the machine.
        required: Ids of further checks that must have passed.
    """
    return Gate(
        trust=trust,
        policy=policy,
        required=required,
        launch=request.config.digest(),
        facts=FactCache(max_entries=64),
    )
