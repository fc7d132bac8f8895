"""How a run ended: its exit code, the error on stderr, and the result file, written whatever happened."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from assay.cli import exit_codes
from assay.cli.output import escape, progress, show_error, style
from assay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from assay.errors import AssayError
    from assay.leases.desk import Desk
    from assay.leases.job import Outcome, Prepared

SCHEMA = "assay/run-result/v1"


def exit_code(outcome: Outcome) -> int:
    """Return what ``assay run`` answers with."""
    if outcome.signal is not None:
        return exit_codes.SIGNALLED + outcome.signal
    if outcome.exit is None:
        if outcome.error is not None and outcome.error.code == "lease.overtime":
            return exit_codes.TIME_LIMIT
        return exit_codes.NOT_STARTED if outcome.error is not None else exit_codes.OK
    code = outcome.exit.exit_code
    return exit_codes.NOT_STARTED if code == 0 and outcome.error is not None else code


class Report:
    """Tells how a run ended: on stderr, and in the result file.

    Args:
        path: The result file, or None.
        as_json: Whether the result is printed on stderr too.
    """

    def __init__(self, path: Path | None, *, as_json: bool) -> None:
        self._path = path
        self._as_json = as_json
        self._facts: dict[str, Any] = {"schema": SCHEMA}

    def demand_place(self) -> None:
        """Refuse a result file that could not be written, before anything is leased.

        Raises:
            UsageError: ``cli.result.unwritable``.
        """
        if self._path is None:
            return
        folder, shown = self._path.parent, escape(str(self._path), limit=300)
        if self._path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            self._path = None
            raise UsageError(
                "cli.result.unwritable",
                f"The result cannot be written to {shown}.",
                action="Name a file in a directory that exists and that you may write to.",
            )

    def desk(self, desk: Desk) -> None:
        """Note where the state is."""
        self._facts["state_directory"] = str(desk.state_dir)
        self._facts["log"] = {"origin": desk.log.origin}

    def told(self, first: int, last: int) -> None:
        """Note the indexes of the command's log entries."""
        self._facts["log"] |= {"first": first, "last": last}

    def prepared(self, prepared: Prepared) -> None:
        """Note what was decided."""
        plan = prepared.plan
        self._facts |= {
            "on": f"{plan.offer.provider}:{plan.offer.machine}/{plan.offer.platform}",
            "simulated": plan.offer.simulated,
            "policy": {"name": plan.policy.name, "sha256": plan.policy.digest.hex()},
            "bundle": prepared.spool.listing.digest().hex(),
        }

    def failed(self, error: AssayError, code: int) -> None:
        """Tell of a run that ended before a lease was intended."""
        show_error(error)
        self._write({"by": "assay", "exit_code": code, "started": False, "error": error.to_json()})

    def ended(self, outcome: Outcome, code: int) -> None:
        """Tell of a run that has a lease."""
        if outcome.error is not None:
            show_error(outcome.error)
        found = outcome.exit
        facts: dict[str, Any] = {
            "by": "workload" if found is not None and code == found.exit_code else "assay",
            "exit_code": code,
            "started": outcome.started,
            "error": outcome.error.to_json() if outcome.error else None,
            "exit": None
            if found is None
            else {
                "reason": found.reason,
                "code": found.code,
                "signal": found.signal,
                "stdout_bytes": found.stdout_bytes,
                "stderr_bytes": found.stderr_bytes,
            },
            "receipt": None if outcome.receipt is None else str(outcome.receipt),
        }
        if outcome.lease is not None:
            lease = outcome.lease
            facts["lease"] = {
                "id": lease.id,
                "slug": lease.slug,
                "state": lease.state.value,
                "reason": None if lease.reason is None else lease.reason.value,
                "problem": lease.problem,
            }
            if lease.state.value != "released":
                facts["stop"] = f"assay lease stop {lease.slug}"
        self._write(facts)

    def _write(self, facts: dict[str, Any]) -> None:
        text = json.dumps(self._facts | facts, indent=2, ensure_ascii=True) + "\n"
        if self._as_json:
            sys.stderr.write(text)
            sys.stderr.flush()
        if self._path is None:
            return
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with fresh.open("w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            progress(f"{style('error:', 'bad')} the result file cannot be written: {error.strerror}")
