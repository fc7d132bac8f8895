"""Judging a receipt with its Evidence, long after the lease is gone.

A receipt is worth what the Evidence is worth that names its key. So both appraisals are made again, by the
same gate, as of the moment at which the log says they were made: with the collateral kept then, the binding
and the history of the runtime register that were recorded. Then the receipt must be signed by the key in the
binding of the start Evidence, and name this execution and no other.

What was recorded comes from this installation's own records, here, with the Reference Values of today; or
from an exported log (``assay.leases.exported``). Both end in ``conclude``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.appraisal.policy import Policy
from assay.channel import runtime
from assay.channel.binding import Purpose
from assay.channel.offer import ROLE
from assay.errors import LeaseError, ReceiptError
from assay.evidence.dcap.collateral import Collateral
from assay.evidence.facts import FactCache
from assay.leases import runs
from assay.leases.creation import request_of
from assay.leases.gate import gate_for, judge
from assay.receipts.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from assay.appraisal.result import AttestationResult
    from assay.audit.entry import Entry
    from assay.channel.binding import SessionBinding
    from assay.evidence.roots import Roots
    from assay.leases.desk import Desk
    from assay.leases.record import AppraisalRecord


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of one of the two appraisals.

    Attributes:
        entry: Its entry in the log.
        record: What it was made with.
        evidence: The Evidence.
        collateral: The collateral bundle, or None when there was none.
    """

    entry: Entry
    record: AppraisalRecord
    evidence: bytes
    collateral: bytes | None


@dataclass(frozen=True, slots=True)
class Appraised:
    """One of the two appraisals, made again.

    Attributes:
        at: The moment as of which it was made: the time of its entry in the log.
        index: That entry.
        same_policy: Whether the policy is, byte for byte, the one that was applied then.
        result: The Attestation Result.
    """

    at: datetime
    index: int
    same_policy: bool
    result: AttestationResult


@dataclass(frozen=True, slots=True)
class Proof:
    """A receipt and the two appraisals that it rests on.

    Attributes:
        receipt: What was executed; its signature was verified under the key of the start binding.
        digest: SHA-256 of the receipt, 32 bytes.
        index: The entry of the log that names it.
        admission: The appraisal before a byte was sent.
        start: The appraisal before the workload's first instruction.
    """

    receipt: Receipt
    digest: bytes
    index: int
    admission: Appraised
    start: Appraised

    @property
    def accepted(self) -> bool:
        """Whether both appraisals accept: nothing less stands behind a receipt."""
        return self.admission.result.accepted and self.start.result.accepted


def conclude(
    data: bytes,
    *,
    admission: Kept,
    start: Kept,
    logged: Callable[[bytes], int],
    policy: Policy,
    roots: Roots,
) -> Proof:
    """Judge a receipt with what was kept of its two appraisals.

    Args:
        data: The receipt.
        admission: The appraisal before a byte was sent.
        start: The appraisal before the workload's first instruction.
        logged: Returns the index of the entry that names a digest, SHA-256 of the receipt, or raises.
        policy: What to appraise with.
        roots: The anchors in which a chain may end.

    Raises:
        ReceiptError: ``receipt.malformed``, ``receipt.not_canonical``; ``receipt.signature``;
            ``receipt.session.*`` when it is of another execution.
        LeaseError: ``lease.record.session``, ``lease.record.history`` when the two are not of one execution.
    """
    bundle = _one_execution(admission.record, start.record)
    receipt = Receipt.verify(data, key=start.record.binding.receipt_key)
    receipt.require_session(
        admission=admission.record.binding,
        admission_evidence=admission.evidence,
        start=start.record.binding,
        start_evidence=start.evidence,
        bundle=bundle,
    )
    if len(start.record.history) != receipt.sequence * len(runtime.EVENTS):
        raise ReceiptError(
            "receipt.session.sequence",
            "The receipt is of another execution: the runtime register has another number of starts.",
        )
    digest = hashlib.sha256(data).digest()
    return Proof(
        receipt=receipt,
        digest=digest,
        index=logged(digest),
        admission=_appraise(admission, policy, roots),
        start=_appraise(start, policy, roots),
    )


