"""One owner's session inside the guest: commands in, answers out, until the connection ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from assay.channel import messages
from assay.channel.binding import NONCE_BYTES
from assay.channel.frames import CHUNK_BYTES, Frame, Kind, malformed
from assay.channel.messages import AttachRequest, RunRequest
from assay.errors import AssayError, ChannelError, GuestError
from assay.guest.agent import Agent, Delivery, Proven
from assay.guest.following import Following, send_rest

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.channel.stream import TlsStream
    from assay.guest.attester import Admission
    from assay.guest.run import Run
    from assay.workload.manifest import Manifest
    from assay.workload.receive import Receiver

# After these there is nobody to answer, or nothing that could be understood.
_LOST = frozenset(
    {
        "channel.peer.closed",
        "channel.peer.timeout",
        "channel.tls.broken",
        "channel.frame.unexpected",
        "channel.frame.oversized",
    }
)


class Session:
    """Serves one admitted owner; made for one connection and used by one thread.

    Args:
        agent: The guest.
        admission: What this session was admitted for.
        stream: The TLS session.
    """

    def __init__(self, agent: Agent, admission: Admission, stream: TlsStream) -> None:
        self._agent = agent
        self._admission = admission
        self._stream = stream
        self._delivery: Delivery | None = None
        self._proven: Proven | None = None
        self._spent = False
        self._following: Following | None = None
        self._commands: dict[Kind, Callable[[bytes], None]] = {
            Kind.MANIFEST: self._take_bundle,
            Kind.START: self._prove_start,
            Kind.RUN: self._run,
            Kind.ATTACH: self._attach,
            Kind.DETACH: self._detach,
            Kind.STATUS: self._status,
            Kind.WAIT: self._wait,
            Kind.DOWNLOAD: self._download,
            Kind.RECEIPT: self._receipt,
            Kind.RELEASE: self._release,
        }

    def serve(self) -> None:
        """Answer commands until the connection ends.

        Raises:
            ChannelError: How the connection ended.
        """
        try:
            self._send(Kind.READY, b"")
            while not self._agent.ended.is_set():
                frame = self._stream.read_frame(messages.COMMANDS, None)
                if self._following is not None and not self._following.over:
                    self._steer(self._following, frame)
                elif frame.kind in self._commands:
                    self._answer(self._commands[frame.kind], frame.body)
        finally:
            if self._following is not None:
                self._following.leave(self._agent.timing.grace)
            self._agent.abandon(self._admission)

    def _answer(self, command: Callable[[bytes], None], body: bytes) -> None:
        if self._following is not None:
            self._following.finish()  # the workload's end goes out before any answer that was asked for later
            self._following = None
        try:
            command(body)
        except AssayError as error:
            if error.code in _LOST:
                raise
            self._send(Kind.ERROR, messages.encode_error(error))

    def _steer(self, following: Following, frame: Frame) -> None:
        if frame.kind not in messages.FOLLOWING:
            raise ChannelError(
                "channel.frame.unexpected", "Another request came while the workload was running."
            )
        if frame.kind is Kind.DETACH:
            following.detach()
            self._detach(b"")
        else:
            following.steer(frame)

    def _detach(self, _: bytes) -> None:
        # Also after the workload's end, of which the owner could not know: every DETACH is answered.
        self._following = None
        self._send(Kind.DONE, b"")

    def _take_bundle(self, body: bytes) -> None:
        if self._spent:
            self._refuse_upload(
                ChannelError("channel.session.spent", "Another execution needs another admission.")
            )
            return
        receiver: Receiver | None = None
        try:
            manifest, receiver = self._agent.begin_bundle(body, self._admission)
            self._receive(manifest, receiver)
        except AssayError as error:
            if receiver is not None:
                receiver.abandon()
            self._agent.abandon(self._admission)
            if error.code in _LOST:
                raise
            self._refuse_upload(error)
            return
        self._send(Kind.DONE, b"")

    def _refuse_upload(self, error: AssayError) -> None:
        # Told at once, so that the owner can stop; what is under way is read and dropped: closing on it would
        # reset the connection, and what was told would be lost.
        self._send(Kind.ERROR, messages.encode_error(error))
        self._drop_upload()

    def _receive(self, manifest: Manifest, receiver: Receiver) -> None:
        while (frame := self._read_upload()).kind is Kind.CHUNK:
            receiver.feed(frame.body)
        listing = receiver.finish()
        self._delivery = Delivery(manifest, receiver.target, manifest.bundle, listing)

    def _drop_upload(self) -> None:
        while self._read_upload().kind is Kind.CHUNK:
            pass

    def _read_upload(self) -> Frame:
        return self._stream.read_frame(messages.UPLOADING, time.monotonic() + self._agent.timing.upload)

    def _prove_start(self, nonce: bytes) -> None:
        if len(nonce) != NONCE_BYTES:
            raise malformed("a nonce has another size")
        if self._delivery is None:
            raise GuestError("guest.phase.refused", "Nothing can be started before its bundle is here.")
        self._proven = self._agent.prove_start(self._delivery, self._admission, nonce)
        self._send(Kind.OFFER, self._proven.offered.encode())

    def _run(self, body: bytes) -> None:
        if self._proven is None:
            raise GuestError("guest.phase.refused", "Nothing runs before its start was proven.")
        request = RunRequest.decode(body)
        run = self._agent.launch(self._proven, request)
        self._spent, self._proven, self._delivery = True, None, None
        self._send(Kind.STARTED, messages.encode_started(run.order.sequence))
        self._following = Following(self._stream, run, offsets=(0, 0), control=True)

    def _attach(self, body: bytes) -> None:
        request = AttachRequest.decode(body)
        run = self._current()
        offsets = (request.stdout, request.stderr)
        self._send(Kind.STARTED, messages.encode_started(run.order.sequence))
        if request.follow:
            self._following = Following(self._stream, run, offsets=offsets, control=request.control)
        else:
            send_rest(self._stream, run, offsets)
            self._send(Kind.STATE, messages.encode_status(self._agent.status()))

    def _status(self, _: bytes) -> None:
        self._send(Kind.STATE, messages.encode_status(self._agent.status()))

    def _wait(self, _: bytes) -> None:
        self._following = Following(self._stream, self._current(), offsets=None, control=False)

    def _download(self, _: bytes) -> None:
        run = self._current()
        if run.exit is None:
            raise GuestError("guest.run.not_ended", "The outputs can be had after the workload has ended.")
        if run.outputs is None:
            raise GuestError("guest.run.no_outputs", "The outputs exceed what can be sent back.")
        try:
            for piece in run.outputs.stream():
                for start in range(0, len(piece), CHUNK_BYTES):
                    self._send(Kind.PART, piece[start : start + CHUNK_BYTES])
        except OSError as error:
            raise GuestError("guest.storage", "The outputs cannot be read.") from error
        self._send(Kind.PARTS_END, b"")

    def _receipt(self, _: bytes) -> None:
        self._current()
        self._send(Kind.SIGNED, self._agent.receipt())

    def _release(self, _: bytes) -> None:
        self._agent.release("stopped", lambda: self._send(Kind.DONE, b""))

    def _current(self) -> Run:
        run = self._agent.current()
        if run.order.manifest.digest() != self._admission.hello.manifest:
            raise ChannelError(
                "channel.manifest.other",
                "This session was admitted for another manifest than that execution's.",
            )
        return run

    def _send(self, kind: Kind, body: bytes) -> None:
        self._stream.send_frame(kind, body, None)
