"""Verifying an export offline: yes or no, and what was not proven.

Order of the checks, the class of their failures (the middle of the code), the exit code of ``audit verify``:

    ``audit.signature.*``  10  the note, by the trusted key; every known witness's signature on it
    ``audit.format.*``     15  the files that the size asks for, no others; form, order, chain of entries
    ``audit.tree.*``       11  tiles and root hash recomputed from the entries; attachments by their digests
    ``audit.history.*``    12  what is remembered of this log and of the one it continues; the proof
    ``audit.witness.*``    13  the quorum of the witness policy
    ``audit.age.*``        14  age, when a limit was asked for
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING

from assay.audit import history, layout
from assay.audit.archive import open_export
from assay.audit.memory import Memory
from assay.audit.merkle import HASH_BYTES, verify_consistency
from assay.audit.note import LARGEST_NOTE, Checkpoint, Signature, VerifierKey, decode_base64, open_note, split
from assay.audit.result import Verified
from assay.audit.walk import EntryWalk, TreeWalk
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from assay.audit.archive import Source
    from assay.audit.memory import Remembered
    from assay.audit.witnesses import WitnessPolicy

FUTURE_SECONDS = 300
"""How far ahead of the verifier's clock a stated time may lie."""
_LARGEST_README = 64 * 1024
_LARGEST_PROOF = 64 * (HASH_BYTES * 2)

EXIT_CODES: Mapping[str, int] = {
    "signature": 10,
    "tree": 11,
    "history": 12,
    "witness": 13,
    "age": 14,
    "format": 15,
}


def verify_export(
    path: Path,
    *,
    vkey: VerifierKey,
    memory: Path | None,
    policy: WitnessPolicy | None = None,
    max_age: float | None = None,
    now: datetime | None = None,
    watch: Callable[[bytes], None] | None = None,
) -> Verified:
    """Verify an export, a directory or a tar of one, without any network.

    Args:
        path: Where it is; everything in it is attacker-controlled.
        vkey: The log's key, from somewhere else.
        memory: The file that remembers checkpoints (``assay.audit.memory``); None when nothing may be
            remembered, which the result then says.
        policy: The witnesses that must have signed; None when none is asked for.
        max_age: Seconds since the oldest witness signature, or since the last entry when there is none.
        now: The time, aware; needed for ``max_age``.
        watch: Told the bytes of each entry, in order, while they are verified: what it was told is worth
            something only once this has returned.

    Raises:
        AuditError: see the module; ``audit.export.missing``; ``audit.memory.unreadable``.
        StoreError: for the file of the memory.
    """
    remembering = None if memory is None else Memory(memory)
    known = None if remembering is None else remembering.read()
    with open_export(path) as source:
        found = _Verification(source, vkey, known, policy, watch)
        result = found.run()
    if policy is not None and not policy.satisfied(frozenset(item.key for item in found.signatures)):
        raise AuditError(
            "audit.witness.quorum",
            "Too few of the witnesses that the policy asks for have signed this checkpoint.",
            action="Ask the operator for a checkpoint with the witnesses' signatures.",
            signed=len(result.witnesses),
        )
    if max_age is not None:
        _check_age(found.signatures, result.last_time, max_age, now)
    if remembering is not None:
        remembering.remember(result.checkpoint, vkey)
    return result


def stated_origin(path: Path) -> str:
    """Return what an export calls itself; nothing is verified.

    Raises:
        AuditError: ``audit.export.missing``, ``audit.format.*``.
    """
    with open_export(path) as source:
        text, _ = split(source.read(layout.CHECKPOINT, LARGEST_NOTE))
    return Checkpoint.decode(text).origin


