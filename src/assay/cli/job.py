"""What ``run``, ``plan`` and ``lease new`` share: options, settings, and a decided job."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.completing import policies

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.leases.desk import Desk
    from assay.leases.job import Prepared
    from assay.leases.spool import Spool
    from assay.leases.sync import Source, Wanted
    from assay.settings.resolve import Settings

_ATTACKS = ("stale-nonce", "debug", "foreign-key", "changed-bundle", "changed-agent")


def machine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which machine, for how long, under which policy."""
    for option in reversed(
        (
            click.option(
                "--on", metavar="PROVIDER[:MACHINE][/PLATFORM]", help="Where to lease; 'local' is here."
            ),
            click.option(
                "--policy", metavar="NAME|PATH", shell_complete=policies, help="What admits a machine."
            ),
            click.option("--ttl", metavar="TIME", help="Longest life of the lease (90m)."),
            click.option("--idle", metavar="TIME", help="End the lease when idle for so long (30m)."),
            click.option("--attack", type=click.Choice(_ATTACKS), help="local only: its host attacks you."),
        )
    ):
        command = option(command)
    return command


def workload_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what goes in, what runs and what comes back."""
    for option in reversed(
        (
            click.option("--time-limit", metavar="TIME", help="End the workload after this; exit code 124."),
            click.option("--env", "env", metavar="NAME", multiple=True, help="Send this variable."),
            click.option(
                "--sync", type=click.Path(path_type=Path), metavar="DIR", help="Send this directory."
            ),
            click.option("--include", metavar="PATH", multiple=True, help="Send this likely secret."),
            click.option("--exclude", metavar="PATTERN", multiple=True, help="Do not send these."),
            click.option("--download", metavar="NAME", multiple=True, help="Take this output back."),
            click.option(
                "--into", type=click.Path(path_type=Path), metavar="DIR", help="New directory for it."
            ),
            click.option("--tty", is_flag=True, help="Give the workload a terminal."),
        )
    ):
        command = option(command)
    return command


def _here() -> Path:
    from assay.errors import UsageError

    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            "cli.directory.gone",
            f"The directory that this command was started in cannot be used: {error.strerror}.",
            action="Change to one that exists.",
        ) from None


def wanted_files(options: dict[str, Any], settings: Settings) -> Wanted:
    """Return what is to be sent, as options and settings say."""
    from assay.leases.sync import Wanted

    return Wanted(
        cwd=_here(),
        directory=options.get("sync"),
        include=settings.names("sync.include"),
        exclude=settings.names("sync.exclude"),
        max_files=settings.number("sync.max_files"),
        max_bytes=settings.number("sync.max_bytes"),
    )


def locate(options: dict[str, Any]) -> tuple[Source, Settings]:
    """Return where the files come from, and the settings as that repository tightens them.

    Raises:
        SettingsError: What ``resolve`` refuses.
        LeaseError: ``lease.sync.*`` when the directory or its repository cannot be used.
    """
    from assay.leases import sync
    from assay.settings.resolve import resolve

    source = sync.locate(sync.Wanted(_here(), options.get("sync"), (), (), 1, 1), os.environ)
    flags = {
        "on": options.get("on"),
        "policy": options.get("policy"),
        "ttl": options.get("ttl"),
        "idle": options.get("idle"),
        "time_limit": options.get("time_limit"),
        "environment": options.get("env", ()),
        "sync.include": options.get("include", ()),
        "sync.exclude": options.get("exclude", ()),
    }
    return source, resolve(environ=os.environ, flags=flags, repository=source.repository)


def prepare(
    desk: Desk,
    options: dict[str, Any],
    argv: tuple[str, ...],
    *,
    source: Source,
    settings: Settings,
    spool: Spool,
) -> Prepared:
    """Return the decided run, its files in the spool; nothing is created.

    Raises:
        AssayError: Whatever keeps it from being decided.
    """
    from assay.leases import prepare as preparing
    from assay.leases import terms
    from assay.leases.desk import PROVIDERS
    from assay.leases.job import Job

    job = Job(
        argv=argv,
        environment=preparing.environment_values(settings.names("environment"), os.environ),
        keep=keep_of(options),
        detach=bool(options.get("detach")),
        tty=bool(options.get("tty")),
        outputs=tuple(options.get("download", ())),
        into=options.get("into"),
        attack=options.get("attack") or "",
    )
    target = terms.parse_target(settings.text("on"), PROVIDERS)
    provider = desk.provider(target.provider)
    return preparing.prepare(
        settings,
        provider,
        terms.choose(provider, target),
        job,
        source=source,
        wanted=wanted_files(options, settings),
        spool=spool,
        environ=os.environ,
    )


def keep_of(options: dict[str, Any]) -> Any:
    """Return whether the machine outlives the workload.

    Raises:
        UsageError: ``lease.keep.twice`` when both options are given.
    """
    from assay.errors import UsageError
    from assay.leases.states import Keep

    if options.get("keep") and options.get("keep_on_failure"):
        raise UsageError("lease.keep.twice", "Give --keep or --keep-on-failure, not both.")
    if options.get("keep"):
        return Keep.ALWAYS
    return Keep.ON_FAILURE if options.get("keep_on_failure") else Keep.NEVER


def prepare_on_lease(
    desk: Desk,
    options: dict[str, Any],
    argv: tuple[str, ...],
    *,
    source: Source,
    settings: Settings,
    spool: Spool,
) -> Prepared:
    """Return the decided run on a kept lease; what was decided when it was made stays.

    Raises:
        AssayError: Whatever keeps it from being decided; ``lease.unknown``.
    """
    from assay.leases import prepare as preparing

    lease = desk.book.find(options["on_lease"])
    values = {**settings.values, "on": f"{lease.provider}:{lease.machine}/{lease.platform}"}
    fixed = type(settings)(values, settings.origins, settings.repository, settings.repository_policies)
    prepared = prepare(desk, options, argv, source=source, settings=fixed, spool=spool)
    return preparing.for_lease(prepared, lease)
