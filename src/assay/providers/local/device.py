"""The quoting device: what the hardware does for the guest, from outside the guest.

Messages and their bounds stand in the launch protocol (see the package).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from assay.simulator.hardware import TrustDomain

MAX_MESSAGE = 64 << 10
PROVIDER = "assay_simulator"
ANSWER_SECONDS = 5.0


class _ProtocolError(Exception):
    """The guest sent something that is not a message."""


class QuotingDevice:
    """Quotes and registers of one TD.

    Args:
        domain: The TD.
        replays: Answer every request with one quote that was taken for an earlier session.
    """

    __slots__ = ("_domain", "_earlier", "_generation")

    def __init__(self, domain: TrustDomain, *, replays: bool = False) -> None:
        self._domain = domain
        self._generation = 0
        self._earlier = domain.quote(hashlib.sha512(b"an earlier session").digest()) if replays else b""

    def answer(self, request: bytes) -> bytes:
        """Return the answer to one request, both without their length."""
        try:
            answer = self._do(json.loads(request))
        except (ValueError, KeyError, TypeError, RecursionError):
            answer = {
                "error": "device.request.malformed",
                "message": "This is not a request of the protocol.",
            }
        return json.dumps(answer).encode()

    def _do(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["op"] == "quote":
            report_data = _hex(request["inblob"], 64)
            self._generation += 1
            return {
                "outblob": base64.b64encode(self._earlier or self._domain.quote(report_data)).decode(),
                "auxblob": "",
                "generation": self._generation,
                "provider": PROVIDER,
            }
        if request["op"] == "extend":
            index = request["index"]
            if type(index) is not int or index not in range(4):
                raise ValueError
            self._domain.extend(index, _hex(request["digest"], 48))
            return {}
        raise ValueError


def _hex(text: Any, size: int) -> bytes:
    if not isinstance(text, str):
        raise TypeError
    try:
        data = binascii.unhexlify(text)
    except binascii.Error as error:
        raise ValueError from error
    if len(data) != size:
        raise ValueError
    return data


class Wire:
    """The device's end of the connection to the guest.

    Args:
        connection: The socket.
        device: Who answers.
    """

    __slots__ = ("_connection", "_device", "_pending")

    def __init__(self, connection: socket.socket, device: QuotingDevice) -> None:
        self._connection = connection
        self._device = device
        self._pending = bytearray()
        # A guest that does not read its answers must not hold up the machine.
        connection.settimeout(ANSWER_SECONDS)

    def pump(self) -> bool:
        """Answer what has arrived; return False, and close, when the connection is over."""
        with suppress(_ProtocolError, OSError):
            received = self._connection.recv(MAX_MESSAGE)
            self._pending += received
            for request in self._requests():
                answer = self._device.answer(request)
                self._connection.sendall(struct.pack(">I", len(answer)) + answer)
            if received:
                return True
        self._connection.close()
        return False

    def _requests(self) -> Iterator[bytes]:
        while len(self._pending) >= 4:
            (size,) = struct.unpack_from(">I", self._pending)
            if size > MAX_MESSAGE:
                raise _ProtocolError
            if len(self._pending) < 4 + size:
                return
            request = bytes(self._pending[4 : 4 + size])
            del self._pending[: 4 + size]
            yield request
