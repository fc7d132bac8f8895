"""The standard streams of a run: unbuffered, separate; the terminal is raw only while a workload has it."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import termios
import tty
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from assay.channel.client import Signal
from assay.errors import UsageError
from assay.leases import moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.leases.moments import Moment
    from assay.leases.signals import Relay

_DESCRIPTORS = {"stdout": 1, "stderr": 2}


class Streams:
    """This process's standard streams. A context manager that leaves the terminal as it was.

    Args:
        tty: Whether the workload gets the terminal.

    Raises:
        UsageError: ``cli.tty.missing`` when there is none to give.
    """

    def __init__(self, *, tty: bool) -> None:
        if tty and not os.isatty(0):
            raise UsageError("cli.tty.missing", "--tty needs a terminal on standard input.")
        self._tty = tty
        self._cooked: list[Any] | None = None
        self._broken: set[int] = set()
        self.stdin = 0 if _is_open(0) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def size(self) -> tuple[int, int]:
        """Return rows and columns of the terminal."""
        try:
            columns, rows = os.get_terminal_size(0)
        except OSError:
            return 24, 80
        return rows, columns

    def around(self, report: Callable[[Moment], None]) -> Callable[[Moment], None]:
        """Return ``report``, with the terminal raw from the start of the workload to whatever comes next."""

        def told(moment: Moment) -> None:
            self._restore()
            report(moment)
            if self._tty and isinstance(moment, moments.Started):
                sys.stderr.flush()
                self._cooked = termios.tcgetattr(0)
                tty.setraw(0)

        return told

    def _restore(self) -> None:
        if self._cooked is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, self._cooked)
            self._cooked = None

    def writer(self, relay: Relay) -> Callable[[str, bytes], None]:
        """Return what writes the workload's output; a reader that went away is told to the workload."""

        def write(stream: str, data: bytes) -> None:
            descriptor = _DESCRIPTORS[stream]
            if descriptor in self._broken:
                return
            try:
                if not _write_all(descriptor, data, relay):
                    self._broken.add(descriptor)
            except OSError:
                self._broken.add(descriptor)
                relay.put(Signal(signal.SIGPIPE))

        return write


def _write_all(descriptor: int, data: bytes, relay: Relay) -> bool:
    """Write all of it; False when the user no longer waits for a reader that takes nothing."""
    view = memoryview(data)
    at_once = len(data) if stat.S_ISREG(os.fstat(descriptor).st_mode) else select.PIPE_BUF
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if relay.urge is not None:
        poll.register(relay, select.POLLIN)
    while view:
        # A write that waits goes on waiting behind a signal, and the signal would wait with it.
        while descriptor not in {ready for ready, _ in poll.poll()}:
            if relay.urge is not None:
                relay.urge()
            if relay.release:
                return False
        with suppress(BlockingIOError):  # whoever shares the pipe made it non-blocking
            view = view[os.write(descriptor, view[:at_once]) :]
    return True


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
