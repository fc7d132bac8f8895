"""Does a log agree with what was seen of it, and of the log that it continues?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.audit import entry as entries
from assay.audit.merkle import HASH_BYTES
from assay.audit.result import Continued
from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.audit.memory import Remembered
    from assay.audit.note import Checkpoint, VerifierKey

_KEEP = "Keep this export and the one before as proof, and ask the operator."


def continued(first: bytes) -> Continued | None:
    """Return what the first entry says of the log before this one; None when this one is the first.

    Raises:
        AuditError: ``audit.format.continuation``.
    """
    found = entries.decode(first)
    if found.kind != "log.continued":
        return None
    facts = found.facts
    origin, size, root = facts.get("previous_origin"), facts.get("previous_size"), facts.get("previous_root")
    try:
        before = bytes.fromhex(root) if isinstance(root, str) else b""
    except ValueError:
        before = b""
    if not isinstance(origin, str) or not isinstance(size, int) or size < 0 or len(before) != HASH_BYTES:
        raise AuditError(
            "audit.format.continuation", "The first entry does not say which log this one continues."
        )
    return Continued(origin, size, before, str(facts.get("reason")))


def check_remembered(
    checkpoint: Checkpoint, key: VerifierKey, before: Remembered, root: bytes | None
) -> None:
    """Compare a log with the checkpoint remembered of it.

    Args:
        checkpoint: What was verified now.
        key: The key that signed it.
        before: What is remembered.
        root: The root of the log now, at the size remembered; None when it is shorter.

    Raises:
        AuditError: ``audit.history.key``, ``audit.history.rollback``; ``audit.history.split_view`` for
            another root at the same size, ``audit.history.rewritten`` for one at a smaller size.
    """
    if before.key != key:
        raise AuditError(
            "audit.history.key", f"{checkpoint.origin!r} was signed by another key when it was last seen."
        )
    if root is None:
        raise AuditError(
            "audit.history.rollback",
            f"This log has {checkpoint.size} entries; it was seen before with {before.size}.",
            action=_KEEP,
            size=checkpoint.size,
            remembered=before.size,
        )
    if root != before.root:
        same = checkpoint.size == before.size
        raise AuditError(
            "audit.history.split_view" if same else "audit.history.rewritten",
            f"The first {before.size} entries of this log are not those seen before: it was rewritten, or"
            " different people are shown different logs.",
            action=_KEEP,
            remembered=before.size,
        )


def check_continued(continues: Continued, known: Mapping[str, Remembered]) -> None:
    """Compare what a log says of the one before it with what is remembered of that one.

    Raises:
        AuditError: ``audit.history.continuation``.
    """
    seen = known.get(continues.origin)
    if seen is None or (seen.size, seen.root) == (continues.size, continues.root):
        return
    if seen.size >= continues.size:
        raise AuditError(
            "audit.history.continuation",
            f"This log says that the one before it ended at {continues.size} entries; it was seen with"
            f" {seen.size}, or with others.",
            action=_KEEP,
        )


def not_proven(
    key: VerifierKey, continues: Continued | None, known: Mapping[str, Remembered] | None, *, witnessed: bool
) -> tuple[str, ...]:
    """Return what a consistent log does not establish, a sentence each.

    Args:
        key: The log's key.
        continues: The log before it.
        known: What is remembered; None when nothing may be.
        witnessed: Whether a known witness signed.
    """
    said = []
    if not witnessed:
        said.append("That its operator did not rewrite it: no witness signed this checkpoint.")
    if known is None:
        said.append("That nothing was removed since an earlier look: nothing was remembered or compared.")
    else:
        said += _not_seen(key, continues, known)
    said.append("That the entries are true: times and what is said to have happened are the writer's word.")
    return tuple(said)


def _not_seen(key: VerifierKey, continues: Continued | None, known: Mapping[str, Remembered]) -> list[str]:
    said = []
    if key.name not in known:
        said.append("What this log was earlier: it is seen for the first time.")
        named = continues.origin if continues else None
        strays = [name for name, item in known.items() if item.key.public == key.public and name != named]
        if strays:
            said.append(f"What became of {len(strays)} other log(s) of the same key: this one names none.")
    seen = known.get(continues.origin) if continues else None
    if continues and (seen is None or seen.size < continues.size):
        said.append(f"How the log that this one continues ended: {continues.origin} was not seen that far.")
    return said
