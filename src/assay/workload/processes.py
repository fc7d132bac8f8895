"""Processes as /proc shows them: a workload's tree, its memory, and which of them to signal."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Attributes:
        pid: Its id.
        parent: Its parent's id.
        group: Its process group.
        threads: How many it has.
        resident: Resident memory in bytes; pages shared with others count for each.
    """

    pid: int
    parent: int
    group: int
    threads: int
    resident: int


_PAGE = os.sysconf("SC_PAGE_SIZE")


def read_stat(pid: int) -> Process | None:
    """Return the process ``pid``, or None when it is gone or a zombie (proc(5), ``/proc/pid/stat``)."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - read thousands of times
            data = file.read(1024)
    except OSError:
        return None
    fields = data[data.rfind(b")") + 2 :].split()
    if len(fields) < 22 or fields[0] in (b"Z", b"X"):
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        group=int(fields[2]),
        threads=int(fields[17]),
        resident=int(fields[21]) * _PAGE,
    )


def descendants(root: int) -> list[Process]:
    """Return all living descendants of the process ``root``, without itself."""
    children: dict[int, list[Process]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdigit() and (process := read_stat(int(name))) is not None:
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    pending = [root]
    while pending:
        below = children.pop(pending.pop(), [])
        found += below
        pending += [process.pid for process in below]
    return found


def tasks_of(uid: int) -> int:
    """Return how many threads run under ``uid``, as far as this process sees them."""
    total = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == uid:  # noqa: PTH116 - as above
                    total += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208 - as above
            except OSError:
                continue
    return total
