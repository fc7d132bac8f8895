"""What a running workload uses, measured from outside, against the limits of its manifest."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from assay.workload.processes import descendants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assay.workload.manifest import Limits

INTERVAL_SECONDS = 0.2
DISK_EVERY = 5  # the directory is walked at each fifth measurement
MAX_FILES = 500_000


class Meter:
    """Measures one workload.

    Args:
        limits: Its limits.
        work: The directory that it writes to.
        root: The process whose descendants it is.
    """

    __slots__ = ("_limits", "_root", "_rounds", "_work")

    def __init__(self, limits: Limits, work: Path, root: int) -> None:
        self._limits = limits
        self._work = work
        self._root = root
        self._rounds = 0

    def exceeded(self) -> str | None:
        """Measure once; return the reason to end the workload, or None."""
        self._rounds += 1
        found = descendants(self._root)
        if sum(process.threads for process in found) > self._limits.processes:
            return "process_limit"
        if sum(process.resident for process in found) > self._limits.memory_bytes:
            return "memory_limit"
        if self._rounds % DISK_EVERY == 0 and exceeds(self._work, self._limits.disk_bytes):
            return "disk_limit"
        return None


def exceeds(directory: Path, most: int) -> bool:
    """Tell whether ``directory`` holds more than ``most`` bytes or ``MAX_FILES`` entries."""
    total = files = 0
    pending: list[str] = [str(directory)]
    while pending:
        for item in _listed(pending.pop()):
            files += 1
            try:
                status = item.stat(follow_symlinks=False)
            except OSError:
                continue
            total += status.st_blocks * 512
            if total > most or files > MAX_FILES:
                return True
            if stat.S_ISDIR(status.st_mode):
                pending.append(item.path)
    return False


def _listed(directory: str) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return list(found)
    except OSError:
        return ()
