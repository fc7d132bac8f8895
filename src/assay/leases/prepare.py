"""Deciding a run: offer, terms, policy and files, before anything is created."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assay.errors import LeaseError, UsageError
from assay.leases import sync, terms
from assay.leases.job import Prepared
from assay.leases.plan import Plan
from assay.workload.environment import check_name, check_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.leases.book import Lease
    from assay.leases.job import Job
    from assay.leases.spool import Spool
    from assay.leases.sync import Source, Wanted
    from assay.providers.interface import Offer, Provider
    from assay.settings.resolve import Settings


def environment_values(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, bytes]:
    """Return the variables that are sent, each by its exact name.

    Raises:
        LeaseError: ``lease.environment.absent`` for a name that is not set here.
        WorkloadError: ``workload.environment.*`` for one that may not be sent.
    """
    found: dict[str, bytes] = {}
    for name in names:
        check_name(name)
        if name not in environ:
            raise LeaseError(
                "lease.environment.absent",
                f"The variable {name} is to be sent and is not set here.",
                action=f"Set {name}, or do not name it.",
            )
        found[name] = environ[name].encode("utf-8", "surrogateescape")
    check_values(tuple(found), found)
    return found


def prepare(
    settings: Settings,
    provider: Provider,
    offer: Offer,
    job: Job,
    *,
    source: Source,
    wanted: Wanted,
    spool: Spool,
    environ: Mapping[str, str],
) -> Prepared:
    """Return the decided run, its files in the spool.

    Args:
        settings: The settings.
        provider: Where the machine comes from.
        offer: The machine kind.
        job: What is to run.
        source: Where the files come from.
        wanted: What of them is wanted.
        spool: Where they are copied to.
        environ: The environment, for git alone.

    Raises:
        LeaseError: ``lease.sync.*``.
        PolicyError: When a policy cannot be loaded or opens no gate.
        UsageError: ``lease.download.*``, ``lease.detach.*``.
        WorkloadError: When the command, a path or a limit cannot stand in a manifest.
    """
    _check(job)
    if job.argv:
        sync.collect(source, wanted, spool, environ)
    agreed = terms.of_settings(settings)
    plan = Plan(
        offer=offer,
        terms=agreed,
        keep=job.keep,
        policy=terms.policy(settings, provider.name),
        required=settings.names("require.checks"),
        source=source,
        files=len(spool.listing.entries),
        size=spool.listing.total_bytes(),
        environment=tuple(sorted(job.environment)),
        outputs=job.outputs,
        attack=job.attack,
        settings=settings,
    )
    prepared = Prepared(plan, job, spool, source, settings)
    if job.argv:
        prepared.manifest(b"\0")  # refuses here what no manifest can hold
    return prepared


def for_lease(prepared: Prepared, lease: Lease) -> Prepared:
    """Return the run as it is on a kept lease, whose life was decided when it was made.

    Args:
        prepared: The run.
        lease: The kept lease.
    """
    agreed = prepared.plan.terms
    limits = replace(
        agreed.limits,
        ttl_seconds=lease.ttl_seconds,
        time_seconds=min(agreed.limits.time_seconds, lease.ttl_seconds),
    )
    kept = replace(agreed, ttl_seconds=lease.ttl_seconds, idle_seconds=lease.idle_seconds, limits=limits)
    plan = replace(prepared.plan, terms=kept, keep=lease.keep, attack=lease.options.get("attack", ""))
    return replace(prepared, plan=plan)


def _check(job: Job) -> None:
    if job.into is None and job.outputs:
        raise UsageError("lease.download.into", "--download needs a new directory: --into DIR.")
    if job.into is not None:
        if not job.outputs:
            raise UsageError("lease.download.names", "--into needs names of outputs: --download NAME.")
        if job.into.exists() or job.into.is_symlink():
            raise UsageError(
                "lease.download.exists",
                f"{job.into} exists; --into takes a new directory and never overwrites.",
            )
    if job.detach and job.into is not None:
        raise UsageError("lease.detach.download", "--detach ends before there are outputs to download.")
    if job.detach and job.tty:
        raise UsageError("lease.detach.tty", "--detach leaves no terminal for --tty.")
