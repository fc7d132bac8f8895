"""``python -m assay.guest``: the agent as its launcher starts it.

    --listen-fd N       an inherited, listening stream socket
    --config-fd N       the measured launch configuration, read to its end
    --device-fd N       a quoting device behind a connected socket; without it, the kernel's own
    --isolation NAME    ``bubblewrap`` or ``none``: how workloads are kept apart from the agent
    --storage PATH      an empty directory for the agent's files; one of its own making by default

It writes one line to stderr when it serves and one when it ends, and no secret.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from assay.channel.launch import MAX_BYTES, LaunchConfig
from assay.errors import AssayError, GuestError
from assay.guest.agent import Agent, Timing
from assay.guest.front import Front
from assay.guest.hardening import harden
from assay.guest.watchdog import Watchdog, arm_kernel_alarm
from assay.workload.sandbox import Rung, Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.guest.quoting import QuotingDevice

_OPTIONS = ("--listen-fd", "--config-fd", "--device-fd", "--isolation", "--storage")
_NEEDED = ("--listen-fd", "--config-fd", "--isolation")
_DEVICE_SECONDS = 20.0
_ALARM_MARGIN_SECONDS = 60.0


def main(arguments: Sequence[str]) -> int:
    """Serve until the guest ends; return the exit code: 0, or 1 when it could not begin."""
    try:
        harden()
        agent, front = _build(_options(arguments))
    except AssayError as error:
        sys.stderr.write(f"assay.guest: {error}\n")
        return 1
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: _end(agent))
    arm_kernel_alarm(agent.config.ttl_seconds + _ALARM_MARGIN_SECONDS)
    Watchdog(agent, _end_process).start()
    sys.stderr.write("assay.guest: serving\n")
    front.serve()
    sys.stderr.write("assay.guest: ended\n")
    return 0


def _build(options: dict[str, str]) -> tuple[Agent, Front]:
    with os.fdopen(_descriptor(options["--config-fd"]), "rb") as file:
        config = LaunchConfig.decode(file.read(MAX_BYTES + 1))
    listener = _socket(options["--listen-fd"])
    try:
        rung = Rung(options["--isolation"])
    except ValueError:
        raise _usage("the isolation is not one that this agent knows") from None
    sandbox = Sandbox(rung, reap=rung is Rung.NONE)
    storage = Path(options.get("--storage") or tempfile.mkdtemp(prefix="assay-guest-"))
    if sandbox.other_user is not None:
        # The workload must be able to reach its own directory in it; nothing here can be listed.
        storage.chmod(0o711)
    agent = Agent(config, _device(options.get("--device-fd")), sandbox, storage, Timing())
    return agent, Front(agent, listener)


def _device(descriptor: str | None) -> QuotingDevice:
    if descriptor is None:
        from assay.guest.configfs import ConfigfsDevice  # noqa: PLC0415 - only one of the two is ever needed

        return ConfigfsDevice()
    from assay.guest.quoting import SocketDevice  # noqa: PLC0415 - as above

    return SocketDevice(_socket(descriptor), timeout=_DEVICE_SECONDS)


def _options(arguments: Sequence[str]) -> dict[str, str]:
    names, values = arguments[::2], arguments[1::2]
    if len(names) != len(values) or len(set(names)) != len(names) or not set(names) <= set(_OPTIONS):
        raise _usage("unknown, repeated or incomplete options")
    found = dict(zip(names, values, strict=True))
    if not set(_NEEDED) <= set(found):
        raise _usage(f"{', '.join(_NEEDED)} are needed")
    return found


def _descriptor(text: str) -> int:
    if not text.isdigit():
        raise _usage("a descriptor is not a number")
    os.set_inheritable(int(text), False)  # noqa: FBT003 - the function has it positional only
    return int(text)


def _socket(text: str) -> socket.socket:
    try:
        return socket.socket(fileno=_descriptor(text))
    except OSError as error:
        raise _usage("a descriptor is not a socket") from error


def _usage(why: str) -> GuestError:
    return GuestError("guest.usage", f"The agent was started wrongly: {why}.")


def _end(agent: Agent) -> None:
    """End the guest from a signal handler, which must not wait."""
    threading.Thread(target=agent.release, args=("stopped",), daemon=True).start()


def _end_process() -> None:
    os._exit(0)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    # Threads that still wait for a peer have nothing left to do.
    os._exit(code)
