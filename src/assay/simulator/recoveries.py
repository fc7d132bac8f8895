"""TCB recoveries: how a platform that was up to date becomes out of date without changing itself.

A recovery is what a vendor publishes when it has fixed something: new security version numbers, from its date
on the newest TCB level of every answer, and the advisories that all levels below it then carry. The numbers
follow those that Intel published for a Sapphire Rapids platform; ``collateral`` takes another table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assay.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMPONENTS = 16


@dataclass(frozen=True, slots=True)
class Recovery:
    """One TCB recovery.

    Attributes:
        date: From when on it is in force; the ``tcbDate`` of its levels.
        number: The ``tcbEvaluationDataNumber`` of answers from then on.
        sgx: The component SVNs that SGX reports, 16.
        pce_svn: SVN of the Provisioning Certification Enclave.
        tdx: The component SVNs that TDX reports, 16: the first two are the base module's.
        modules: SVN of the TDX module by major version: ``{1: 13, 3: 7}``.
        qe_svn: SVN of the SGX Quoting Enclave.
        td_qe_svn: SVN of the TD Quoting Enclave.
        fixed: Advisories that this recovery fixes; every older level carries them.
    """

    date: datetime
    number: int
    sgx: tuple[int, ...]
    pce_svn: int
    tdx: tuple[int, ...]
    modules: Mapping[int, int] = field(hash=False)
    qe_svn: int
    td_qe_svn: int
    fixed: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its date, as ``tcb=`` takes it: ``2026-02-11``."""
        return self.date.date().isoformat()


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)


def _padded(*head: int) -> tuple[int, ...]:
    return head + (0,) * (COMPONENTS - len(head))


RECOVERIES = (
    Recovery(
        _day("2023-08-09"),
        15,
        _padded(6, 6, 2, 2, 3, 1, 0, 3),
        11,
        _padded(3, 0, 6),
        {1: 2},
        6,
        2,
        ("INTEL-SA-00837",),
    ),
    Recovery(
        _day("2024-03-13"),
        17,
        _padded(7, 7, 2, 2, 3, 1, 0, 3),
        11,
        _padded(5, 0, 7),
        {1: 4, 3: 3},
        8,
        4,
        ("INTEL-SA-00960", "INTEL-SA-00982", "INTEL-SA-00986"),
    ),
    Recovery(
        _day("2025-05-14"),
        19,
        _padded(8, 8, 2, 2, 4, 1, 0, 6),
        11,
        _padded(5, 0, 8),
        {1: 6, 3: 3},
        8,
        4,
        ("INTEL-SA-01036", "INTEL-SA-01079", "INTEL-SA-01099"),
    ),
    Recovery(
        _day("2026-02-11"),
        21,
        _padded(9, 9, 2, 2, 4, 1, 0, 6),
        11,
        _padded(5, 0, 9),
        {1: 13, 3: 7},
        8,
        4,
        ("INTEL-SA-01192", "INTEL-SA-01245", "INTEL-SA-01312"),
    ),
)


def in_force(at: datetime, recoveries: Sequence[Recovery] = RECOVERIES) -> tuple[Recovery, ...]:
    """Return the recoveries that are in force at a time, newest first.

    Raises:
        SimulatorError: ``simulator.time.too_early`` when there was none yet.
    """
    found = tuple(sorted((r for r in recoveries if r.date <= at), key=lambda r: r.date, reverse=True))
    if not found:
        first = min(r.date for r in recoveries)
        raise SimulatorError(
            "simulator.time.too_early",
            f"Simulated hardware has no TCB level before {first.date().isoformat()}.",
        )
    return found


def named(name: str, recoveries: Sequence[Recovery] = RECOVERIES) -> Recovery:
    """Return the recovery of this date.

    Raises:
        SimulatorError: ``simulator.recovery.unknown`` when there is none.
    """
    for recovery in recoveries:
        if recovery.name == name:
            return recovery
    raise SimulatorError(
        "simulator.recovery.unknown",
        f"There is no simulated TCB recovery of this date, only {', '.join(r.name for r in recoveries)}.",
    )


def advisories(level: Recovery, current: Sequence[Recovery]) -> list[str]:
    """Return what a level is vulnerable to: all that was fixed by newer recoveries in force, sorted."""
    return sorted({fixed for newer in current if newer.date > level.date for fixed in newer.fixed})
