"""A session that stays with a workload: output goes out while stdin, signals and sizes come in."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from assay.channel import messages
from assay.channel.frames import CHUNK_BYTES, Frame, Kind, malformed
from assay.errors import ChannelError, WorkloadError

if TYPE_CHECKING:
    from assay.channel.stream import TlsStream
    from assay.guest.run import Run

_CHECK_SECONDS = 1.0


class Following:
    """One session following one workload; a slow reader can still signal, for output has its own thread.

    Args:
        stream: The TLS session.
        run: The workload.
        offsets: Where in stdout and stderr to begin; None to send no output, only the end.
        control: Whether this session passes stdin, signals and sizes, and is missed when it is lost.

    Attributes:
        over: Whether the end was sent, or is about to be: what comes now is a command again.
    """

    def __init__(
        self, stream: TlsStream, run: Run, *, offsets: tuple[int, int] | None, control: bool
    ) -> None:
        self.over = False
        self._stream = stream
        self._run = run
        self._control = control
        self._left = threading.Event()
        self._output = _Output(stream, run, offsets)
        if control:
            run.take_control(self._grant)
        run.add_follower(1)
        self._thread = threading.Thread(target=self._send, name="output", daemon=True)
        self._thread.start()

    def steer(self, frame: Frame) -> None:
        """Pass what the owner sent on to the workload.

        Raises:
            ChannelError: ``channel.message.malformed``, ``channel.stdin.overrun``.
        """
        if not self._control:
            return
        if frame.kind is Kind.STDIN:
            self._run.put_stdin(frame.body)
        elif frame.kind is Kind.STDIN_END:
            self._run.end_stdin()
        elif frame.kind is Kind.SIGNAL:
            if len(frame.body) != 1:
                raise malformed("a signal has another size")
            with suppress(WorkloadError):  # one that is not passed on changes nothing
                self._run.signal(frame.body[0])
        elif len(frame.body) == messages.WINDOW.size:
            self._run.resize(*messages.WINDOW.unpack(frame.body))
        else:
            raise malformed("a terminal's size has another size")

    def detach(self) -> None:
        """Stop following; the workload outlives this session from now on."""
        if self._control:
            self._run.detached = True
        self._stop()

    def finish(self) -> None:
        """Wait until the end has been sent, after ``over``."""
        self._stop()

    def leave(self, grace: float) -> None:
        """The connection is lost: stop following, and end the workload if nobody takes control of it in time.

        Args:
            grace: Seconds that are left for that.
        """
        self._stop()
        if self._control:
            threading.Thread(target=self._run.end_unless_controlled, args=(grace,), daemon=True).start()

    def _stop(self) -> None:
        self._left.set()
        with self._run.changed:
            self._run.changed.notify_all()
        self._thread.join()
        if self._control:
            self._run.leave_control(self._grant)

    def _send(self) -> None:
        try:
            self._send_until_end()
        finally:
            self._run.add_follower(-1)

    def _send_until_end(self) -> None:
        # What broke the connection is found by the thread that reads from it.
        with suppress(ChannelError):
            while not self._left.is_set():
                if self._output.send_some():
                    continue
                with self._run.changed:
                    ended = self._run.exit
                    if self._output.pending():
                        continue
                    if ended is None:
                        self._run.changed.wait(_CHECK_SECONDS)
                        continue
                self.over = True
                self._stream.send_frame(Kind.EXIT, messages.encode_exit(ended), None)
                return

    def _grant(self, size: int) -> None:
        with suppress(ChannelError):
            self._stream.send_frame(Kind.CREDIT, messages.CREDIT.pack(size), None)


def send_rest(stream: TlsStream, run: Run, offsets: tuple[int, int]) -> None:
    """Send what the workload wrote so far, from these offsets on.

    Raises:
        ChannelError: ``channel.peer.closed``.
    """
    output = _Output(stream, run, offsets)
    while output.send_some():
        pass


class _Output:
    """Where a session is in what a workload wrote."""

    def __init__(self, stream: TlsStream, run: Run, offsets: tuple[int, int] | None) -> None:
        self._stream = stream
        self._spools = ((1, run.stdout), (2, run.stderr)) if offsets is not None else ()
        self._offsets = dict(zip((1, 2), offsets or (0, 0), strict=True))

    def pending(self) -> bool:
        return any(spool.size > self._offsets[number] for number, spool in self._spools)

    def send_some(self) -> bool:
        """Send at most one piece of each stream; tell whether there was one."""
        sent = False
        for number, spool in self._spools:
            offset = self._offsets[number]
            if data := spool.read(offset, CHUNK_BYTES):
                self._stream.send_frame(Kind.OUTPUT, messages.OUTPUT_HEAD.pack(number, offset) + data, None)
                self._offsets[number] += len(data)
                sent = True
        return sent
