"""A run before it begins and after it ended: what is to run, where its streams go, what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.workload.bundle import BundleLimits
from assay.workload.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from assay.channel.messages import Exit
    from assay.errors import AssayError
    from assay.leases.book import Lease
    from assay.leases.moments import Moment
    from assay.leases.plan import Plan
    from assay.leases.signals import Relay
    from assay.leases.spool import Spool
    from assay.leases.states import Keep
    from assay.leases.sync import Source
    from assay.settings.resolve import Settings


@dataclass(frozen=True, slots=True)
class Job:
    """What is to run.

    Attributes:
        argv: The command; empty to only lease and prove a machine.
        environment: Values of the variables that are sent, by name.
        keep: Whether the machine outlives the workload.
        detach: Whether the workload outlives this command.
        tty: Whether it gets a terminal.
        outputs: Paths that are wanted back.
        into: The new directory that they go to.
        attack: The attack that the local host is asked to play; empty for none.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, bytes] = field(repr=False)
    keep: Keep
    detach: bool
    tty: bool
    outputs: tuple[str, ...]
    into: Path | None
    attack: str


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a run's streams and signals go.

    Attributes:
        report: Told what happens.
        on_output: Given ``stdout`` or ``stderr`` and each piece.
        stdin: Descriptor of the workload's input, or None.
        relay: This process's signals.
        size: Rows and columns of the terminal; zeros without one.
    """

    report: Callable[[Moment], None]
    on_output: Callable[[str, bytes], None]
    stdin: int | None
    relay: Relay
    size: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        plan: What was decided; None for a command that comes back to a lease.
        lease: The lease as it was left; None when none was intended.
        started: Whether the workload started.
        exit: How it ended, as the guest said; None when it did not say.
        receipt: Where its receipt is; None without one.
        error: What failed, if something did.
        signal: The signal that ended the run before the workload ran; None otherwise.
    """

    plan: Plan | None
    lease: Lease | None = None
    started: bool = False
    exit: Exit | None = None
    receipt: Path | None = None
    error: AssayError | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run with everything decided and its files in the spool.

    Attributes:
        plan: What was decided.
        job: What is to run.
        spool: The files.
        source: Where they come from.
        settings: The settings.
    """

    plan: Plan
    job: Job
    spool: Spool
    source: Source
    settings: Settings

    def manifest(self, owner_key: bytes) -> Manifest:
        """Return the manifest for one owner, by the DER of the SubjectPublicKeyInfo.

        Raises:
            WorkloadError: When the command, a path or a name cannot stand in a manifest.
        """
        return Manifest(
            owner_key=owner_key,
            bundle=self.spool.listing.digest(),
            argv=self.job.argv,
            cwd=self.source.cwd,
            environment=tuple(sorted(self.job.environment)),
            limits=self.plan.terms.limits,
            network="none",
            outputs=tuple(sorted(set(self.job.outputs))),
            policy=self.plan.policy.digest,
            tty=self.job.tty,
        )

    def download_limits(self) -> BundleLimits:
        """Return the bounds of what is taken back."""
        return BundleLimits(
            entries=self.settings.number("download.max_files"),
            total_bytes=self.settings.number("download.max_bytes"),
        )
