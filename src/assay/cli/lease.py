"""``assay lease``: new, list, show, wait, logs, attach, keep, stop."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from assay.cli import exit_codes
from assay.cli.groups import VerbsBelow
from assay.cli.job import machine_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.leases.attend import Attendance
    from assay.leases.book import Lease
    from assay.leases.desk import Desk
    from assay.leases.job import Outcome

_LEASE = "assay/lease/v1"
_JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
_NAME = click.argument("name", metavar="ID|SLUG")
_VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Show every check.")


@click.group(cls=VerbsBelow)
def lease() -> None:
    """See, keep, come back to and end leases."""


@lease.command()
@machine_options
@_VERBOSE
@_JSON
def new(**options: Any) -> int:
    """Lease a machine, make it prove itself, and keep it for 'assay run --lease'."""
    from assay.cli import job
    from assay.cli.narration import Narrator
    from assay.cli.outcome import exit_code
    from assay.cli.output import emit_json, show_error
    from assay.leases import moments
    from assay.leases import run as flow
    from assay.leases.desk import Desk
    from assay.leases.job import Ports
    from assay.leases.signals import Relay
    from assay.leases.spool import Spool

    narrate = Narrator(verbose=bool(options.get("verbose")))
    source, settings = job.locate(options)
    with Desk.open(os.environ) as desk, Spool(desk.state_dir) as spool:
        narrate(moments.Recovered(desk.reconciler().sweep()))
        flow.check_clock(desk)
        prepared = job.prepare(
            desk, options | {"keep": True}, (), source=source, settings=settings, spool=spool
        )
        narrate(moments.Planned(prepared.plan))
        with Relay(None) as relay:
            ports = Ports(narrate, lambda _stream, _data: None, None, relay)
            outcome = flow.run(desk, prepared, ports)
        if outcome.error is not None:
            show_error(outcome.error)
        elif options.get("as_json") and outcome.lease is not None:
            emit_json(_LEASE, _facts(outcome.lease, desk.db.now()))
    return exit_code(outcome)


@lease.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Released leases too.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@_JSON
def list_(*, everything: bool, limit: int, as_json: bool) -> int:
    """List leases."""
    from assay.cli.output import emit, emit_json, table
    from assay.leases.desk import Desk

    with Desk.open(os.environ) as desk:
        found = desk.book.history(limit) if everything else desk.book.live()
        now = desk.db.now()
    if as_json:
        emit_json("assay/leases/v1", {"leases": [_facts(one, now) for one in found]})
    elif found:
        rows = [
            (
                one.slug,
                one.id,
                one.state.value,
                f"{one.provider}:{one.machine}/{one.platform}",
                _left(one, now),
            )
            for one in found
        ]
        emit(table(("SLUG", "ID", "STATE", "ON", "ENDS"), rows))
    else:
        emit("There are no leases.")
    return exit_codes.OK


@lease.command()
@_NAME
@_JSON
def show(*, name: str, as_json: bool) -> int:
    """Show one lease and what was run on it."""
    from assay.cli.narration import shown_end
    from assay.cli.output import emit, emit_json, escape
    from assay.leases import runs
    from assay.leases.desk import Desk

    with Desk.open(os.environ) as desk:
        one = desk.book.find(name)
        now = desk.db.now()
        with desk.db.read() as view:
            known = runs.of_lease(view, one.id)
        facts = _facts(one, now) | {"runs": [_run_facts(run, desk) for run in known]}
    if as_json:
        emit_json(_LEASE, facts)
        return exit_codes.OK
    for key, value in facts.items():
        if key != "runs" and value is not None:
            emit(f"{key.replace('_', ' '):>12}  {escape(str(value))}")
    for run in facts["runs"]:
        end = "not ended" if run["outcome"] is None else f"exit {shown_end(**run['outcome'])}"
        emit(f"{'run':>12}  {run['sequence']}: {escape(end)}")
        emit(f"{'':>12}  manifest {run['manifest']}")
        emit(f"{'':>12}  receipt  {escape(str(run['receipt'] or run['problem'] or 'none yet'))}")
    return exit_codes.OK


@lease.command()
@_NAME
@_VERBOSE
def attach(*, name: str, verbose: bool) -> int:
    """Join a detached workload until it ends; its exit code is the answer."""
    from assay.leases import attend

    return _concluded(name, attend.attach, verbose=verbose, stdin=True)


@lease.command()
@_NAME
@_VERBOSE
def wait(*, name: str, verbose: bool) -> int:
    """Wait until a detached workload ends; its exit code is the answer."""
    from assay.leases import attend

    return _concluded(name, attend.wait, verbose=verbose, stdin=False)


@lease.command()
@_NAME
@click.option("-f", "--follow", is_flag=True, help="Go on until the workload ends.")
def logs(*, name: str, follow: bool) -> int:
    """Show what a detached workload has written."""
    from assay.leases import attend

    return _attended(name, lambda one, _: attend.logs(one, follow=follow), quiet=True)


@lease.command()
@_NAME
@_VERBOSE
def keep(*, name: str, verbose: bool) -> int:
    """Prove a machine again and keep it: its idle time begins anew, its deadline stays."""
    from assay.leases import attend

    return _attended(name, lambda one, _: attend.keep(one), verbose=verbose)


@lease.command()
@_NAME
@_VERBOSE
def stop(*, name: str, verbose: bool) -> int:
    """End whatever runs and release the machine."""
    from assay.leases import attend
    from assay.leases.states import State

    ended: list[Lease] = []
    code = _attended(name, lambda one, _: attend.stop(one), verbose=verbose, see=ended.append)
    if code == exit_codes.OK and ended and ended[0].state is not State.RELEASED:
        return exit_codes.REFUSED
    return code


def _concluded(name: str, work: Callable[[Attendance, Outcome], None], *, verbose: bool, stdin: bool) -> int:
    from assay.cli.outcome import exit_code

    outcomes: list[Outcome] = []

    def conclude(one: Attendance, outcome: Outcome) -> None:
        outcomes.append(outcome)
        work(one, outcome)

    code = _attended(name, conclude, verbose=verbose, stdin=stdin)
    return code or (exit_code(outcomes[0]) if outcomes else code)


def _attended(
    name: str,
    work: Callable[[Attendance, Outcome], None],
    *,
    verbose: bool = False,
    quiet: bool = False,
    stdin: bool = False,
    see: Callable[[Lease], None] = lambda _lease: None,
) -> int:
    from assay.cli.narration import Narrator
    from assay.cli.streams import Streams
    from assay.leases import attend
    from assay.leases import job as jobs
    from assay.leases import run as flow
    from assay.leases.desk import Desk
    from assay.leases.signals import Relay, SignalledError
    from assay.settings.resolve import resolve

    # Where one happens to stand has no say about a lease: no repository's file is read.
    settings = resolve(environ=os.environ, flags={}, repository=None)
    streams = Streams(tty=False)
    outcome = jobs.Outcome(None)
    with Desk.open(os.environ) as desk, Relay(None) as relay:
        ports = jobs.Ports(
            report=Narrator(verbose=verbose, quiet=quiet),
            on_output=streams.writer(relay),
            stdin=streams.stdin if stdin else None,
            relay=relay,
        )
        flow.check_clock(desk)
        try:
            see(attend.attended(desk, settings, ports, name, lambda one: work(one, outcome)))
        except SignalledError as signalled:
            return exit_codes.SIGNALLED + signalled.number
    return exit_codes.OK


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _left(one: Lease, now: float) -> str:
    from assay.leases.states import State
    from assay.settings.values import show_duration

    if one.state is State.RELEASED:
        return one.reason.value if one.reason else ""
    ends = one.expires_at
    if one.state is State.KEPT:
        ends = min(ends, one.used_at + one.idle_seconds)
    return f"in {show_duration(int(ends - now))}" if ends > now else "overdue: assay cleanup"


def _facts(one: Lease, now: float) -> dict[str, Any]:
    from assay.leases.states import State

    return {
        "id": one.id,
        "slug": one.slug,
        "state": one.state.value,
        "reason": None if one.reason is None else one.reason.value,
        "on": f"{one.provider}:{one.machine}/{one.platform}",
        "machine": one.machine_id,
        "created_at": _time(one.created_at),
        "expires_at": _time(one.expires_at),
        "ends": _left(one, now),
        "idle_seconds": one.idle_seconds,
        "keep": one.keep.value,
        "detached": one.care.value == "detached",
        "problem": one.problem,
        "stop": None if one.state is State.RELEASED else f"assay lease stop {one.slug}",
    }


def _run_facts(run: Any, desk: Desk) -> dict[str, Any]:
    return {
        "sequence": run.sequence,
        "started_at": _time(run.started_at),
        "manifest": run.manifest.hex(),
        "bundle": run.bundle.hex(),
        "isolation": run.isolation,
        "admission_evidence": str(desk.vault.path(run.admission)),
        "start_evidence": str(desk.vault.path(run.start)),
        "outcome": run.outcome,
        "receipt": None if run.receipt is None else str(desk.vault.path(run.receipt)),
        "problem": run.problem,
    }
