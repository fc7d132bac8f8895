"""Judging a receipt with an exported log alone: what an auditor does, on a computer without the state.

The export is a stranger's. Its entries are taken while they are verified, and each attachment is compared
with the digest in its entry when it is read. What is trusted besides the log's key is the auditor's own:
policy, roots, and the Reference Values of the registers that they name. For other registers the recorded
values are compared with, and the proof says whose they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from assay.appraisal.policy import SHIPPED, Policy
from assay.audit import entry as entries
from assay.audit import layout
from assay.audit.archive import open_export
from assay.audit.verify import verify_export
from assay.errors import AuditError, LeaseError, ReceiptError
from assay.evidence.roots import Roots
from assay.leases.proof import Kept, Proof, conclude
from assay.leases.record import AppraisalRecord
from assay.leases.states import Event
from assay.leases.vault import MAX_BYTES
from assay.receipts.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assay.audit.archive import Source
    from assay.audit.entry import Entry
    from assay.audit.note import VerifierKey
    from assay.audit.result import Verified

LAUNCH_REGISTER: Final = "mr_config_id"
REPLAYED_REGISTER: Final = "rtmr3"
PLATFORM: Final = "tdx"
"""The platform whose registers the gate's own checks read; never chosen by a record."""


@dataclass(frozen=True, slots=True)
class ExportedProof:
    """What an export proves of a receipt.

    Attributes:
        proof: The receipt and its two appraisals.
        log: The log that was verified.
        not_proven: What is the operator's word alone, a sentence each; besides those of the appraisals.
    """

    proof: Proof
    log: Verified
    not_proven: tuple[str, ...]


def prove_exported(
    path: Path,
    data: bytes,
    *,
    vkey: VerifierKey,
    memory: Path | None,
    roots: Roots,
    policy: Policy | None,
    references: Mapping[str, frozenset[bytes]],
) -> ExportedProof:
    """Judge a receipt with an export of the log that names it, and nothing else.

    Args:
        path: The export, a directory or a tar; a stranger's.
        data: The receipt.
        vkey: The log's key, from somewhere else.
        memory: As for ``verify_export``.
        roots: The pinned roots and the auditor's own. A root that is only in the records counts for nothing.
        policy: What to appraise with; None takes the shipped one of the name that was recorded.
        references: Reference Values by register; those of a register replace the recorded ones.

    Raises:
        AuditError: As ``verify_export``; ``audit.tree.attachment`` when the export changes meanwhile.
        ReceiptError: As ``conclude``; ``receipt.unlogged`` when the log does not name it.
        LeaseError: As ``conclude``; ``lease.record.malformed``; ``lease.record.missing`` in a log of an
            earlier version; ``lease.record.order``, ``lease.record.other`` when entries and records
            contradict each other; ``lease.record.platform``, ``lease.record.policy``,
            ``lease.record.root``; ``lease.export.missing`` for an attachment; ``lease.export.reference`` for
            the runtime register.
        EvidenceError: When collateral cannot be read.
    """
    if REPLAYED_REGISTER in references:
        raise LeaseError(
            "lease.export.reference",
            f"{REPLAYED_REGISTER} has no Reference Value of its own: it must replay from what was sent.",
            action=f"Leave {REPLAYED_REGISTER} out.",
        )
    watch = _Watch(data)
    log = verify_export(path, vkey=vkey, memory=memory, watch=watch)
    admission_entry = watch.need("admission Evidence", watch.admission)
    start_entry = watch.need("start Evidence", watch.start)
    with open_export(path) as source:
        admission = _kept(source, admission_entry, references)
        start = _kept(source, start_entry, references)
    trusted = _both(roots, start.record)

    def logged(_: bytes) -> int:
        found = watch.need("receipt", watch.receipt)
        if not admission_entry.seq < start_entry.seq < found.seq:
            raise LeaseError(
                "lease.record.order", "The log does not name admission, start and receipt in this order."
            )
        return found.seq

    proof = conclude(
        data,
        admission=admission,
        start=start,
        logged=logged,
        policy=policy or _recorded_policy(start.record),
        roots=trusted,
    )
    _require_root(proof, trusted, start.record)
    return ExportedProof(proof, log, (*log.not_proven, *_not_proven(start.record, references)))


class _Watch:
    """Keeps the three entries that matter of all that are verified."""

    def __init__(self, data: bytes) -> None:
        stated = Receipt.unverified(data)
        self._lease = stated.lease
        self._wanted = {
            "receipt": (hashlib.sha256(data).hexdigest(), Event.RECEIPT, "receipt"),
            "admission": (stated.admission_evidence.hex(), Event.ADMITTED, "evidence"),
            "start": (stated.start_evidence.hex(), Event.STARTED, "evidence"),
        }
        self._needles = [digest.encode() for digest, _, _ in self._wanted.values()]
        self._found: dict[str, Entry] = {}

    def __call__(self, data: bytes) -> None:
        if not any(needle in data for needle in self._needles):
            return
        entry = entries.decode(data)
        for name, (digest, kind, fact) in self._wanted.items():
            if (entry.kind, entry.lease, entry.facts.get(fact)) == (kind.value, self._lease, digest):
                self._found.setdefault(name, entry)

    @property
    def receipt(self) -> Entry | None:
        return self._found.get("receipt")

    @property
    def admission(self) -> Entry | None:
        return self._found.get("admission")

    @property
    def start(self) -> Entry | None:
        return self._found.get("start")

    @staticmethod
    def need(what: str, found: Entry | None) -> Entry:
        if found is None:
            raise ReceiptError(
                "receipt.unlogged",
                f"No entry of this log names the {what} of this receipt.",
                action="Ask for an export of the log that has it, made after the receipt was issued.",
            )
        return found


