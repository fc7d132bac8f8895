"""Byte streams with deadlines over one socket: in the clear, and inside TLS.

Both read exactly what is asked for and never more than that from the socket while in the clear, so that the
TLS handshake finds its first byte where it belongs. Inside TLS one thread may read while others write:
OpenSSL only ever sees memory buffers under a lock that is never held while waiting for the peer.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

from assay.channel.frames import Frame, Kind, read_frame
from assay.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Mapping

RECEIVE_BYTES = 64 * 1024
KEEPALIVE_SECONDS = 15


class PlainStream:
    """A socket in the clear.

    Args:
        sock: A connected stream socket; it becomes non-blocking and is owned from now on.
    """

    __slots__ = ("sock",)

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the socket API has it positional only
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock

    def receive(self, most: int, deadline: float | None) -> bytes:
        """Return between 1 and ``most`` bytes.

        Args:
            most: How many at most.
            deadline: On the monotonic clock; None to wait for as long as the connection lives.

        Raises:
            ChannelError: ``channel.peer.timeout``, ``channel.peer.closed``.
        """
        while True:
            try:
                data = self.sock.recv(most)
            except (BlockingIOError, InterruptedError):
                _wait(self.sock, select.POLLIN, deadline)
                continue
            except OSError as error:
                raise closed() from error
            if not data:
                raise closed()
            return data

    def read_exactly(self, size: int, deadline: float | None) -> bytes:
        """Return exactly ``size`` bytes; raises as ``receive``."""
        parts = bytearray()
        while len(parts) < size:
            parts += self.receive(size - len(parts), deadline)
        return bytes(parts)

    def send(self, data: bytes, deadline: float | None) -> None:
        """Send all of ``data``; raises as ``receive``."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except (BlockingIOError, InterruptedError):
                _wait(self.sock, select.POLLOUT, deadline)
            except OSError as error:
                raise closed() from error

    def send_frame(self, kind: Kind, body: bytes, deadline: float | None) -> None:
        """Send one frame; raises as ``receive``."""
        self.send(Frame(kind, body).encode(), deadline)

    def read_frame(self, allowed: Mapping[Kind, int], deadline: float | None) -> Frame:
        """Return the next frame, bounded by ``allowed``; raises as ``receive`` and ``frames.read_frame``."""
        return read_frame(lambda size: self.read_exactly(size, deadline), allowed)

    def close(self) -> None:
        """Close the socket; threads that wait on it are woken."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class TlsStream:
    """A TLS session over a socket whose clear preamble is over.

    Args:
        plain: The socket.
        context: The TLS context; see ``tls``.
        server: Which end this is.
        deadline: For the whole handshake, on the monotonic clock.

    Raises:
        ChannelError: ``channel.tls.handshake``, ``channel.peer.timeout``, ``channel.peer.closed``.
    """

    __slots__ = ("_buffer", "_incoming", "_lock", "_outgoing", "_plain", "_sending", "tls")

    def __init__(self, plain: PlainStream, context: ssl.SSLContext, *, server: bool, deadline: float) -> None:
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._buffer = bytearray()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server)
        self._handshake(deadline)

    def _handshake(self, deadline: float) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._plain.send(self._outgoing.read(), deadline)
                self._incoming.write(self._plain.receive(RECEIVE_BYTES, deadline))
            except ssl.SSLError as error:
                self._send_alert()
                raise ChannelError(
                    "channel.tls.handshake", f"The TLS handshake failed: {error.reason or 'unknown reason'}."
                ) from error
            else:
                self._plain.send(self._outgoing.read(), deadline)
                return

    def _send_alert(self) -> None:
        """Tell the peer why, if its buffer has room; waiting for a peer that failed is not worth anything."""
        with contextlib.suppress(ChannelError):
            self._plain.send(self._outgoing.read(), time.monotonic())

    def fileno(self) -> int:
        """Return the socket's descriptor, for polling."""
        return self._plain.sock.fileno()

    def receive(self, deadline: float | None) -> bytes:
        """Return some bytes of the session; raises as ``PlainStream.receive`` and ``channel.tls.broken``."""
        while True:
            with self._lock:
                try:
                    data = self.tls.read(RECEIVE_BYTES)
                except ssl.SSLWantReadError:
                    data = b""
                    wanting = True
                except ssl.SSLError as error:
                    raise ChannelError("channel.tls.broken", "The TLS session broke.") from error
                else:
                    wanting = False
                answer = self._outgoing.read()
            if answer:
                with self._sending:
                    self._plain.send(answer, deadline)
            if data:
                return data
            if not wanting:
                raise closed()
            received = self._plain.receive(RECEIVE_BYTES, deadline)
            with self._lock:
                self._incoming.write(received)

    def read_exactly(self, size: int, deadline: float | None) -> bytes:
        """Return exactly ``size`` bytes; raises as ``receive``."""
        while len(self._buffer) < size:
            self._buffer += self.receive(deadline)
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def buffered(self) -> bool:
        """Tell whether bytes of the session are already here, so that polling the socket would miss them."""
        with self._lock:
            return bool(self._buffer) or self.tls.pending() > 0 or self._incoming.pending > 0

    def send(self, data: bytes, deadline: float | None) -> None:
        """Send all of ``data``; raises as ``receive``."""
        with self._sending:
            with self._lock:
                try:
                    view = memoryview(data)
                    while view:
                        view = view[self.tls.write(view) :]
                except ssl.SSLError as error:
                    raise ChannelError("channel.tls.broken", "The TLS session broke.") from error
                sealed = self._outgoing.read()
            self._plain.send(sealed, deadline)

    def send_frame(self, kind: Kind, body: bytes, deadline: float | None) -> None:
        """Send one frame; raises as ``receive``."""
        self.send(Frame(kind, body).encode(), deadline)

    def read_frame(self, allowed: Mapping[Kind, int], deadline: float | None) -> Frame:
        """Return the next frame, bounded by ``allowed``; raises as ``receive`` and ``frames.read_frame``."""
        return read_frame(lambda size: self.read_exactly(size, deadline), allowed)

    def close(self) -> None:
        """Close the socket; threads that wait on it are woken."""
        self._plain.close()


def _wait(sock: socket.socket, event: int, deadline: float | None) -> None:
    poller = select.poll()
    try:
        poller.register(sock, event)
    except (OSError, ValueError) as error:
        raise closed() from error
    left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
    if not poller.poll(left):
        raise ChannelError("channel.peer.timeout", "The peer did not answer in time.")


def closed() -> ChannelError:
    """Return the error for a connection that ended."""
    return ChannelError("channel.peer.closed", "The peer closed the connection.")
