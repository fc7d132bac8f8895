"""The first instructions of a workload's process: limits that a parent cannot set from outside.

The agent has threads, and Python code between ``fork`` and ``exec`` of a process with threads may find a lock
held for ever. So the agent starts a fresh interpreter with this source, which sets the limits and becomes the
program. It prints nothing; what it is told stands in one JSON argument, which holds no secret.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

SOURCE = """
import json, os, resource, signal, sys
# Python ignores these for itself, and what it becomes would inherit that.
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
told = json.loads(sys.argv[1])
for name, (soft, hard) in told["limits"].items():
    kind = getattr(resource, name)
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        hard = min(hard, most)
    resource.setrlimit(kind, (min(soft, hard), hard))
os.umask(0o022)
if told["bare"]:
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(1, 9, 0, 0, 0) or libc.prctl(38, 1, 0, 0, 0):
        os._exit(125)
    if os.getppid() != told["parent"]:
        os._exit(125)
    os.login_tty(0) if told["tty"] else os.setsid()
if told["user"] is not None:
    os.setgroups([])
    os.setresgid(told["user"], told["user"], told["user"])
    os.setresuid(told["user"], told["user"], told["user"])
os.chdir(told["cwd"])
try:
    os.execvp(told["argv"][0], told["argv"])
except FileNotFoundError:
    os._exit(127)
except OSError:
    os._exit(126)
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """What the launcher is told.

    Attributes:
        argv: The program to become.
        cwd: Where.
        limits: Soft and hard limit by the name in ``resource``.
        bare: Whether the program is the workload itself; otherwise it is the sandbox that will confine it.
        tty: Whether stdin is a terminal that shall control a bare workload.
        user: User and group to become, None to stay. Here and not in the parent, because the interpreter may
            lie where that user cannot reach it.
        parent: The agent's process id: a bare workload whose parent is gone does not begin.
    """

    argv: tuple[str, ...]
    cwd: str
    limits: dict[str, tuple[int, int]]
    bare: bool
    tty: bool
    user: int | None
    parent: int

    def command(self) -> list[str]:
        """Return the command that starts the launcher."""
        return [sys.executable, "-I", "-S", "-c", SOURCE, json.dumps(asdict(self))]
