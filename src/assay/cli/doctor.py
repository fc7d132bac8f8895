"""``assay doctor``: does this machine have what Assay needs, and what is the best it can offer?"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import click

from assay.cli import exit_codes
from assay.cli.output import emit, emit_json, escape, style
from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assay.cli.output import Kind

OLDEST_PYTHON: Final = (3, 11)
FREE_BYTES_WANTED: Final = 512 << 20
FREE_BYTES_NEEDED: Final = 64 << 20


class Health(StrEnum):
    """What one probe found."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one probe.

    Attributes:
        name: What was looked at.
        health: ``failed`` for what is needed and does not work, ``warning`` for what then works less well.
        text: What was found, as a clause.
        action: What to do about it; empty when nothing is needed.
    """

    name: str
    health: Health
    text: str
    action: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the finding as JSON-ready values."""
        found = {"name": self.name, "health": self.health.value, "text": self.text}
        return found | {"action": self.action} if self.action else found


@click.command(short_help="Check that this machine has what Assay needs.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(*, as_json: bool) -> int:
    """Check that this machine has what Assay needs.

    Nothing is created or changed. The answer is 0 when everything that is needed works; warnings say what
    works less well than it could.
    """
    found = examine(os.environ)
    healthy = all(finding.health is not Health.FAILED for finding in found)
    if as_json:
        findings = [finding.to_json() for finding in found]
        emit_json("assay/doctor/v1", {"healthy": healthy, "findings": findings})
    else:
        _print(found)
    return exit_codes.OK if healthy else exit_codes.REFUSED


def examine(environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Run every probe; one that cannot be made is a finding, never an exception."""
    return (
        _python(),
        _cryptography(),
        *_state(environ),
        _isolation(environ),
        _clock(environ),
        _git(),
    )


def _print(found: tuple[Finding, ...]) -> None:
    colours: dict[Health, Kind] = {Health.OK: "good", Health.WARNING: "warn", Health.FAILED: "bad"}
    width = max(len(finding.name) for finding in found)
    for finding in found:
        health = style(f"{finding.health.value:7}", colours[finding.health], sys.stdout)
        emit(f"{health}  {finding.name:{width}}  {escape(finding.text)}")
        if finding.action:
            emit(f"{'':9}{'':{width}}  do: {escape(finding.action)}")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", Health.FAILED, f"{version} is too old", "Install Python 3.11 or newer.")
    return Finding("python", Health.OK, version)


def _cryptography() -> Finding:
    try:
        import cryptography
        from cryptography.hazmat.backends.openssl.backend import backend
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        Ed25519PrivateKey.generate()
    except Exception as error:  # noqa: BLE001 - a broken binary module fails in ways of its own
        return Finding("cryptography", Health.FAILED, f"does not work: {error}", "Install Assay again.")
    return Finding("cryptography", Health.OK, f"{cryptography.__version__}, {backend.openssl_version_text()}")


def _state(environ: Mapping[str, str]) -> tuple[Finding, ...]:
    from assay.store.files import is_absent, prepare_directory
    from assay.store.paths import state_directory

    try:
        path = state_directory(environ)
        if not is_absent(path):
            prepare_directory(path)
            return (Finding("state directory", Health.OK, str(path)), _disk(path))
    except AssayError as error:
        return (Finding("state directory", Health.FAILED, error.message, error.action),)
    above = next(parent for parent in path.parents if not is_absent(parent))
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK, effective_ids=True)):
        return (
            Finding(
                "state directory",
                Health.FAILED,
                f"{path} cannot be made: nothing can be made in {above}",
                "Choose another with ASSAY_STATE_DIR, or correct the rights above it.",
            ),
        )
    return (Finding("state directory", Health.OK, f"{path}, made when it is first needed"), _disk(above))


def _disk(existing: Path) -> Finding:
    free = shutil.disk_usage(existing).free
    text = f"{free >> 20} MiB free where the state is"
    if free < FREE_BYTES_NEEDED:
        return Finding("disk", Health.FAILED, text, f"Free at least {FREE_BYTES_NEEDED >> 20} MiB.")
    if free < FREE_BYTES_WANTED:
        return Finding("disk", Health.WARNING, text, f"Free at least {FREE_BYTES_WANTED >> 20} MiB.")
    return Finding("disk", Health.OK, text)


def _isolation(environ: Mapping[str, str]) -> Finding:
    from assay.providers.local.isolation import probe

    rung = probe(environ)
    if rung.name == "none":
        return Finding(
            "isolation",
            Health.WARNING,
            f"local machines run on the lowest rung, `none`: {rung.reason}",
            "Install the package bubblewrap of your distribution, and allow user namespaces.",
        )
    return Finding("isolation", Health.OK, f"{rung.name}, and another one inside it")


def _clock(environ: Mapping[str, str]) -> Finding:
    from assay.leases import clock
    from assay.leases.desk import Desk
    from assay.store.files import is_absent
    from assay.store.paths import DATABASE_NAME, state_directory

    try:
        if is_absent(state_directory(environ) / DATABASE_NAME):
            return Finding("clock", Health.OK, "no evidence was verified here that it could contradict")
        with Desk.open(environ) as desk, desk.db.read() as view:
            clock.check(view, desk.now())
            known = clock.newest(view)
    except AssayError as error:
        return Finding("clock", Health.FAILED, error.message, error.action)
    return Finding(
        "clock", Health.OK, f"not before the newest verified time, {known or 'of which there is none'}"
    )


def _git() -> Finding:
    if shutil.which("git") is None:
        return Finding("git", Health.WARNING, "not installed: `run` then needs --sync DIR", "Install git.")
    return Finding("git", Health.OK, "installed")
