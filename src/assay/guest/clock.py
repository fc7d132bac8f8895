"""The clock that the guest's own end rests on."""

from __future__ import annotations

import time


def now() -> float:
    """Return seconds on a clock that nobody can set, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
