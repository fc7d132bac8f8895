"""``assay plan``: what would be leased, what it may cost, what it must prove, and what that leaves open."""

from __future__ import annotations

import os
from typing import Any

import click

from assay.cli.job import machine_options, workload_options


@click.command(context_settings={"allow_interspersed_args": False})
@machine_options
@workload_options
@click.option("--keep", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def plan(command: tuple[str, ...], **options: Any) -> int:
    """Show what 'run' would lease and demand. Nothing is created and nothing is sent."""
    from assay.cli import job
    from assay.cli.narration import show_full_plan
    from assay.cli.output import emit_json, progress
    from assay.leases.desk import Desk
    from assay.leases.spool import Spool

    source, settings = job.locate(options)
    with Desk.open(os.environ) as desk, Spool(desk.state_dir) as spool:
        prepared = job.prepare(desk, options, command, source=source, settings=settings, spool=spool)
        if options.get("as_json"):
            emit_json("assay/plan/v1", prepared.plan.to_json())
        else:
            show_full_plan(prepared.plan, [entry.path for entry in spool.listing.entries])
            if not command and source.root is not None:
                progress("Without a command no files go in: 'assay plan ... -- COMMAND' lists them.")
    return 0
