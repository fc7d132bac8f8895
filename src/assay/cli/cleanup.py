"""``assay cleanup``: finish what was interrupted, release what is past its time, remove what was left."""

from __future__ import annotations

import os

import click

from assay.cli import exit_codes


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def cleanup(*, dry_run: bool, as_json: bool) -> int:
    """Settle every lease that no living command works on; safe to run at any time, and twice at once.

    Answers 1 when something could not be settled; the next assay command tries that again by itself.
    """
    from assay.cli.lines import Lines
    from assay.cli.output import emit_json
    from assay.leases.desk import PROVIDERS, Desk

    with Desk.open(os.environ) as desk:
        found = desk.reconciler().clean(PROVIDERS, dry_run=dry_run)
    left = [action for action in found.actions if action.problem and not dry_run]
    if as_json:
        emit_json("assay/cleanup/v1", found.to_json())
        return exit_codes.REFUSED if left or found.problems else exit_codes.OK
    out = Lines(answer=True)
    for action in found.actions:
        out.line("lease", f"{action.slug} was {action.before.value} ({action.reason})")
        if action.problem:
            out.more(action.problem, "bad")
            out.more(f"assay lease stop {action.slug}")
        else:
            out.more("would be settled" if dry_run else f"now {action.after.value}")
    for lease_id in found.keys:
        out.line("key", f"of {lease_id}: {'would be removed' if dry_run else 'removed'}")
    for machine in found.machines:
        out.line("machine", f"{machine}: {'would be destroyed' if dry_run else 'destroyed'}")
    for machine in found.foreign:
        out.line("machine", f"{machine} is not in this book; it was not touched", "warn")
    for problem in found.problems:
        out.line("problem", problem, "bad")
    if not (found.actions or found.keys or found.machines or found.problems):
        out.line("clean", "nothing is left to do")
    return exit_codes.REFUSED if left or found.problems else exit_codes.OK