def _kept(source: Source, entry: Entry, references: Mapping[str, frozenset[bytes]]) -> Kept:
    if entry.facts.get("record") is None:
        raise LeaseError(
            "lease.record.missing",
            f"Entry {entry.seq} names no record of its appraisal: an earlier version of Assay wrote it.",
            action="Verify the receipt where it was run.",
        )
    record = AppraisalRecord.decode(_attachment(source, entry, "record"))
    same = (
        entry.lease == record.binding.lease
        and entry.facts.get("nonce") == record.binding.nonce.hex()
        and entry.facts.get("policy") == record.policy_digest.hex()
    )
    if not same:
        raise LeaseError(
            "lease.record.other", f"The record that entry {entry.seq} names is of another appraisal."
        )
    if record.binding.platform != PLATFORM:
        raise LeaseError(
            "lease.record.platform",
            f"The record that entry {entry.seq} names is of the platform"
            f" {ascii(record.binding.platform)[:40]}; the gate appraises {PLATFORM} alone.",
        )
    return Kept(
        entry=entry,
        record=_with_references(record, references),
        evidence=_attachment(source, entry, "evidence"),
        collateral=(
            None if entry.facts.get("collateral") is None else _attachment(source, entry, "collateral")
        ),
    )


def _attachment(source: Source, entry: Entry, fact: str) -> bytes:
    digest = str(entry.facts[fact])
    name = f"{layout.ATTACHMENTS}{digest}"
    if name not in source.sizes:
        raise LeaseError(
            "lease.export.missing",
            f"The export does not have the {fact} that entry {entry.seq} names.",
            action="Ask for a whole export: assay audit export attaches what was kept.",
        )
    data = source.read(name, MAX_BYTES)
    if hashlib.sha256(data).hexdigest() != digest:
        raise AuditError("audit.tree.attachment", f"The attachment {name!r} is not what the log names.")
    return data


def _with_references(record: AppraisalRecord, references: Mapping[str, frozenset[bytes]]) -> AppraisalRecord:
    launches = references.get(LAUNCH_REGISTER, frozenset({record.launch}))
    others = {name: values for name, values in references.items() if name != LAUNCH_REGISTER}
    return replace(
        record,
        references={**record.references, **others},
        launch=record.launch if record.launch in launches else min(launches),
    )


def _both(roots: Roots, record: AppraisalRecord) -> Roots:
    """Return the pinned roots, and of the auditor's own those that the gate trusted as well."""
    recorded = {der for _, der in record.anchors}
    return Roots(tuple(root for root in roots.entries if not root.anchor.simulated or root.der in recorded))


def _require_root(proof: Proof, trusted: Roots, record: AppraisalRecord) -> None:
    """Name the root that is missing, when that is why Evidence is not authentic."""
    authentic = proof.admission.result.evidence.authentic and proof.start.result.evidence.authentic
    known = {root.der for root in trusted.entries}
    for name, der in record.anchors:
        if not authentic and der not in known:
            raise LeaseError(
                "lease.record.root",
                f"The Evidence rests on {ascii(name)[:100]}, which is not a vendor's root: SHA-256"
                f" {hashlib.sha256(der).hexdigest()}.",
                action="If you trust it, get it from the operator, not from the export: --roots FILE.pem.",
            )


def _recorded_policy(record: AppraisalRecord) -> Policy:
    if record.policy not in SHIPPED:
        raise LeaseError(
            "lease.record.policy",
            f"The gate applied the policy {ascii(record.policy)[:100]}, which is not a shipped one.",
            action="Say which policy you apply: --policy NAME|PATH.",
        )
    return Policy.shipped(record.policy)


def _not_proven(record: AppraisalRecord, references: Mapping[str, frozenset[bytes]]) -> tuple[str, ...]:
    said = ["That the Evidence was appraised at the times of its entries: they are the operator's clock."]
    theirs = sorted(ascii(name)[1:-1][:64] for name in record.references if name not in references)
    if theirs:
        said.append(
            f"That the Reference Values of {', '.join(theirs)} are the right ones: they are the operator's"
            " record; --reference gives your own."
        )
    if LAUNCH_REGISTER not in references:
        said.append(
            "That the launch configuration names this lease and its deadline: its digest is the operator's"
            f" record; --reference {LAUNCH_REGISTER}=HEX gives your own."
        )
    return tuple(said)