def _one_execution(admission: AppraisalRecord, start: AppraisalRecord) -> bytes:
    """Check that two records are of one session and one start; return the digest of its bundle."""
    binding = start.binding
    admitted = replace(binding, purpose=Purpose.ADMISSION, nonce=admission.binding.nonce)
    if (
        binding.purpose is not Purpose.START
        or binding.role != ROLE
        or admission.binding != admitted
        or admission.isolation != start.isolation
    ):
        raise LeaseError(
            "lease.record.session", "The records of admission and start are not of one and the same session."
        )
    bundle = start.history[-1].payload if start.history else b""
    own = start.history[len(admission.history) :]
    if (
        start.history[: len(admission.history)] != admission.history
        or tuple(event.name for event in own) != runtime.EVENTS
        or own != runtime.events_of_start(start.isolation, binding.manifest, bundle)
    ):
        raise LeaseError(
            "lease.record.history",
            "The events of the runtime register between admission and start are not those of one start.",
        )
    return bundle


def _appraise(kept: Kept, policy: Policy, roots: Roots) -> Appraised:
    result = judge(
        kept.evidence,
        kept.record,
        policy=policy,
        roots=roots,
        collateral=None if kept.collateral is None else Collateral.from_bundle_json(kept.collateral),
        facts=FactCache(max_entries=64),
        now=kept.entry.time,
    )
    same = kept.entry.facts.get("policy") == policy.digest.hex()
    return Appraised(kept.entry.time, kept.entry.seq, same, result)


def prove(
    desk: Desk,
    data: bytes,
    *,
    policy: Policy | None = None,
    references: Mapping[str, frozenset[bytes]] | None = None,
) -> Proof:
    """Judge a receipt that this installation kept.

    Args:
        desk: Database, log and vault.
        data: The receipt.
        policy: What to appraise with; None takes the default of the lease's provider.
        references: Reference Values by register, accepted besides those that this version of Assay computes:
            an agent of an earlier one has another measurement.

    Raises:
        ReceiptError: As ``conclude``; ``receipt.unlogged`` when no entry names it.
        LeaseError: As ``conclude``; ``lease.receipt.unknown`` when its execution is not in these records;
            ``lease.vault.altered``.
        StoreError: ``store.file.missing`` when Evidence or collateral was not kept.
    """
    run, before = _execution(desk, Receipt.unverified(data))
    more = references or {}
    lease = desk.book.reload(run.lease)
    request = request_of(lease, run.binding.owner_key)
    trust = desk.provider(lease.provider).trust(request)
    own = trust.references
    both = {name: own.get(name, frozenset()) | more.get(name, frozenset()) for name in {*own, *more}}
    applied = policy or Policy.shipped(trust.policy)
    gate = gate_for(replace(trust, references=both), request, policy=applied, required=())

    def kept(binding: SessionBinding, digest: bytes, history: tuple[runtime.RuntimeEvent, ...]) -> Kept:
        entry = _entry(desk, "evidence", digest)
        named = entry.facts.get("collateral")
        return Kept(
            entry=entry,
            record=gate.record(binding, isolation=run.isolation, history=history, nonce_made_at=entry.time),
            evidence=desk.vault.get(digest),
            collateral=None if named is None else desk.vault.get(bytes.fromhex(str(named))),
        )

    history = runs.history(before)
    return conclude(
        data,
        admission=kept(run.admission_binding, run.admission, history),
        start=kept(run.binding, run.start, history + run.events()),
        logged=lambda digest: _entry(desk, "receipt", digest).seq,
        policy=applied,
        roots=trust.roots,
    )


def _execution(desk: Desk, stated: Receipt) -> tuple[runs.Run, tuple[runs.Run, ...]]:
    """Return the recorded execution that a receipt names, and those before it on the same lease."""
    with desk.db.read() as view:
        known = runs.of_lease(view, stated.lease)
    for place, run in enumerate(known):
        if run.sequence == stated.sequence:
            return run, known[:place]
    raise LeaseError(
        "lease.receipt.unknown",
        f"Execution {stated.sequence} of lease {stated.lease} is not in the records of this installation.",
        action="Verify it where it was run, or set ASSAY_STATE_DIR to that state.",
    )


def _entry(desk: Desk, fact: str, digest: bytes) -> Entry:
    found = desk.log.search(fact, digest.hex())
    if not found:
        raise ReceiptError(
            "receipt.unlogged",
            f"No entry of this installation's log names the {fact} {digest.hex()}.",
            action="It may be in the log before a restored backup: verify it with that state.",
        )
    return found[0]
