"""The guest's front: takes connections, and lets only its owner's HELLO get any further.

One thread looks at all connections whose HELLO is not complete. Reading from them never waits, each has a
deadline, and there is room for a fixed number: when a new one comes to a full room, the one that has had the
most time goes. So nobody who cannot sign as the owner costs more than a few bytes and one signature check, or
can stop, block or slow the owner. A checked HELLO gets a thread of its own.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from assay.channel import messages, tls
from assay.channel.frames import HEADER, Frame, Kind, read_header
from assay.channel.hello import MAX_BYTES, Hello
from assay.channel.stream import PlainStream, TlsStream
from assay.errors import AssayError, ChannelError
from assay.guest.session import Session

if TYPE_CHECKING:
    from assay.guest.agent import Agent

MAX_WAITING = 64
MAX_SESSIONS = 16
_POLL_SECONDS = 0.5
_HELLO = {Kind.HELLO: MAX_BYTES}


class _Caller:
    """A connection whose HELLO is not complete."""

    __slots__ = ("data", "deadline", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.data = bytearray()

    def read(self) -> bytes | None:
        """Read without waiting; return the body of a complete HELLO, or None while it is not.

        Raises:
            ChannelError: ``channel.peer.closed``, ``channel.frame.*``.
            BlockingIOError: Nothing is there.
        """
        need = HEADER.size
        if len(self.data) >= HEADER.size:
            need += read_header(bytes(self.data[: HEADER.size]), _HELLO)[1]
        # Never past the HELLO: what follows it is not ours to read.
        received = self.sock.recv(need - len(self.data))
        if not received:
            raise ChannelError("channel.peer.closed", "The peer closed the connection.")
        self.data += received
        if len(self.data) < HEADER.size:
            return None
        length = read_header(bytes(self.data[: HEADER.size]), _HELLO)[1]
        return bytes(self.data[HEADER.size :]) if len(self.data) == HEADER.size + length else None


class Front:
    """Serves one guest on one listening socket.

    Args:
        agent: The guest.
        listener: A listening stream socket, owned from now on.
    """

    def __init__(self, agent: Agent, listener: socket.socket) -> None:
        self._agent = agent
        self._listener = listener
        self._callers: dict[socket.socket, _Caller] = {}
        self._room = threading.Semaphore(MAX_SESSIONS)
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Serve until the guest is released."""
        self._listener.setblocking(False)  # noqa: FBT003 - the socket API has it positional only
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._agent.ended_descriptor, selectors.EVENT_READ)
        try:
            while not self._agent.ended.is_set():
                for key, _ in self._selector.select(_POLL_SECONDS):
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._callers:
                        self._listen_to(self._callers[key.fileobj])
                self._drop_late()
        finally:
            for caller in list(self._callers.values()):
                self._drop(caller)
            self._selector.close()
            self._listener.close()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return  # the peer is gone already, or descriptors are short for a moment; the next one is served
        sock.setblocking(False)  # noqa: FBT003 - as above
        if len(self._callers) >= MAX_WAITING:
            self._drop(next(iter(self._callers.values())))
        caller = _Caller(sock, time.monotonic() + self._agent.timing.preamble)
        self._callers[sock] = caller
        self._selector.register(sock, selectors.EVENT_READ)

    def _listen_to(self, caller: _Caller) -> None:
        try:
            body = caller.read()
            if body is None:
                return
            hello = Hello.decode(body)
            hello.require_from_owner(self._agent.config)
        except BlockingIOError:
            return
        except OSError:
            self._drop(caller)
            return
        except AssayError as error:
            self._refuse(caller, error)
            return
        except Exception:  # noqa: BLE001 - a defect of ours that one peer found must not end it for the owner
            self._drop(caller)
            return
        self._forget(caller)
        if not self._room.acquire(blocking=False):
            self._refuse(
                caller, ChannelError("channel.sessions.full", "The owner has too many sessions open.")
            )
            return
        threading.Thread(target=self._attend, args=(caller.sock, hello), name="session", daemon=True).start()

    def _attend(self, sock: socket.socket, hello: Hello) -> None:
        try:
            with suppress(Exception):  # as above: it ends this session, never the guest
                attend(self._agent, sock, hello)
        finally:
            sock.close()
            self._room.release()

    def _refuse(self, caller: _Caller, error: AssayError) -> None:
        with suppress(OSError):
            caller.sock.send(Frame(Kind.REFUSED, messages.encode_error(error)).encode())
        self._drop(caller)

    def _drop_late(self) -> None:
        now = time.monotonic()
        for caller in [caller for caller in self._callers.values() if caller.deadline <= now]:
            self._drop(caller)

    def _drop(self, caller: _Caller) -> None:
        self._forget(caller)
        caller.sock.close()

    def _forget(self, caller: _Caller) -> None:
        if self._callers.pop(caller.sock, None) is not None:
            self._selector.unregister(caller.sock)


def attend(agent: Agent, sock: socket.socket, hello: Hello) -> None:
    """Answer a checked HELLO with Evidence, shake hands, and serve the session.

    Raises:
        AssayError: How it ended.
    """
    plain = PlainStream(sock)
    deadline = time.monotonic() + agent.timing.handshake
    try:
        admission = agent.admit(hello)
    except AssayError as error:
        plain.send_frame(Kind.REFUSED, messages.encode_error(error), deadline)
        raise
    plain.send_frame(Kind.EVIDENCE, admission.offered.encode(), deadline)
    context = tls.guest_context(admission.channel_key, hello.certificate)
    # The owner appraises meanwhile, which may take as long as fetching endorsements takes.
    stream = TlsStream(plain, context, server=True, deadline=time.monotonic() + agent.timing.appraisal)
    tls.require_peer(stream.tls, agent.config.owner_key)
    agent.opened()
    try:
        Session(agent, admission, stream).serve()
    finally:
        agent.closed()
        stream.close()
