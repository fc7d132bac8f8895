"""The workload's stdin: a bounded queue between the owner's session and a pipe or terminal."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from assay.channel.messages import STDIN_WINDOW
from assay.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Callable

END_OF_FILE = b"\x04"


class Feed:
    """Feeds one workload.

    Args:
        target: Descriptor to write to, owned from now on.
        tty: Whether it is the master of a terminal: its end of input is a character, and it is not closed.
        consumed: Told after each piece how many bytes more the owner may send.
    """

    __slots__ = ("_consumed", "_digest", "_ended", "_pieces", "_ready", "_target", "_tty", "_waiting", "size")

    def __init__(self, target: int, *, tty: bool, consumed: Callable[[int], None]) -> None:
        self._target = target
        self._tty = tty
        self._consumed = consumed
        self._digest = hashlib.sha256()
        self._pieces: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._ready = threading.Condition()
        self.size = 0

    def put(self, data: bytes) -> None:
        """Queue ``data``; it counts as sent, whether or not the workload reads it.

        Raises:
            ChannelError: ``channel.stdin.overrun`` when the owner sent more than it was allowed to.
        """
        with self._ready:
            if self._ended:
                return
            if self._waiting + len(data) > 2 * STDIN_WINDOW:
                raise ChannelError("channel.stdin.overrun", "More input was sent than was allowed for.")
            self._pieces.append(data)
            self._waiting += len(data)
            self._digest.update(data)
            self.size += len(data)
            self._ready.notify()

    def end(self) -> None:
        """Say that no more will come."""
        with self._ready:
            if not self._ended and self._tty:
                self._pieces.append(END_OF_FILE)
            self._ended = True
            self._ready.notify()

    def stop(self) -> None:
        """Drop what is queued: the workload is gone."""
        with self._ready:
            self._pieces.clear()
            self._waiting = 0
            self._ended = True
            self._ready.notify()

    def run(self) -> None:
        """Write the queue to the workload until its end; runs in a thread of its own."""
        open_ = True
        while (piece := self._next()) is not None:
            if open_:
                try:
                    _write_all(self._target, piece)
                except OSError:  # the workload closed its input; what follows is dropped, not an error
                    open_ = False
            with self._ready:
                self._waiting = max(0, self._waiting - len(piece))
            self._consumed(len(piece))
        with suppress(OSError):
            os.close(self._target)

    def digest(self) -> bytes:
        """Return the SHA-256 of everything sent, 32 bytes."""
        return self._digest.digest()

    def _next(self) -> bytes | None:
        with self._ready:
            while not self._pieces and not self._ended:
                self._ready.wait()
            return self._pieces.popleft() if self._pieces else None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