class _Verification:
    def __init__(
        self,
        source: Source,
        vkey: VerifierKey,
        known: Mapping[str, Remembered] | None,
        policy: WitnessPolicy | None,
        watch: Callable[[bytes], None] | None,
    ) -> None:
        self.signatures: tuple[Signature, ...] = ()
        self._source = source
        self._vkey = vkey
        self._known = known
        self._policy = policy
        self._watch = watch

    def run(self) -> Verified:
        checkpoint = self._check_signatures()
        proofs = self._check_names(checkpoint.size)
        before = self._known.get(checkpoint.origin) if self._known else None
        wanted = {size for name in proofs for size in name}
        tree = TreeWalk(self._source, checkpoint.size, wanted | ({before.size} if before else set()))
        walk = EntryWalk(self._attachments())
        for bundle, hashes in tree.bundles():
            walk.take(bundle, hashes)
            if self._watch is not None:
                for entry in bundle:
                    self._watch(entry)
        if tree.root() != checkpoint.root:
            raise AuditError(
                "audit.tree.root", "The entries do not give the root hash that the checkpoint signs."
            )
        count = self._check_attachments(walk)
        if before is not None:
            history.check_remembered(checkpoint, self._vkey, before, tree.roots.get(before.size))
        continues = history.continued(walk.first) if walk.first else None
        if continues is not None:
            history.check_continued(continues, self._known or {})
        for old, new in proofs:
            self._check_proof(old, new, tree)
        witnesses = tuple(item.key.name for item in self.signatures if item.key != self._vkey)
        return Verified(
            checkpoint=checkpoint,
            key=self._vkey,
            witnesses=witnesses,
            quorum=self._policy is not None and self._policy.quorum is not None,
            remembered=before.size if before else None,
            continues=continues,
            first_time=walk.first_time,
            last_time=walk.last_time,
            reversals=walk.reversals,
            attachments=count,
            unsigned=(layout.README,) if layout.README in self._source.sizes else (),
            not_proven=history.not_proven(self._vkey, continues, self._known, witnessed=bool(witnesses)),
        )

    def _check_signatures(self) -> Checkpoint:
        data = self._source.read(layout.CHECKPOINT, LARGEST_NOTE)
        keys = [self._vkey, *(self._policy.witnesses.values() if self._policy else ())]
        text, self.signatures = open_note(data, keys)
        if self._vkey not in {item.key for item in self.signatures}:
            raise AuditError("audit.signature.missing", "The checkpoint is not signed by the log's key.")
        checkpoint = Checkpoint.decode(text)
        if checkpoint.origin != self._vkey.name:
            raise AuditError("audit.signature.origin", "The checkpoint is of another log than its key.")
        if self._source.read(layout.KEY, 1024).removesuffix(b"\n") != str(self._vkey).encode():
            raise AuditError(
                "audit.signature.key",
                "The file log.vkey names another key than the one that this log is checked with.",
            )
        return checkpoint

    def _check_names(self, size: int) -> list[tuple[int, int]]:
        """Check that the export has the files that its size asks for and no others; return its proofs."""
        names = self._source.sizes.keys()
        proofs: list[tuple[int, int]] = []
        others = 0
        for name in names:
            proof = layout.CONSISTENCY_NAME.fullmatch(name)
            if proof:
                proofs.append((int(proof[1]), int(proof[2])))
            elif name.startswith("tile/"):
                others += 1
            elif name not in layout.FIXED_NAMES and not layout.ATTACHMENT_NAME.fullmatch(name):
                raise _unexpected(name)
        expected = layout.tile_count(size)
        if others < expected:
            raise AuditError(
                "audit.format.missing", f"A log of {size} entries has {expected} tiles; {others} are there."
            )
        if others > expected:
            tiles = set(layout.tile_names(size))
            raise _unexpected(next(name for name in names if name.startswith("tile/") and name not in tiles))
        return proofs

    def _attachments(self) -> set[bytes]:
        found = (layout.ATTACHMENT_NAME.fullmatch(name) for name in self._source.sizes)
        return {match[1].encode() for match in found if match}

    def _check_attachments(self, walk: EntryWalk) -> int:
        if walk.unnamed:
            raise AuditError(
                "audit.format.unnamed", f"No entry names the attachment {min(walk.unnamed).decode()}."
            )
        found = self._attachments()
        for digest in sorted(found):
            hasher = hashlib.sha256()
            for piece in self._source.pieces(f"{layout.ATTACHMENTS}{digest.decode()}"):
                hasher.update(piece)
            if hasher.hexdigest().encode() != digest:
                raise AuditError(
                    "audit.tree.attachment", f"The attachment {digest.decode()} is not what the log names."
                )
        return len(found)

    def _check_proof(self, old: int, new: int, tree: TreeWalk) -> None:
        name = f"{layout.CONSISTENCY}{old}-{new}"
        *lines, rest = self._source.read(name, _LARGEST_PROOF).decode("ascii", "replace").split("\n")
        try:
            proof = [decode_base64(line) for line in lines]
        except ValueError:
            proof = [b""]
        whole = not rest and all(len(digest) == HASH_BYTES for digest in proof)
        if not whole or not {old, new} <= tree.roots.keys():
            raise AuditError("audit.format.proof", f"{name!r} is not a consistency proof of this log.")
        verify_consistency(old, tree.roots[old], new, tree.roots[new], proof)


def _check_age(
    signatures: tuple[Signature, ...], last_time: str, max_age: float, now: datetime | None
) -> None:
    if now is None or now.tzinfo is None:
        raise AuditError("audit.age.clock", "A limit on the age needs the time now, with its zone.")
    times: list[float] = [item.time for item in signatures if item.time is not None]
    if not times and last_time:
        times = [datetime.fromisoformat(last_time).timestamp()]
    if not times:
        raise AuditError("audit.age.stale", "The log is empty and no witness signed it: it has no age.")
    age = now.timestamp() - min(times)
    if age > max_age:
        raise AuditError(
            "audit.age.stale",
            f"The log is {age:.0f} s old; {max_age:.0f} s are allowed.",
            action="Ask for a newer export.",
        )
    if age < -FUTURE_SECONDS:
        raise AuditError("audit.age.future", f"The log says that it was signed {-age:.0f} s from now.")


def _unexpected(name: str) -> AuditError:
    return AuditError(
        "audit.format.unexpected", f"The export has a file that does not belong to it: {name!r}."
    )
