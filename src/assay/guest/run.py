"""One execution: the workload, its streams, its limits, its end and what is stated about it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.channel.messages import Exit, RunRequest
from assay.errors import AssayError, GuestError, WorkloadError
from assay.guest import terminal
from assay.guest.clock import now
from assay.guest.feed import Feed
from assay.guest.spool import Spool
from assay.workload.bundle import BundleLimits
from assay.workload.meter import INTERVAL_SECONDS, Meter
from assay.workload.sandbox import Streams, find_program
from assay.workload.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.workload.confined import Confined
    from assay.workload.manifest import Manifest
    from assay.workload.sandbox import Sandbox

STOP_SECONDS = 15.0
_CODES = {"not_found": 127, "not_executable": 126}


@dataclass(frozen=True, slots=True)
class Order:
    """What to execute.

    Attributes:
        sequence: Number of the execution within the lease.
        manifest: Its manifest.
        work: The bundle's directory.
        request: Environment, stdin and terminal.
        deadline: When the guest ends, on the guest's clock.
    """

    sequence: int
    manifest: Manifest
    work: Path
    request: RunRequest
    deadline: float


class Run:
    """One execution.

    Args:
        order: What to execute.
        sandbox: Where.
        private: The agent's own directory.
        on_end: Called in the execution's thread after everything of the workload is gone.

    Attributes:
        changed: Notified whenever something was written, and at the end.
        exit: How it ended, None while it has not.
        detached: Whether it outlives its owner's connection.
        outputs: The wanted outputs, once it ended.
        started_at: Milliseconds since 1970 by this machine's clock.
        ended_at: Likewise.
    """

    def __init__(
        self, order: Order, sandbox: Sandbox, private: Path, on_end: Callable[[Run, Exit], None]
    ) -> None:
        self.order = order
        self.changed = threading.Condition()
        self.stdout = Spool(private, self.changed)
        self.stderr = Spool(private, self.changed)
        self.exit: Exit | None = None
        self.detached = False
        self.outputs: Snapshot | None = None
        self.started_at = self.ended_at = 0
        self._sandbox = sandbox
        self._on_end = on_end
        self._room = order.manifest.limits.output_bytes
        self._reason: str | None = None
        self._confined: Confined | None = None
        self._feed: Feed | None = None
        self._master = -1
        self._closed = False
        self._controllers = self._followers = 0
        self._granted: Callable[[int], None] = _nobody
        self._thread = threading.Thread(target=self._execute, name="workload", daemon=True)
        self._begun = threading.Event()

    def start(self) -> None:
        """Start the workload; its own thread stays with it until everything of it is gone.

        Raises:
            GuestError: ``guest.phase.refused`` when the guest was released meanwhile.
        """
        with self.changed:
            if self._closed:
                raise GuestError("guest.phase.refused", "The guest was released.")
            self._thread.start()
        self._begun.wait()

    def take_control(self, granted: Callable[[int], None]) -> None:
        """Make ``granted`` the one that is told how much more stdin may be sent."""
        with self.changed:
            self._granted = granted
            self._controllers += 1

    def leave_control(self, granted: Callable[[int], None]) -> None:
        """Undo ``take_control``."""
        with self.changed:
            self._controllers -= 1
            if self._granted == granted:
                self._granted = _nobody

    def add_follower(self, change: int) -> None:
        """Count the sessions that still have something of this execution to send."""
        with self.changed:
            self._followers += change
            self.changed.notify_all()

    def wait_told(self, seconds: float) -> None:
        """Wait at most so long until every session that follows has sent the end."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while self._followers and (left := deadline - time.monotonic()) > 0:
                self.changed.wait(left)

    def end_unless_controlled(self, grace: float) -> None:
        """End it in ``grace`` seconds, unless it ends or a session takes control of it before."""
        if self.wait(grace) is None:
            with self.changed:
                gone = self._controllers == 0 and not self.detached
            if gone:
                self.stop("client_gone")

    def put_stdin(self, data: bytes) -> None:
        """Pass bytes to the workload's stdin.

        Raises:
            ChannelError: ``channel.stdin.overrun``.
        """
        if self._feed is not None:
            self._feed.put(data)

    def end_stdin(self) -> None:
        """End the workload's stdin."""
        if self._feed is not None:
            self._feed.end()

    def signal(self, number: int) -> None:
        """Send the workload a signal.

        Raises:
            WorkloadError: ``workload.signal.refused``.
        """
        if self._confined is not None and self.exit is None:
            self._confined.signal(number)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the workload's terminal its size."""
        with self.changed:
            if self._master >= 0:
                terminal.resize(self._master, rows, columns)

    def stop(self, reason: str) -> None:
        """Have the workload ended for ``reason``; the first reason counts."""
        with self.changed:
            self._reason = self._reason or reason
            self.changed.notify_all()

    def wait(self, seconds: float) -> Exit | None:
        """Wait at most so long for the end; return it, or None."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while self.exit is None and (left := deadline - time.monotonic()) > 0:
                self.changed.wait(left)
            return self.exit

    def close(self) -> None:
        """End it if it runs, and drop what it wrote."""
        self.stop("stopped")
        with self.changed:
            self._closed = True
            started = self._thread.ident is not None
        if started:
            self._thread.join(STOP_SECONDS)
        self.stdout.close()
        self.stderr.close()
        if self.outputs is not None:
            self.outputs.close()

    def stdin_digest(self) -> tuple[bytes, int]:
        """Return SHA-256 and length of what was sent to the workload's stdin."""
        feed = self._feed
        return (feed.digest(), feed.size) if feed else (_EMPTY, 0)

    def _execute(self) -> None:
        self.started_at = time.time_ns() // 1_000_000
        code = signal = None
        missing = find_program(self.order.manifest, self.order.work, self._sandbox.rung)
        if missing:
            self._reason, code = missing, _CODES[missing]
            self._nothing_written()
        else:
            try:
                code, signal = self._confine()
            except (AssayError, OSError):
                self._reason = "failed"
                self._nothing_written()
        self._begun.set()
        self._conclude(code, signal)

    def _nothing_written(self) -> None:
        self.stdout.finish()
        self.stderr.finish()

    def _confine(self) -> tuple[int | None, int | None]:
        opened, threads = self._open_streams()
        self._begun.set()
        confined = self._confined
        if confined is None:
            raise WorkloadError("workload.sandbox.failed", "The workload could not be started.")
        self._watch(confined)
        ended = confined.end()
        if self._feed is not None:
            self._feed.stop()
        for thread in threads:
            thread.join()
        with self.changed:
            self._master = -1
        opened.close_outputs()
        if self._reason is None and ended.code is None and ended.signal is None:
            self._reason = "failed"
        return ended.code, ended.signal

    def _open_streams(self) -> tuple[terminal.Opened, list[threading.Thread]]:
        """Start the workload with its streams, and a thread for each of them."""
        manifest, request = self.order.manifest, self.order.request
        opened = terminal.open_terminal(request) if manifest.tty else terminal.open_pipes(stdin=request.stdin)
        try:
            self._confined = self._sandbox.start(
                manifest, request.environment, self.order.work, Streams(*opened.child)
            )
        except BaseException:
            opened.close()
            raise
        finally:
            opened.close_child()
        self._master = opened.master
        jobs: list[Callable[[], None]] = [
            lambda: self.stdout.fill(opened.stdout, self._take_room, self._no_space)
        ]
        if opened.stderr >= 0:
            jobs.append(lambda: self.stderr.fill(opened.stderr, self._take_room, self._no_space))
        else:
            self.stderr.finish()
        if opened.stdin >= 0:
            self._feed = Feed(opened.stdin, tty=manifest.tty, consumed=self._grant)
            jobs.append(self._feed.run)
        threads = [threading.Thread(target=job, name="stream", daemon=True) for job in jobs]
        for thread in threads:
            thread.start()
        return opened, threads

    def _grant(self, size: int) -> None:
        self._granted(size)

    def _watch(self, confined: Confined) -> None:
        """Stay with the workload until it ends or one of its limits does it."""
        limits = self.order.manifest.limits
        meter = Meter(limits, self.order.work, confined.root)
        until = min(now() + limits.time_seconds, self.order.deadline)
        interval = 0.02
        while self._reason is None and not confined.wait(interval):
            interval = min(INTERVAL_SECONDS, interval * 2)
            if now() >= until:
                self.stop("deadline" if until == self.order.deadline else "time_limit")
            elif exceeded := meter.exceeded():
                self.stop(exceeded)

    def _take_room(self, wanted: int) -> int:
        with self.changed:
            kept = min(wanted, self._room)
            self._room -= kept
        if kept < wanted:
            self.stop("output_limit")
        return kept

    def _no_space(self) -> None:
        self.stop("disk_limit")

    def _conclude(self, code: int | None, signal: int | None) -> None:
        order = self.order
        with suppress(AssayError, OSError):
            self.outputs = Snapshot.scan(
                order.work,
                [path.encode() for path in order.manifest.outputs],
                BundleLimits(total_bytes=order.manifest.limits.disk_bytes),
                strict=False,
                links=False,
            )
        self.ended_at = time.time_ns() // 1_000_000
        natural = "signalled" if signal is not None else "exited"
        ended = Exit(
            sequence=order.sequence,
            reason=self._reason or natural,
            code=code,
            signal=signal,
            stdout_bytes=self.stdout.size,
            stderr_bytes=self.stderr.size,
        )
        # The receipt is made before anybody can learn of the end, so that whoever does can have it.
        self._on_end(self, ended)
        with self.changed:
            self.exit = ended
            self.changed.notify_all()


def _nobody(_: int) -> None:
    """Nobody is connected who could be told."""


_EMPTY = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
