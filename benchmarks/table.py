"""One row of the benchmark table, and how it is measured.

Usually the row holds the median of real time. With ``BENCHMARK_CLOCK=processor`` it holds the least processor
time of this thread: on a machine that others use as well, ratios of that stay true.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing.

    Attributes:
        name: What was measured: ``tdx warm``.
        seconds: Median time of one operation.
        samples: How many measurements the median was taken of.
        against: Name of the row in the same run that this one is compared with; empty for none.
        at_most: The ratio to ``against`` that must not be exceeded; None for no bound of this kind.
        at_least: How many times faster than ``against`` it must be; None for no bound of this kind.
        limit: Seconds that must not be exceeded; None for no bound of this kind.
        note: One short remark for the table: the size, the peer's version.
    """

    name: str
    seconds: float
    samples: int
    against: str = ""
    at_most: float | None = None
    at_least: float | None = None
    limit: float | None = None
    note: str = ""


def smoke() -> bool:
    """Return whether this run only shows that the benchmarks work (``run.py --smoke``)."""
    return os.environ.get("BENCHMARK_SMOKE") == "1"


def _processor() -> bool:
    return os.environ.get("BENCHMARK_CLOCK") == "processor"


def _summary(times: list[float]) -> float:
    return min(times) if _processor() else statistics.median(times)


def median_of(operation: Callable[[], object], *, rounds: int = 15, inner: int = 1) -> tuple[float, int]:
    """Time ``operation`` and return the median seconds of one call, and the number of rounds.

    Args:
        operation: What is timed; called ``rounds * inner`` times after one warm-up call.
        rounds: Measurements; 3 in a smoke run.
        inner: Calls within one measurement, for operations shorter than about 50 microseconds.
    """
    return interleaved({"": operation}, rounds=rounds, inner=inner)[""]


def interleaved(
    operations: dict[str, Callable[[], object]], *, rounds: int = 15, inner: int = 1, untimed: int = 0
) -> dict[str, tuple[float, int]]:
    """Like ``median_of`` for several operations, taken in turn within each round.

    A machine that is busy for a moment then slows all of them alike, so ratios stay true.

    Args:
        operations: What is timed, by name.
        rounds: Measurements of each; 3 in a smoke run.
        inner: Calls within one measurement.
        untimed: Calls before each measurement: what ran before has then less of a part in it, by what it left
            of this operation in the processor's caches.
    """
    rounds = min(rounds, 3) if smoke() else rounds
    clock = time.thread_time if _processor() else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in operations}
    for operation in operations.values():
        operation()
    for _ in range(rounds):
        for name, operation in operations.items():
            for _ in range(untimed):
                operation()
            began = clock()
            for _ in range(inner):
                operation()
            times[name].append((clock() - began) / inner)
    return {name: (_summary(found), rounds) for name, found in times.items()}
