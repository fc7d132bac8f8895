"""The standard streams of a workload: three pipes, or one terminal."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.channel.messages import RunRequest


@dataclass(frozen=True, slots=True)
class Opened:
    """Both ends of a workload's streams, as descriptors; -1 where there is none.

    Attributes:
        child: stdin, stdout and stderr of the workload.
        stdin: Where the agent writes.
        stdout: Where it reads.
        stderr: Where it reads; a terminal has none.
        master: The terminal, for its size; owned by ``stdout``.
    """

    child: tuple[int, int, int]
    stdin: int
    stdout: int
    stderr: int
    master: int

    def close_child(self) -> None:
        """Close the workload's ends, so that their end is noticed."""
        _close(*self.child)

    def close_outputs(self) -> None:
        """Close what the agent reads, once the workload has ended."""
        _close(self.stdout, self.stderr)

    def close(self) -> None:
        """Close the agent's ends."""
        _close(self.stdin, self.stdout, self.stderr)


def open_pipes(*, stdin: bool) -> Opened:
    """Return three pipes; without ``stdin`` the workload reads nothing at all."""
    if stdin:
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
    else:
        read_end, write_end = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1
    stdout, stdout_child = os.pipe2(os.O_CLOEXEC)
    stderr, stderr_child = os.pipe2(os.O_CLOEXEC)
    return Opened((read_end, stdout_child, stderr_child), write_end, stdout, stderr, -1)


def open_terminal(request: RunRequest) -> Opened:
    """Return a terminal of the size that was asked for."""
    master, slave = os.openpty()
    if request.rows and request.columns:
        resize(master, request.rows, request.columns)
    stdin = os.dup(master) if request.stdin else -1
    return Opened((slave, slave, slave), stdin, master, -1, master)


def resize(master: int, rows: int, columns: int) -> None:
    """Set the size of a terminal; the kernel tells its foreground processes."""
    with suppress(OSError):
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _close(*descriptors: int) -> None:
    for descriptor in set(descriptors):
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)
