"""What an owner can ask of an admitted guest. One thread at a time uses a session."""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, Self

from assay.channel import messages
from assay.channel.binding import NONCE_BYTES, Purpose, SessionBinding
from assay.channel.frames import CHUNK_BYTES, Frame, Kind, malformed
from assay.channel.messages import AttachRequest, Exit, RunRequest, Status
from assay.channel.offer import Offered, require_proof, require_purpose
from assay.errors import ChannelError
from assay.workload.receive import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from assay.channel.stream import TlsStream
    from assay.workload.bundle import BundleLimits, Listing


# For the rest of a message whose first bytes are here, over a slow line.
_FRAME_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Signal:
    """Deliver signal ``number`` to the workload's processes."""

    number: int


@dataclass(frozen=True, slots=True)
class Resize:
    """The terminal has this many ``rows`` and ``columns`` now."""

    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Detach:
    """Let the workload go on without this session."""


class Control(Protocol):
    """Where signals, terminal sizes and the wish to detach come from while a workload runs."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``take`` has something."""

    def take(self) -> Sequence[Signal | Resize | Detach]:
        """Return what came since, without waiting."""


class OwnerSession:
    """An admitted session; made by ``client.open_session``.

    Attributes:
        binding: The admission binding that the Evidence was appraised against.
        offered: The Evidence that was appraised.
        start: The start Evidence and its binding, once appraised.
    """

    __slots__ = ("_follower", "_stream", "_timeout", "binding", "offered", "start")

    def __init__(self, stream: TlsStream, binding: SessionBinding, offered: Offered, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout
        self._follower: _Follower | None = None
        self.binding = binding
        self.offered = offered
        self.start: tuple[Offered, SessionBinding] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the guest ends a running workload that was not detached after a grace."""
        self._stream.close()

    def send_bundle(
        self,
        manifest: bytes,
        stream: Iterable[bytes],
        size: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Send the manifest and the bundle; return when the guest has compared the one with the other.

        Args:
            manifest: Canonical bytes of the manifest whose digest opened this session.
            stream: The bundle as ``Snapshot.stream`` yields it.
            size: How many bytes that is, for ``progress`` alone.
            progress: Called with bytes sent and ``size`` after each piece.

        Raises:
            ChannelError: The guest refused (its own code), or the connection failed.
            WorkloadError: ``workload.bundle.changed`` from ``stream``.
        """
        self._send(Kind.MANIFEST, manifest)
        sent = 0
        refused: Frame | None = None
        for piece in stream:
            for start in range(0, len(piece), CHUNK_BYTES):
                self._send(Kind.CHUNK, piece[start : start + CHUNK_BYTES])
            sent += len(piece)
            if progress is not None:
                progress(sent, size)
            if self._answered():
                refused = self._stream.read_frame(messages.DONE, self._deadline())
                break
        self._send(Kind.BUNDLE_END, b"")
        self._expect(refused or self._stream.read_frame(messages.DONE, self._deadline()), Kind.DONE)

    def start_evidence(
        self, nonce: bytes, appraise: Callable[[Offered, SessionBinding], None]
    ) -> SessionBinding:
        """Have the guest measure manifest and bundle and prove it; return the binding that was appraised.

        Args:
            nonce: 32 bytes, another one than the admission's, recorded as used before this call.
            appraise: As in ``open_session``.

        Raises:
            ChannelError: The guest refused, ``channel.evidence.purpose``, ``channel.evidence.session`` when
                it names another key than at admission, ``channel.receipt_key.unproven``.
            AssayError: Whatever ``appraise`` raised.
        """
        if len(nonce) != NONCE_BYTES or nonce == self.binding.nonce:
            raise ChannelError("channel.nonce.reused", "The start needs a nonce of its own.")
        self._send(Kind.START, nonce)
        answer = self._stream.read_frame(messages.OFFER, self._deadline())
        offered = Offered.decode(self._expect(answer, Kind.OFFER))
        binding = replace(self.binding, purpose=Purpose.START, nonce=nonce)
        named = (offered.lease, offered.platform, offered.channel_key, offered.receipt_key)
        if named != (binding.lease, binding.platform, binding.channel_key, binding.receipt_key):
            raise ChannelError(
                "channel.evidence.session", "The start Evidence names another session than the admission."
            )
        others = (self.binding, replace(binding, purpose=Purpose.RELEASE))
        require_purpose(offered, Purpose.START, others)
        require_proof(offered.proof, binding)
        appraise(offered, binding)
        self.start = (offered, binding)
        return binding

    def launch(self, environment: Mapping[str, bytes], *, stdin: bool, size: tuple[int, int] = (0, 0)) -> int:
        """Start the workload and return its sequence number; ``follow`` or ``detach`` comes next.

        Args:
            environment: Values for names that the manifest has.
            stdin: Whether stdin will be sent.
            size: Rows and columns of the terminal.

        Raises:
            ChannelError: ``channel.start.missing`` before start Evidence was appraised; the guest's refusals.
        """
        if self.start is None:
            raise ChannelError("channel.start.missing", "Nothing runs before start Evidence was appraised.")
        self._send(Kind.RUN, RunRequest(environment, stdin, *size).encode())
        answer = self._stream.read_frame(messages.STARTED, self._deadline())
        return messages.decode_started(self._expect(answer, Kind.STARTED))

    def run(
        self,
        environment: Mapping[str, bytes],
        *,
        on_output: Callable[[str, int, bytes], None],
        stdin: int | None,
        control: Control | None,
        size: tuple[int, int] = (0, 0),
    ) -> Exit | None:
        """Start the workload and stay with it; ``launch`` and ``follow`` in one.

        Returns:
            How it ended, or None after a ``Detach`` from ``control``.
        """
        self.launch(environment, stdin=stdin is not None, size=size)
        return self.follow(on_output=on_output, stdin=stdin, control=control)

    def attach(
        self,
        offsets: tuple[int, int],
        *,
        on_output: Callable[[str, int, bytes], None],
        stdin: int | None = None,
        control: Control | None = None,
    ) -> Exit | None:
        """Join the running or ended workload, from these offsets of stdout and stderr.

        Returns:
            How it ended, or None after a ``Detach`` from ``control``.
        """
        self._ask_attach(AttachRequest(*offsets, follow=True, control=True))
        return self.follow(on_output=on_output, stdin=stdin, control=control)

    def logs(
        self, offsets: tuple[int, int], *, on_output: Callable[[str, int, bytes], None], follow: bool
    ) -> Exit | None:
        """Read what the workload wrote, from these offsets, without taking control of it.

        Returns:
            How it ended, or None when it has not and ``follow`` is False.
        """
        self._ask_attach(AttachRequest(*offsets, follow=follow, control=False))
        return self.follow(on_output=on_output, stdin=None, control=None)

    def follow(
        self, *, on_output: Callable[[str, int, bytes], None], stdin: int | None, control: Control | None
    ) -> Exit | None:
        """Pass output, stdin and signals until the workload ends.

        Args:
            on_output: Called with ``stdout`` or ``stderr``, the offset of the first byte, and the bytes.
            stdin: A descriptor to read from, or None.
            control: Where signals come from, or None.

        Returns:
            How it ended, or None after a ``Detach``, or at the end of the output that was asked for.
        """
        self._follower = _Follower(self._stream, on_output, stdin, control, self._timeout)
        try:
            return self._follower.run()
        finally:
            self._follower = None

    def urge(self) -> None:
        """Pass on now what came from ``control``: for an ``on_output`` that waits and cannot return yet."""
        if self._follower is not None:
            self._follower.urge()

    def detach(self) -> None:
        """Let the workload, started in this session, outlive it."""
        self._send(Kind.DETACH, b"")
        allowed = messages.EVENTS
        while (answer := self._stream.read_frame(allowed, self._deadline())).kind is not Kind.DONE:
            if answer.kind is Kind.ERROR:
                raise messages.decode_error(answer.body)

    def status(self) -> Status:
        """Return what the guest is doing."""
        self._send(Kind.STATUS, b"")
        answer = self._stream.read_frame(messages.STATE, self._deadline())
        return messages.decode_status(self._expect(answer, Kind.STATE))

    def wait(self, timeout: float | None = None) -> Exit:
        """Return how the workload ended, after it has.

        Args:
            timeout: Seconds to wait for that; None for as long as the guest lives.

        Raises:
            ChannelError: ``channel.peer.timeout``; the session cannot be used any more then.
        """
        self._send(Kind.WAIT, b"")
        deadline = None if timeout is None else time.monotonic() + timeout
        answer = self._stream.read_frame(messages.EXIT, deadline)
        return messages.decode_exit(self._expect(answer, Kind.EXIT))

    def download(self, target: Path, limits: BundleLimits) -> Listing:
        """Receive the wanted outputs of the ended workload into the new directory ``target``.

        Raises:
            ChannelError: The guest refused, or the connection failed.
            WorkloadError: ``workload.bundle.*``, ``workload.path.unsafe``: nothing is left then.
        """
        receiver = Receiver(target, limits, expected=None, links=False)
        try:
            self._send(Kind.DOWNLOAD, b"")
            for part in self._parts():
                receiver.feed(part)
            return receiver.finish()
        except BaseException:  # an interrupt too leaves no half of a directory behind
            receiver.abandon()
            raise

    def receipt(self) -> bytes:
        """Return the receipt of the last execution, to be verified with the key in its start binding."""
        self._send(Kind.RECEIPT, b"")
        answer = self._stream.read_frame(messages.SIGNED, self._deadline())
        return self._expect(answer, Kind.SIGNED)

    def release(self) -> None:
        """Have the guest end whatever runs, wipe what it holds, and exit; the session is over."""
        self._send(Kind.RELEASE, b"")
        answer = self._stream.read_frame(messages.DONE, self._deadline())
        self._expect(answer, Kind.DONE)
        self.close()

    def _parts(self) -> Iterator[bytes]:
        while True:
            answer = self._stream.read_frame(messages.PARTS, self._deadline())
            if answer.kind is Kind.PARTS_END:
                return
            yield self._expect(answer, Kind.PART)

    def _ask_attach(self, request: AttachRequest) -> None:
        self._send(Kind.ATTACH, request.encode())
        self._expect(self._stream.read_frame(messages.STARTED, self._deadline()), Kind.STARTED)

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout

    def _send(self, kind: Kind, body: bytes) -> None:
        self._stream.send_frame(kind, body, self._deadline())

    def _answered(self) -> bool:
        return self._stream.buffered() or bool(select.select([self._stream], [], [], 0)[0])

    def _expect(self, answer: Frame, kind: Kind) -> bytes:
        if answer.kind is Kind.ERROR:
            raise messages.decode_error(answer.body)
        if answer.kind is not kind:
            raise malformed("it is not the answer that was asked for")
        return answer.body


class _Follower:
    """Passes output, stdin and signals of one workload."""

    def __init__(
        self,
        stream: TlsStream,
        on_output: Callable[[str, int, bytes], None],
        stdin: int | None,
        control: Control | None,
        timeout: float,
    ) -> None:
        self._timeout = max(timeout, _FRAME_SECONDS)
        self._stream = stream
        self._on_output = on_output
        self._stdin = stdin
        self._control = control
        self._credit = messages.STDIN_WINDOW
        self._detaching = False

    def run(self) -> Exit | None:
        # A wish to detach may cross the workload's end; it is answered all the same, and the end is not lost.
        ended: Exit | None = None
        while True:
            ready = self._ready()
            if self._stream.fileno() in ready:
                # Something of it is here; a guest that keeps the rest to itself must not hold us for ever.
                deadline = time.monotonic() + self._timeout
                answer = self._stream.read_frame(messages.EVENTS, deadline)
                if answer.kind is Kind.EXIT:
                    ended = messages.decode_exit(answer.body)
                    if not self._detaching:
                        return ended
                elif answer.kind in (Kind.DONE, Kind.STATE):
                    return ended
                else:
                    self._take(answer)
            if self._control is not None and self._control.fileno() in ready:
                self._obey(self._control.take())
            if self._stdin is not None and self._stdin in ready:
                self._pass_stdin(self._stdin)

    def urge(self) -> None:
        if self._control is not None:
            self._obey(self._control.take())

    def _ready(self) -> set[int]:
        found = {self._stream.fileno()} if self._stream.buffered() else set()
        poller = select.poll()
        poller.register(self._stream, select.POLLIN)
        if self._control is not None:
            poller.register(self._control, select.POLLIN)
        if self._stdin is not None and self._credit:
            poller.register(self._stdin, select.POLLIN)
        return found | {descriptor for descriptor, _ in poller.poll(0 if found else None)}

    def _take(self, answer: Frame) -> None:
        if answer.kind is Kind.ERROR:
            raise messages.decode_error(answer.body)
        if answer.kind is Kind.CREDIT:
            if len(answer.body) != messages.CREDIT.size:
                raise malformed("a credit has another size")
            granted = messages.CREDIT.unpack(answer.body)[0]
            self._credit = min(messages.STDIN_WINDOW, self._credit + granted)
            return
        if len(answer.body) < messages.OUTPUT_HEAD.size:
            raise malformed("an output has no head")
        number, offset = messages.OUTPUT_HEAD.unpack_from(answer.body)
        if number not in messages.STREAMS:
            raise malformed("an output is of an unknown stream")
        self._on_output(messages.STREAMS[number], offset, answer.body[messages.OUTPUT_HEAD.size :])

    def _obey(self, wishes: Sequence[Signal | Resize | Detach]) -> None:
        for wish in wishes:
            if isinstance(wish, Signal):
                self._stream.send_frame(Kind.SIGNAL, bytes([wish.number]), None)
            elif isinstance(wish, Resize):
                self._stream.send_frame(Kind.WINDOW, messages.WINDOW.pack(wish.rows, wish.columns), None)
            elif not self._detaching:
                self._detaching = True
                self._stream.send_frame(Kind.DETACH, b"", None)

    def _pass_stdin(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, min(self._credit, messages.STDIN_CHUNK))
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal that went away reads as an error; for the workload it is the end of input
        if data:
            self._credit -= len(data)
            self._stream.send_frame(Kind.STDIN, data, None)
        else:
            self._stdin = None
            self._stream.send_frame(Kind.STDIN_END, b"", None)
