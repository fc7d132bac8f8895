"""Judging a receipt with its Evidence, long after the lease is gone, from this installation's own records.

A receipt is worth what the Evidence is worth that names its key. So both appraisals are made again, by the
same gate, as of the moment at which the log says they were made: with the collateral kept then, the binding
and the history of the runtime register that were recorded, and the Reference Values of today. Then the
receipt must be signed by the key in the binding of the start Evidence, and name this execution and no
other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assay.appraisal.policy import Policy
from assay.channel import runtime
from assay.channel.binding import Purpose
from assay.channel.offer import Offered
from assay.errors import LeaseError, ReceiptError
from assay.evidence.dcap.collateral import Collateral
from assay.leases import runs
from assay.leases.creation import request_of
from assay.leases.gate import gate_for
from assay.receipts.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.appraisal.result import AttestationResult
    from assay.audit.entry import Entry
    from assay.channel.binding import SessionBinding
    from assay.leases.desk import Desk


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
        ReceiptError: ``receipt.malformed``, ``receipt.not_canonical``; ``receipt.signature``;
            ``receipt.session.*`` when it is of another execution; ``receipt.unlogged`` when no entry names
            it.
        LeaseError: ``lease.receipt.unknown`` when its execution is not in these records;
            ``lease.vault.altered``.
        StoreError: ``store.file.missing`` when Evidence or collateral was not kept.
    """
    run, before = _execution(desk, Receipt.unverified(data))
    receipt = Receipt.verify(data, key=run.binding.receipt_key)
    receipt.require_session(
        admission=run.admission_binding,
        admission_evidence=desk.vault.get(run.admission),
        start=run.binding,
        start_evidence=desk.vault.get(run.start),
        bundle=run.bundle,
    )
    digest = hashlib.sha256(data).digest()
    entry = _entry(desk, "receipt", digest)
    history = runs.history(before)
    judge = _Judge(desk, run, policy, references or {})
    return Proof(
        receipt=receipt,
        digest=digest,
        index=entry.seq,
        admission=judge.appraise(run.admission_binding, run.admission, history),
        start=judge.appraise(run.binding, run.start, history + run.events()),
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


class _Judge:
    def __init__(
        self, desk: Desk, run: runs.Run, policy: Policy | None, more: Mapping[str, frozenset[bytes]]
    ) -> None:
        self._desk = desk
        self._run = run
        lease = desk.book.reload(run.lease)
        self._request = request_of(lease, run.binding.owner_key)
        trust = desk.provider(lease.provider).trust(self._request)
        own = trust.references
        both = {name: own.get(name, frozenset()) | more.get(name, frozenset()) for name in {*own, *more}}
        self._trust = replace(trust, references=both)
        self._policy = policy or Policy.shipped(trust.policy)

    def appraise(
        self, binding: SessionBinding, digest: bytes, history: tuple[runtime.RuntimeEvent, ...]
    ) -> Appraised:
        entry = _entry(self._desk, "evidence", digest)
        named = entry.facts.get("collateral")
        kept = None if named is None else self._desk.vault.get(bytes.fromhex(str(named)))
        collateral = None if kept is None else Collateral.from_bundle_json(kept)
        trust = replace(self._trust, collateral=collateral)
        offered = Offered(
            purpose=Purpose(binding.purpose).value,
            lease=self._run.lease,
            platform=binding.platform,
            provider="",
            evidence=self._desk.vault.get(digest),
            auxiliary=b"",
            events=runtime.encode_events(history),
            channel_key=binding.channel_key,
            receipt_key=binding.receipt_key,
            proof=b"",
            isolation=self._run.isolation,
        )
        gate = gate_for(trust, self._request, policy=self._policy, required=())
        result = gate.judge(offered, binding, history=history, now=entry.time, nonce_made_at=entry.time)
        same = entry.facts.get("policy") == self._policy.digest.hex()
        return Appraised(entry.time, entry.seq, same, result)


def _entry(desk: Desk, fact: str, digest: bytes) -> Entry:
    found = desk.log.search(fact, digest.hex())
    if not found:
        raise ReceiptError(
            "receipt.unlogged",
            f"No entry of this installation's log names the {fact} {digest.hex()}.",
            action="It may be in the log before a restored backup: verify it with that state.",
        )
    return found[0]
