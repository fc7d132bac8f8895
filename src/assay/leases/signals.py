"""Signals of a run: before the workload they stop it, while it runs they are its own, afterwards they wait.

Before there is a workload, a signal raises ``SignalledError`` where that is caught, and the machine is given
back. While the workload runs, each goes to it; the second that asks to end kills it, the third hangs up.
While outputs come back, the first hangs up. A machine that is being released is not left: signals are
remembered then, and nothing else.
"""

from __future__ import annotations

import os
import signal
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Self

from assay.channel.client import Detach, Resize, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PASSED_ON: Final = (signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_KILL_AT: Final = 2
_HANG_UP_AT: Final = 3


class SignalledError(KeyboardInterrupt):
    """A signal arrived while nothing could be done with it but to stop.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Mode(Enum):
    DEFER = auto()
    RAISE = auto()
    FORWARD = auto()
    CUT = auto()
    HOLD = auto()


class Relay:
    """Takes this process's signals for the length of a ``with`` block; a ``Control`` of a session.

    A signal that this process was started to ignore stays ignored.

    Args:
        size: Returns rows and columns of the terminal; None without one.

    Attributes:
        received: The first signal that asked to end; None before one did.
        release: Whether the user asked to release the machine, whatever else was asked for.
        hang_up: Called when the user does not want to wait any longer.
        urge: Has the session take what came at once, when its loop waits for a reader of the output.
        cut_by: The signal that hung up after ``cut``; None as long as none did.
        leaves: Whether a closed terminal leaves the workload running, because it ran without one before.
    """

    def __init__(self, size: Callable[[], tuple[int, int]] | None) -> None:
        self.received: int | None = None
        self.release = False
        self.hang_up: Callable[[], None] | None = None
        self.urge: Callable[[], None] | None = None
        self.cut_by: int | None = None
        self.leaves = False
        self._size = size
        self._mode = _Mode.DEFER
        self._asked = 0
        self._waiting: list[Signal | Resize | Detach] = []
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        numbers = [*_ENDING, *_PASSED_ON, *([signal.SIGWINCH] if self._size else [])]
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, and jobs in a shell's background
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned before
        os.close(self._read)
        os.close(self._write)

    def arm(self) -> None:
        """From now on a signal raises; one that came before does so at once.

        Raises:
            SignalledError: When one came already.
        """
        self._mode = _Mode.RAISE
        if self.received is not None:
            self._mode = _Mode.HOLD
            raise SignalledError(self.received)

    def forward(self) -> None:
        """From now on signals are the workload's."""
        self._mode = _Mode.FORWARD

    def cut(self) -> None:
        """From now on the first signal that asks to end hangs up."""
        self._mode = _Mode.CUT

    def hold(self) -> None:
        """From now on signals are remembered only."""
        self._mode = _Mode.HOLD

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``take`` has something."""
        return self._read

    def take(self) -> Sequence[Signal | Resize | Detach]:
        """Return what came since, without waiting."""
        try:
            while os.read(self._read, 64):
                pass
        except BlockingIOError:
            pass
        waiting, self._waiting = self._waiting, []
        return waiting

    def put(self, wish: Signal | Resize | Detach) -> None:
        """Queue something for the workload."""
        self._waiting.append(wish)
        try:
            os.write(self._write, b"\0")
        except BlockingIOError:
            return  # full, therefore readable

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGWINCH:
            if self._size is not None and self._mode is _Mode.FORWARD:
                self.put(Resize(*self._size()))
            return
        if number in _ENDING:
            self.received = self.received or number
            self._asked += 1
        if self._mode is _Mode.RAISE and number in _ENDING:
            self._mode = _Mode.HOLD
            raise SignalledError(number)
        if self._mode is _Mode.FORWARD:
            self._pass_on(number)
        if self._mode is _Mode.CUT and number in _ENDING and self.hang_up is not None:
            self._mode = _Mode.HOLD
            self.cut_by = number
            self.hang_up()

    def _pass_on(self, number: int) -> None:
        if number == signal.SIGHUP and self.leaves:
            self.put(Detach())
            return
        if number not in _ENDING or self._asked < _KILL_AT:
            self.put(Signal(number))
            return
        self.release = True
        self.put(Signal(signal.SIGKILL))
        if self._asked >= _HANG_UP_AT and self.hang_up is not None:
            self.hang_up()
