"""The guest's own end: a deadline on its monotonic clock and an idle limit, whatever its connections do."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from assay.guest.clock import now

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.guest.agent import Agent

_CHECK_SECONDS = 0.5
_FAREWELL_SECONDS = 20.0


class Watchdog:
    """Ends a guest.

    Args:
        agent: The guest.
        end_process: Ends the process, whatever its other threads do. It is called after the guest has wiped
            itself, or after it has had ``farewell`` seconds to do so.
        farewell: Seconds.
    """

    def __init__(
        self, agent: Agent, end_process: Callable[[], None], farewell: float = _FAREWELL_SECONDS
    ) -> None:
        self._agent = agent
        self._end_process = end_process
        self._farewell = farewell

    def start(self) -> None:
        """Watch in a thread of its own."""
        threading.Thread(target=self.run, name="watchdog", daemon=True).start()

    def run(self) -> None:
        """Watch until the guest ends."""
        while not self._agent.ended.wait(_CHECK_SECONDS):
            if now() >= self._agent.deadline:
                self._end("deadline")
                return
            if (
                self._agent.attester.hardware_gone()
                or self._agent.idle_seconds() >= self._agent.config.idle_seconds
            ):
                self._end("stopped")
                return

    def _end(self, reason: str) -> None:
        # In another thread: wiping may wait for something, and the end must not.
        threading.Thread(target=self._agent.release, args=(reason,), name="release", daemon=True).start()
        self._agent.ended.wait(self._farewell)
        self._end_process()


def arm_kernel_alarm(seconds: float) -> None:
    """Have the kernel end this process after ``seconds``, even if no Python code can run any more."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
