"""A client in a process of its own, that a test can kill.

``python lease_driver.py STATE POINT KEEP [COMMAND...]`` leases a local machine and runs COMMAND (default
``true``), and kills itself at the POINT-th fault point; -1 is never. The names of the points that it passes
go to standard output, each on a line.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    from assay.leases import run as flow
    from assay.leases import sync, terms
    from assay.leases.desk import Desk
    from assay.leases.job import Job, Ports
    from assay.leases.prepare import prepare
    from assay.leases.signals import Relay
    from assay.leases.spool import Spool
    from assay.leases.states import Keep
    from assay.settings.resolve import resolve

    state, point, keep, *command = arguments
    left = int(point)

    def at(name: str) -> None:
        nonlocal left
        os.write(1, f"{name}\n".encode())
        left -= 1
        if left == -1:
            os.kill(os.getpid(), signal.SIGKILL)

    if left < 0:
        left = 1 << 30
    environ = {**os.environ, "ASSAY_STATE_DIR": state}
    flags = {"ttl": os.environ.get("DRIVER_TTL")}
    settings = resolve(environ={"HOME": "/nonexistent"}, flags=flags, repository=None)
    job = Job(
        tuple(command) or ("true",), {}, Keep(keep), detach=False, tty=False, outputs=(), into=None, attack=""
    )
    with Desk.open(environ, at=at) as desk, Spool(desk.state_dir) as spool, Relay(None) as relay:
        provider = desk.provider("local")
        wanted = sync.Wanted(Path(state), None, (), (), 10, 1 << 20)
        source = sync.Source(root=None, tracked=False, cwd="")
        prepared = prepare(
            settings,
            provider,
            terms.choose(provider, terms.Target("local", None, None)),
            job,
            source=source,
            wanted=wanted,
            spool=spool,
            environ=environ,
        )
        ports = Ports(lambda _: None, lambda _stream, _data: None, None, relay)
        outcome = flow.run(desk, prepared, ports)
    if outcome.error is not None:
        sys.stderr.write(f"{outcome.error}\n")
        return 125
    return outcome.exit.exit_code if outcome.exit else 125


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
