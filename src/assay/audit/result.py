"""What the verification of a log answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.audit.note import Checkpoint, VerifierKey


@dataclass(frozen=True, slots=True)
class Continued:
    """What the first entry says of the log before this one: its name, and how far it had come."""

    origin: str
    size: int
    root: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """A log that is consistent.

    Attributes:
        checkpoint: Origin, size and root.
        key: The trusted key that signed it.
        witnesses: Names of the witnesses whose signatures were verified.
        quorum: Whether a quorum of witnesses was asked for, and met.
        remembered: Size of the checkpoint remembered before, which this log contains; None for none.
        continues: The log before this one, in this one's own words.
        first_time: Time of the first entry, RFC 3339; the writer's own word. Empty when there is none.
        last_time: That of the last entry.
        reversals: How often the writer's clock went back between two entries.
        attachments: How many attachments were there, each named by an entry and unchanged.
        unsigned: Files of the export that no signature covers.
        not_proven: What this result does not establish, a sentence each.
    """

    checkpoint: Checkpoint
    key: VerifierKey
    witnesses: tuple[str, ...]
    quorum: bool
    remembered: int | None
    continues: Continued | None
    first_time: str
    last_time: str
    reversals: int
    attachments: int
    unsigned: tuple[str, ...]
    not_proven: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result for machine-readable output."""
        before = self.continues
        return {
            "origin": self.checkpoint.origin,
            "size": self.checkpoint.size,
            "root": self.checkpoint.root.hex(),
            "key": str(self.key),
            "witnesses": list(self.witnesses),
            "quorum": self.quorum,
            "remembered_size": self.remembered,
            "continues": None
            if before is None
            else {
                "origin": before.origin,
                "size": before.size,
                "root": before.root.hex(),
                "reason": before.reason,
            },
            "first_time": self.first_time,
            "last_time": self.last_time,
            "clock_reversals": self.reversals,
            "attachments": self.attachments,
            "unsigned": list(self.unsigned),
            "not_proven": list(self.not_proven),
        }
