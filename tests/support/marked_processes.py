"""Processes of workloads, found from outside by a word of their command line that no other process has."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path

PATIENCE = 40


def marked() -> str:
    """Return a word that marks one workload; ``sleep`` takes it for longer than any test."""
    return f"9{secrets.randbelow(10**8):08}"


def running(program: str, marker: str) -> list[int]:
    """Return the processes that run ``program`` with the marker as its first argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (path / "cmdline").read_bytes().split(b"\0")[:2] == [program.encode(), marker.encode()]:
                found.append(int(path.name))
    return found


def gone(program: str, marker: str) -> bool:
    """Wait until none of them runs any more; tell whether that came."""
    deadline = time.monotonic() + PATIENCE
    while running(program, marker):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
