"""Which process holds a lease: known by boot, pid namespace, pid and start time, never by pid alone.

A hold has a deadline on the database's clock, and that alone decides when its holder is unknown. A holder
that this kernel can vouch to be dead need not be waited for.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

_START_TIME_FIELD = (
    19  # of /proc/PID/stat, counted behind the command's closing parenthesis (proc_pid_stat(5): 22)
)


@dataclass(frozen=True, slots=True)
class Holder:
    """One process, for ever.

    Attributes:
        boot: ``/proc/sys/kernel/random/boot_id``.
        namespace: The pid namespace, as ``/proc/self/ns/pid`` names it.
        pid: The process id in that namespace.
        started: Start time in clock ticks since boot.
    """

    boot: str
    namespace: str
    pid: int
    started: int

    def encode(self) -> str:
        """Return the holder as JSON text for the database."""
        return json.dumps([self.boot, self.namespace, self.pid, self.started])

    @classmethod
    def decode(cls, text: str) -> Holder | None:
        """Return the holder that ``text`` encodes; None for anything else."""
        try:
            boot, namespace, pid, started = json.loads(text)
        except (ValueError, TypeError, RecursionError):
            return None
        if isinstance(boot, str) and isinstance(namespace, str) and type(pid) is type(started) is int:
            return cls(boot, namespace, pid, started)
        return None


def _started(pid: int) -> int | None:
    """Return the start time of a process; None when there is no such process or it is dead already."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[_START_TIME_FIELD])


def _place() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, str(Path("/proc/self/ns/pid").readlink())


def this_process() -> Holder:
    """Return the calling process."""
    pid = os.getpid()
    return Holder(*_place(), pid, _started(pid) or 0)


def is_dead(holder: Holder) -> bool:
    """Return whether this kernel vouches that the process has ended; False when it cannot know."""
    boot, namespace = _place()
    if holder.boot != boot:
        return False
    if holder.namespace != namespace:
        return False
    return _started(holder.pid) != holder.started
