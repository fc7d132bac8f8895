"""What a verifier remembers of each log: the newest checkpoint it accepted. Trust on first use.

One JSON file, 0600, replaced atomically, in the verifier's own state directory. A log that is shorter than
what is remembered was rolled back; one that does not contain it was rewritten, or is shown differently to
different people.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.audit.note import VerifierKey
from assay.errors import AuditError, StoreError
from assay.store.files import prepare_directory, read_private, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from assay.audit.note import Checkpoint

NAME = "audit-memory.json"
LARGEST_FILE = 4 << 20
_ROOT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Remembered:
    """The newest accepted checkpoint of one log.

    Attributes:
        key: Which key signed it.
        size: Number of entries.
        root: Root hash of their tree, 32 bytes.
    """

    key: VerifierKey
    size: int
    root: bytes


class Memory:
    """The file; made when something is first remembered."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Mapping[str, Remembered]:
        """Return what is remembered, by origin; empty when nothing ever was.

        Raises:
            AuditError: ``audit.memory.unreadable``.
            StoreError: ``store.file.*``.
        """
        try:
            data = read_private(self._path, limit=LARGEST_FILE)
        except StoreError as error:
            if error.code == "store.file.missing":
                return {}
            raise
        try:
            return {origin: _decode(origin, value) for origin, value in json.loads(data)["logs"].items()}
        except (ValueError, KeyError, TypeError, AttributeError, AuditError):
            raise AuditError(
                "audit.memory.unreadable",
                f"{str(self._path)!r}, which remembers the logs seen before, is damaged.",
                action="Restore it from a backup; without it a rollback to before today cannot be noticed.",
            ) from None

    def remember(self, checkpoint: Checkpoint, key: VerifierKey) -> None:
        """Keep a checkpoint that was verified, unless a newer one was remembered meanwhile.

        Raises:
            AuditError: ``audit.memory.unreadable``.
            StoreError: ``store.directory.*``, ``store.file.*``, ``store.disk.full``.
        """
        prepare_directory(self._path.parent)
        with self._locked():
            logs = dict(self.read())
            known = logs.get(checkpoint.origin)
            if known is not None and known.size >= checkpoint.size:
                return
            logs[checkpoint.origin] = Remembered(key, checkpoint.size, checkpoint.root)
            shown = {
                origin: {"key": str(item.key), "root": item.root.hex(), "size": item.size}
                for origin, item in sorted(logs.items())
            }
            write_private(self._path, json.dumps({"logs": shown, "v": 1}, indent=1).encode() + b"\n")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Of the directory: the file itself is replaced by each writer.
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _decode(origin: str, value: Mapping[str, object]) -> Remembered:
    key, size, root = VerifierKey.parse(str(value["key"])), value["size"], str(value["root"])
    if key.name != origin or not isinstance(size, int) or size < 0 or not _ROOT.fullmatch(root):
        raise ValueError(origin)
    return Remembered(key, size, bytes.fromhex(root))
