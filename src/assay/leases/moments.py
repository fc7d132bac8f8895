"""What happens during a run, as it happens: typed moments, which a command line, a page or a test shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from assay.appraisal.result import AttestationResult
    from assay.channel.binding import Purpose, SessionBinding
    from assay.channel.messages import Exit
    from assay.leases.book import Lease
    from assay.leases.plan import Plan
    from assay.leases.reconcile import Action
    from assay.receipts.receipt import Receipt


@dataclass(frozen=True, slots=True)
class Recovered:
    """The command found and settled what an earlier one had left."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """Everything is decided and nothing was created yet."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Leased:
    """The intent is durable; from here on a crash is recovered from."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Created:
    """The provider says that the machine exists."""

    lease: Lease
    machine_id: str


@dataclass(frozen=True, slots=True)
class Judged:
    """Evidence was appraised: accepted or not."""

    purpose: Purpose
    result: AttestationResult


@dataclass(frozen=True, slots=True)
class Retrying:
    """A check could not be made; nothing was sent, and it is tried again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Bound:
    """The channel is up, and the guest at its other end holds the key that the evidence names."""

    binding: SessionBinding


@dataclass(frozen=True, slots=True)
class Sending:
    """So much of the bundle is with the guest."""

    sent: int
    size: int


@dataclass(frozen=True, slots=True)
class Sent:
    """Manifest and bundle arrived, and the guest found the one to name the other."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Started:
    """The workload runs."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Exited:
    """The workload ended, as the guest says."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class Receipted:
    """The receipt verified under the key that the start evidence names."""

    receipt: Receipt
    path: Path


@dataclass(frozen=True, slots=True)
class Unreceipted:
    """There is no receipt that verifies; the log says so."""

    reason: str


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The wanted outputs are in a new directory."""

    directory: Path
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Detached:
    """The workload goes on without this command."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Kept:
    """The machine stays, until it expires or idles."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Releasing:
    """The machine is about to be destroyed."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Released:
    """The machine is gone and its key removed."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Stuck:
    """The machine could not be destroyed; a recovery record says what to do."""

    lease: Lease
    problem: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something worth a line that changes nothing."""

    text: str


Moment = (
    Recovered
    | Planned
    | Leased
    | Created
    | Judged
    | Retrying
    | Bound
    | Sending
    | Sent
    | Started
    | Exited
    | Receipted
    | Unreceipted
    | Downloaded
    | Detached
    | Kept
    | Releasing
    | Released
    | Stuck
    | Noted
)
