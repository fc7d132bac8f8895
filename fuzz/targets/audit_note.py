"""Signed notes and the checkpoints in them: the first thing that is read of a stranger's log."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.audit import Checkpoint, LogKey, note
from assay.errors import AuditError

_KEY = LogKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
_SIGNED = _KEY.sign(Checkpoint("log.example/fuzz", 7, bytes(32)))

SEEDS: list[bytes] = [_SIGNED, _SIGNED + _SIGNED.rpartition(b"\n\n")[2]]


def target(data: bytes) -> None:
    """Open a note; what opens is exactly what was signed."""
    try:
        text, _ = note.open_note(data, [_KEY.verifier("log.example/fuzz")])
    except AuditError:
        return
    if text != _SIGNED.rpartition(b"\n\n")[0] + b"\n":
        raise AssertionError("a text that was never signed")
    Checkpoint.decode(text)
