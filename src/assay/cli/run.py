"""``assay run``: lease a machine, make it prove itself, run a command there, release it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli import exit_codes
from assay.cli.job import machine_options, workload_options

if TYPE_CHECKING:
    from assay.leases.desk import Desk
    from assay.leases.job import Outcome, Prepared
    from assay.leases.spool import Spool


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@machine_options
@workload_options
@click.option("--lease", "on_lease", metavar="ID|SLUG", help="Run on this kept lease, after a new proof.")
@click.option("--keep", is_flag=True, help="Keep the machine afterwards, until it expires or idles.")
@click.option("--keep-on-failure", is_flag=True, help="Keep it when the workload fails.")
@click.option("--detach", is_flag=True, help="Leave once the workload runs; see 'assay lease'.")
@click.option(
    "--result", type=click.Path(path_type=Path), metavar="FILE", help="Write what happened as JSON."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stderr at the end.")
@click.option("-v", "--verbose", is_flag=True, help="Show every check.")
@click.option("-q", "--quiet", is_flag=True, help="Show problems only.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...], **options: Any) -> int:
    """Lease a machine, make it prove itself, run COMMAND there, release it.

    Nothing is sent before the proof. Standard output is COMMAND's alone; progress goes to standard error.
    The exit code is COMMAND's own; Assay's are 125 (before it started), 124 (time limit), 128+n (signal).
    """
    from assay.cli.outcome import Report, exit_code
    from assay.errors import AssayError

    report = Report(options.get("result"), as_json=bool(options.get("as_json")))
    try:
        report.demand_place()
        outcome = _run(command, options, report)
    except AssayError as error:
        code = exit_codes.of_error(error)
        code = exit_codes.NOT_STARTED if code == exit_codes.REFUSED else code
        report.failed(error, code)
        return code
    code = exit_code(outcome)
    report.ended(outcome, code)
    return code


def _run(command: tuple[str, ...], options: dict[str, Any], report: Any) -> Outcome:
    from assay.cli import job
    from assay.cli.narration import Narrator, show_log
    from assay.leases import moments
    from assay.leases.desk import Desk
    from assay.leases.run import check_clock
    from assay.leases.spool import Spool

    narrate = Narrator(verbose=bool(options.get("verbose")), quiet=bool(options.get("quiet")))
    source, settings = job.locate(options)
    with Desk.open(os.environ) as desk, Spool(desk.state_dir) as spool:
        report.desk(desk)
        recovered = desk.reconciler().sweep()
        if recovered:
            narrate(moments.Recovered(recovered))
        check_clock(desk)
        prepared = _prepared(desk, command, options, source=source, settings=settings, spool=spool)
        report.prepared(prepared)
        narrate(moments.Planned(prepared.plan))
        outcome = _go(desk, prepared, options, narrate)
        if outcome.lease is not None and outcome.lease.id in desk.book.told:
            told = desk.book.told[outcome.lease.id]
            report.told(*told)
            if not options.get("quiet"):
                show_log(told)
        return outcome


def _prepared(
    desk: Desk, command: tuple[str, ...], options: dict[str, Any], *, source: Any, settings: Any, spool: Spool
) -> Prepared:
    from assay.cli import job
    from assay.errors import UsageError

    if options.get("on_lease") is None:
        return job.prepare(desk, options, command, source=source, settings=settings, spool=spool)
    for name in ("on", "ttl", "idle", "keep", "keep_on_failure", "attack"):
        if options.get(name):
            raise UsageError(
                "lease.option.fixed", f"--{name.replace('_', '-')} was decided when the lease was made."
            )
    return job.prepare_on_lease(desk, options, command, source=source, settings=settings, spool=spool)


def _go(desk: Desk, prepared: Prepared, options: dict[str, Any], narrate: Any) -> Outcome:
    from assay.cli.streams import Streams
    from assay.leases import run as flow
    from assay.leases.job import Ports
    from assay.leases.signals import Relay

    streams = Streams(tty=prepared.job.tty)
    with Relay(streams.size if prepared.job.tty else None) as relay:
        ports = Ports(
            report=streams.around(narrate),
            on_output=streams.writer(relay),
            stdin=streams.stdin,
            relay=relay,
            size=streams.size() if prepared.job.tty else (0, 0),
        )
        with streams:
            if options.get("on_lease"):
                return flow.run_on(desk, prepared, ports, desk.book.find(options["on_lease"]))
            return flow.run(desk, prepared, ports)
