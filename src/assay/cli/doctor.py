"""``assay doctor``: does this machine have what Assay needs, and what is the best it can offer?"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

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
PROBE_SECONDS: Final = 15
_SANDBOX: Final = (
    "--unshare-all",
    "--ro-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--die-with-parent",
)


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
        answer: dict[str, Any] = {"healthy": healthy, "findings": [finding.to_json() for finding in found]}
        emit_json(answer)
    else:
        _print(found)
    return exit_codes.OK if healthy else exit_codes.REFUSED


def examine(environ: Mapping[str, str]) -> tuple[Finding, ...]:
    """Run every probe; one that cannot be made is a finding, never an exception."""
    return (
        _python(),
        _cryptography(),
        *_state(environ),
        _sandbox("bubblewrap", nested=False),
        _sandbox("nested bubblewrap", nested=True),
        _user_namespaces(),
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
    from assay.store.files import prepare_directory
    from assay.store.paths import state_directory

    try:
        path = state_directory(environ)
        if path.exists() or path.is_symlink():
            prepare_directory(path)
            found = Finding("state directory", Health.OK, str(path))
        else:
            found = Finding("state directory", Health.OK, f"{path}, made when it is first needed")
    except AssayError as error:
        return (Finding("state directory", Health.FAILED, error.message, error.action),)
    except OSError as error:
        return (Finding("state directory", Health.FAILED, f"cannot be looked at: {error.strerror}"),)
    return (found, _disk(path))


def _disk(path: Path) -> Finding:
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    text = f"{free >> 20} MiB free where the state is"
    if free < FREE_BYTES_NEEDED:
        return Finding("disk", Health.FAILED, text, f"Free at least {FREE_BYTES_NEEDED >> 20} MiB.")
    if free < FREE_BYTES_WANTED:
        return Finding("disk", Health.WARNING, text, f"Free at least {FREE_BYTES_WANTED >> 20} MiB.")
    return Finding("disk", Health.OK, text)


def _sandbox(name: str, *, nested: bool) -> Finding:
    tool = shutil.which("bwrap")
    if tool is None:
        return Finding(
            name,
            Health.WARNING,
            "not installed: local machines run on the isolation rung `none`",
            "Install the package bubblewrap of your distribution.",
        )
    inner = [tool, *_SANDBOX, "true"]
    return _tried(
        name,
        [tool, *_SANDBOX, *inner] if nested else inner,
        "works",
        "does not work here: local machines run on a lower isolation rung",
    )


def _user_namespaces() -> Finding:
    tool = shutil.which("unshare")
    if tool is None:
        return Finding("user namespaces", Health.WARNING, "not tried: the program `unshare` is not installed")
    return _tried(
        "user namespaces",
        [tool, "--user", "--map-root-user", "true"],
        "allowed",
        "not allowed: bubblewrap then needs to be set-user-id",
    )


def _tried(name: str, command: list[str], good: str, bad: str) -> Finding:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding(name, Health.WARNING, f"{bad} ({error})")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[:200]
        return Finding(name, Health.WARNING, f"{bad} ({said})" if said else bad)
    return Finding(name, Health.OK, good)


def _git() -> Finding:
    if shutil.which("git") is None:
        return Finding("git", Health.WARNING, "not installed: `run` then needs --sync DIR", "Install git.")
    return Finding("git", Health.OK, "installed")
