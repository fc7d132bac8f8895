"""What a workload wrote: one file for each stream, never in memory, read from any offset by any session.

A slow reader costs nothing but its own time, because it reads from the file; the files are bounded by the
output limit of the manifest.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

PIECE_BYTES = 64 * 1024


class Spool:
    """One stream.

    Args:
        directory: Where its file is made; it has no name there, so it is gone with the agent.
        changed: Notified after each write and at the end.

    Attributes:
        size: Bytes written so far.
        ended: Whether no more will come.
    """

    __slots__ = ("_changed", "_digest", "_file", "ended", "size")

    def __init__(self, directory: Path, changed: threading.Condition) -> None:
        path = directory / f"spool-{id(self):x}"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        path.unlink()
        self._changed = changed
        self._digest = hashlib.sha256()
        self.size = 0
        self.ended = False

    def fill(self, source: int, room: Callable[[int], int], full: Callable[[], None]) -> None:
        """Copy everything from the descriptor ``source`` until its end.

        The descriptor stays open: a program that has closed its terminal may still be running, and would be
        hung up by the end of the master.

        Args:
            source: A pipe or the master of a terminal.
            room: Told how many bytes came; returns how many of them may be kept.
            full: Called when they cannot be stored; what comes then is dropped.
        """
        stored = True
        try:
            while data := _read(source):
                kept = data[: room(len(data))]
                if stored and not self._append(kept):
                    stored = False
                    full()
        finally:
            self.finish()

    def _append(self, data: bytes) -> bool:
        view = memoryview(data)
        try:
            while view:
                # At our own offset, so that a part which could be written counts only if the rest could too.
                view = view[os.pwrite(self._file, view, self.size + len(data) - len(view)) :]
        except OSError:
            return False
        self._digest.update(data)
        with self._changed:
            self.size += len(data)
            self._changed.notify_all()
        return True

    def finish(self) -> None:
        """Say that nothing will come."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def read(self, offset: int, most: int) -> bytes:
        """Return at most ``most`` bytes from ``offset``; nothing where nothing is yet."""
        return os.pread(self._file, min(most, max(0, self.size - offset)), offset)

    def digest(self) -> bytes:
        """Return the SHA-256 of everything written, 32 bytes."""
        return self._digest.digest()

    def close(self) -> None:
        """Close the file; its contents are gone."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _read(source: int) -> bytes:
    try:
        return os.read(source, PIECE_BYTES)
    except OSError:  # the master of a terminal reads as an error once the last slave is closed
        return b""
