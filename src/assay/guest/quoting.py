"""The quoting device: what turns 64 bytes into Evidence and extends the runtime register.

The agent knows this interface and nothing of the hardware behind it. Two implementations: ``configfs`` for a
kernel with TSM reports, and ``SocketDevice`` for a device on the other end of a Unix socket, as the local
provider has it.
"""

from __future__ import annotations

import base64
import binascii
import json
import select
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from assay.channel.stream import PlainStream
from assay.errors import ChannelError, GuestError

if TYPE_CHECKING:
    import socket

REPORT_DATA_BYTES = 64
REGISTER_DIGEST_BYTES = 48
MAX_QUOTE_BYTES = 64 * 1024
MAX_ANSWER_BYTES = 256 * 1024
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Quote:
    """One piece of Evidence.

    Attributes:
        outblob: The platform's quote.
        auxblob: What came with it (certificates), or empty.
        generation: The device's counter when it was made.
        provider: What made it: ``tdx_guest``, ``sev_guest``, ``assay_simulator``.
    """

    outblob: bytes = field(repr=False)
    auxblob: bytes = field(repr=False)
    generation: int
    provider: str


class QuotingDevice(Protocol):
    """A source of Evidence; calls may come from several threads."""

    def quote(self, inblob: bytes) -> Quote:
        """Return Evidence that holds ``inblob``, 64 bytes.

        Raises:
            GuestError: ``guest.quoting.*``.
        """

    def extend(self, index: int, digest: bytes) -> None:
        """Extend runtime register ``index`` with ``digest``, 48 bytes.

        Raises:
            GuestError: ``guest.quoting.*``.
        """

    def gone(self) -> bool:
        """Tell whether the hardware is gone for good, so that the guest has nothing left to prove."""


class SocketDevice:
    """A quoting device behind a connected stream socket.

    Each request and each answer is a JSON object after its length as u32 big-endian:
    ``{"op": "quote", "inblob": hex}`` gives ``{"outblob": base64, "auxblob": base64, "generation": n,
    "provider": name}``; ``{"op": "extend", "index": n, "digest": hex}`` gives ``{}``; either may give
    ``{"error": code, "message": text}``.

    Args:
        sock: The socket, owned from now on.
        timeout: Seconds for each answer.
    """

    __slots__ = ("_lock", "_stream", "_timeout")

    def __init__(self, sock: socket.socket, *, timeout: float) -> None:
        self._stream = PlainStream(sock)
        self._timeout = timeout
        self._lock = threading.Lock()

    def quote(self, inblob: bytes) -> Quote:
        """Return Evidence that holds ``inblob``; see ``QuotingDevice``."""
        if len(inblob) != REPORT_DATA_BYTES:
            raise GuestError("guest.quoting.input", f"Report data has {REPORT_DATA_BYTES} bytes.")
        answer = self._ask({"op": "quote", "inblob": inblob.hex()})
        try:
            quote = Quote(
                outblob=base64.b64decode(answer["outblob"], validate=True),
                auxblob=base64.b64decode(answer["auxblob"], validate=True),
                generation=int(answer["generation"]),
                provider=str(answer["provider"]),
            )
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise _broken() from error
        if not 0 < len(quote.outblob) <= MAX_QUOTE_BYTES:
            raise _broken()
        return quote

    def extend(self, index: int, digest: bytes) -> None:
        """Extend a runtime register; see ``QuotingDevice``."""
        if len(digest) != REGISTER_DIGEST_BYTES:
            raise GuestError("guest.quoting.input", f"A digest has {REGISTER_DIGEST_BYTES} bytes.")
        self._ask({"op": "extend", "index": index, "digest": digest.hex()})

    def gone(self) -> bool:
        """Tell whether the other end has closed; see ``QuotingDevice``."""
        poller = select.poll()
        try:
            poller.register(self._stream.sock, select.POLLRDHUP)
        except ValueError:  # closed on this end, after an answer that could not be read
            return True
        return bool(poller.poll(0))

    def close(self) -> None:
        """Close the socket."""
        self._stream.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(request).encode()
        deadline = time.monotonic() + self._timeout
        with self._lock:
            try:
                self._stream.send(_LENGTH.pack(len(body)) + body, deadline)
                (size,) = _LENGTH.unpack(self._stream.read_exactly(_LENGTH.size, deadline))
                if size > MAX_ANSWER_BYTES:
                    raise _broken()
                answer = json.loads(self._stream.read_exactly(size, deadline))
            except ChannelError as error:
                # What is left of a late answer would be taken for the next one: the device is of no more use.
                self._stream.close()
                raise GuestError("guest.quoting.silent", "The quoting device does not answer.") from error
            except (ValueError, RecursionError) as error:
                self._stream.close()
                raise _broken() from error
        if type(answer) is not dict:
            raise _broken()
        if "error" in answer:
            raise GuestError("guest.quoting.refused", "The quoting device refused.")
        return answer


def _broken() -> GuestError:
    return GuestError("guest.quoting.malformed", "The quoting device gave an answer that cannot be read.")
