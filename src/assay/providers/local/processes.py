"""Processes by identity, never by number alone: boot, pid and start time, held through a pidfd."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.workload.linux_calls import pidfd_open, pidfd_send_signal

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_TIME = 19  # proc(5), stat field 22, counted behind the parenthesised command
_DEAD = ("Z", "X", "x")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of one boot; its pid may since belong to another.

    Attributes:
        boot_id: The kernel's random id of this boot.
        pid: Process id.
        start_time: Clock ticks from boot to its start.
    """

    boot_id: str
    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """Return the identity of a process that runs now; None when there is none, or only its remains."""
        try:
            _, _, tail = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")
        except OSError:
            return None
        fields = tail.decode("ascii", "replace").split()
        if len(fields) <= _START_TIME or fields[0] in _DEAD:
            return None
        return cls(_BOOT_ID.read_text().strip(), pid, int(fields[_START_TIME]))

    @classmethod
    def from_json(cls, value: Any) -> ProcessIdentity | None:
        """Return the identity that ``to_json`` gave; None for anything else."""
        if not isinstance(value, dict):
            return None
        boot_id, pid, start = value.get("boot_id"), value.get("pid"), value.get("start_time")
        if type(boot_id) is not str or type(pid) is not int or type(start) is not int or pid <= 1:
            return None
        return cls(boot_id, pid, start)

    def to_json(self) -> dict[str, str | int]:
        """Return JSON-ready values."""
        return {"boot_id": self.boot_id, "pid": self.pid, "start_time": self.start_time}

    @property
    def alive(self) -> bool:
        """Whether exactly this process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def hold(self) -> int | None:
        """Return a pidfd of exactly this process, to be closed by the caller; None when it has ended."""
        try:
            pidfd = pidfd_open(self.pid)
        except OSError:
            return None
        # Compared after opening: from here on the pid cannot pass to another process unnoticed.
        if self.alive:
            return pidfd
        os.close(pidfd)
        return None


def kill(pidfd: int) -> None:
    """Send SIGKILL to the process behind a pidfd; one that has ended is left alone."""
    with suppress(ProcessLookupError):
        pidfd_send_signal(pidfd, signal.SIGKILL)


def wait_ended(pidfd: int, deadline: float) -> bool:
    """Wait until the process behind a pidfd has ended.

    Args:
        pidfd: The process.
        deadline: On ``time.monotonic``.

    Returns:
        Whether it has.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))
