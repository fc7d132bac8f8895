"""The file that remembers logs: damaged in any way, it is refused and never half read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from assay.audit import Checkpoint, VerifierKey
from assay.audit.memory import Memory
from assay.errors import AuditError

_FOLDER = tempfile.TemporaryDirectory()
_PATH = Path(_FOLDER.name) / "fuzzed.json"


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return a file with one log in it."""
    path = Path(_FOLDER.name) / "seed.json"
    Memory(path).remember(
        Checkpoint("log.example/1", 3, bytes(32)), VerifierKey("log.example/1", 1, bytes(32))
    )
    return [path.read_bytes()]


def target(data: bytes) -> None:
    """Read it."""
    _PATH.touch(mode=0o600)
    _PATH.write_bytes(data)
    try:
        Memory(_PATH).read()
    except AuditError:
        return
