"""A whole run in this process, on a real local machine, with everything that it reports kept."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.audit import entry as entries
from assay.leases import run as flow
from assay.leases import sync, terms
from assay.leases.desk import Desk
from assay.leases.job import Job, Ports
from assay.leases.prepare import for_lease, prepare
from assay.leases.signals import Relay
from assay.leases.spool import Spool
from assay.leases.states import Keep
from assay.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.leases.book import Lease
    from assay.leases.job import Outcome
    from assay.leases.moments import Moment


@dataclass
class Told:
    """What a run reported."""

    moments: list[Moment] = field(default_factory=list)
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def of(self, kind: type) -> list[Any]:
        return [moment for moment in self.moments if isinstance(moment, kind)]

    def output(self, stream: str, data: bytes) -> None:
        getattr(self, stream).extend(data)


@contextmanager
def ports(told: Told, *, stdin: int | None = None) -> Iterator[Ports]:
    with Relay(None) as relay:
        yield Ports(told.moments.append, told.output, stdin, relay)


def open_local(state: Path, **given: Any) -> Desk:
    return Desk.open({"ASSAY_STATE_DIR": str(state), "PATH": os.environ["PATH"]}, **given)


def run(
    desk: Desk,
    *argv: str,
    told: Told | None = None,
    files: Path | None = None,
    lease: Lease | None = None,
    keep: Keep = Keep.NEVER,
    stdin: int | None = None,
    flags: dict[str, Any] | None = None,
    repository: Path | None = None,
    **job: Any,
) -> tuple[Outcome, Told]:
    """Run a command on a new local machine, or on a kept one; return the outcome and what was reported."""
    told = told or Told()
    settings = resolve(environ={"HOME": "/nonexistent"}, flags=flags or {}, repository=repository)
    provider = desk.provider("local")
    wanted = sync.Wanted(desk.state_dir, files, (), (), 1000, 1 << 24)
    source = sync.Source(root=files, tracked=False, cwd="")
    decided = Job(
        argv=argv,
        **{
            "environment": {},
            "keep": keep,
            "detach": False,
            "tty": False,
            "outputs": (),
            "into": None,
            "attack": "",
            **job,
        },
    )
    with Spool(desk.state_dir) as spool, ports(told, stdin=stdin) as own:
        prepared = prepare(
            settings,
            provider,
            terms.choose(provider, terms.Target("local", None, None)),
            decided,
            source=source,
            wanted=wanted,
            spool=spool,
            environ=desk.environ,
        )
        if lease is None:
            return flow.run(desk, prepared, own), told
        return flow.run_on(desk, for_lease(prepared, lease), own, lease), told


def log(desk: Desk, lease: str) -> list[entries.Entry]:
    found = [entries.decode(desk.log.entry(index)) for index in range(desk.log.size())]
    return [entry for entry in found if entry.lease == lease]


def assert_nothing_left(desk: Desk) -> None:
    assert desk.book.live() == ()
    assert desk.keys.held() == frozenset()
    assert desk.provider("local").inventory(timeout=10) == ()
