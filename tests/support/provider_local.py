"""Local machines for tests: the rungs that work here, who runs, and a guest's own view of its sandbox."""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING

from assay.channel.launch import LaunchConfig
from assay.providers.local.directory import Record
from assay.providers.local.isolation import Rung, probe
from assay.providers.local.provider import LocalProvider
from support.provider_hostile import request_for

if TYPE_CHECKING:
    from pathlib import Path

    from assay.channel.owner import OwnerKey
    from assay.providers.interface import CreateRequest, Machine
    from assay.providers.local.processes import ProcessIdentity

BEST = probe(os.environ)
RUNGS = [Rung("none", reason="asked for")] + ([BEST] if BEST.name != "none" else [])
TIMEOUT = 30.0


def local(state: Path, rung: Rung = BEST) -> LocalProvider:
    """Return a provider over a state directory."""
    return LocalProvider(state, environ=os.environ, rung=rung)


def owned_request(owner: OwnerKey, lease: str = "lease-one", **changes: object) -> CreateRequest:
    """Return a request for a machine that serves ``owner``."""
    return request_for(lease, config=LaunchConfig(lease, owner.spki, 600, 300), **changes)


def home(state: Path, machine: Machine) -> Path:
    """Return the directory of a machine."""
    return state / "local" / machine.lease


def record(state: Path, machine: Machine) -> Record:
    """Return what a machine wrote about itself."""
    found = Record.decode((home(state, machine) / "machine.json").read_bytes())
    assert found
    return found


def wait_gone(identities: tuple[ProcessIdentity, ...], seconds: float = TIMEOUT) -> None:
    """Wait until processes have ended."""
    for identity in identities:
        pidfd = identity.hold()
        if pidfd is not None:
            try:
                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                assert poll.poll(seconds * 1000), f"{identity} still runs"
            finally:
                os.close(pidfd)


def wait_until(holds, seconds: float = TIMEOUT) -> None:
    """Wait until a condition of another process holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.01)
