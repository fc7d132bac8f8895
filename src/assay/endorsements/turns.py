"""Whose turn it is to ask a host: no faster than its pace, never before it said, in all processes together.

One small file for each host holds the time of the next turn, by the clock of the machine, in a directory that
all processes share. Without a directory, and while the disk is full, the turns are those of one process.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assay.endorsements import private
from assay.errors import EndorsementError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.endorsements.surroundings import Surroundings

LONGEST_SECONDS: Final = 3600.0
"""A next turn that lies further ahead was written under another clock, or is not believed."""
_DIGITS: Final = 32


@dataclass(slots=True)
class Turns:
    """The turns at every host. Safe to share between threads, and through the directory between processes.

    Args:
        surroundings: The clock.
        directory: A directory of ours alone, made when it is not there; None for this process alone.

    Raises:
        EndorsementError: ``endorsements.cache.exposed``, ``endorsements.cache.unusable``.
    """

    surroundings: Surroundings
    directory: Path | None
    _next: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.directory is not None:
            private.prepare_directory(self.directory)

    def take(self, host: str, *, pace: float, patience: float) -> float:
        """Take the next turn and return the seconds until then; turns are taken in the order of asking.

        Args:
            host: Host, with its port where it is not the usual one.
            pace: The least time between two turns, seconds.
            patience: How long a wait may be, seconds.

        Raises:
            EndorsementError: ``endorsements.http.rate_limited`` when the turn comes later; it is not taken.
        """
        now = self._now()
        with self._open(host) as book:
            turn = max(now, book.read(now))
            if turn - now > patience:
                raise EndorsementError(
                    "endorsements.http.rate_limited",
                    f"{host} asked to be left alone for {turn - now:.0f} more seconds.",
                    action="Try again later.",
                    host=host,
                )
            book.write(turn + pace)
        return turn - now

    def hold(self, host: str, seconds: float) -> None:
        """Let nobody ask a host for so many seconds, an hour at most."""
        now = self._now()
        with self._open(host) as book:
            book.write(max(book.read(now), now + min(seconds, LONGEST_SECONDS)))

    def _now(self) -> float:
        return self.surroundings.now().timestamp()

    @contextmanager
    def _open(self, host: str) -> Iterator[_Book]:
        with self._lock:
            turn = self._next.get(host, 0.0)
            if self.directory is None:
                book = _Book(None, turn)
                yield book
                self._next[host] = book.turn
                return
            path = self.directory / hashlib.sha256(host.encode()).hexdigest()
            with private.used(path):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with private.used(path):
                    fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for two system calls, by whoever holds it
                book = _Book(descriptor, turn)
                yield book
                self._next[host] = book.turn
            finally:
                os.close(descriptor)


@dataclass(slots=True)
class _Book:
    """The time of one host's next turn, seconds since 1970.

    Attributes:
        descriptor: Of a file of digits that holds it; None when there is none.
        turn: What no file holds; zero when one does.
    """

    descriptor: int | None
    turn: float

    def read(self, now: float) -> float:
        found = [self.turn]
        if self.descriptor is not None:
            text = os.pread(self.descriptor, _DIGITS, 0)
            found.append(int(text) / 1000 if text.isdigit() and len(text) < _DIGITS else 0.0)
        return max(turn if turn <= now + LONGEST_SECONDS else 0.0 for turn in found)

    def write(self, turn: float) -> None:
        self.turn = turn
        if self.descriptor is not None:
            text = str(int(turn * 1000)).encode("ascii")
            with suppress(OSError):  # a full disk takes away what other processes know, not the turn
                os.pwrite(self.descriptor, text, 0)
                os.ftruncate(self.descriptor, len(text))
                self.turn = 0.0
