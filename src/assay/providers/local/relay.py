"""The attack ``foreign-key``: somebody between owner and guest, with genuine evidence and a key of their own.

The evidence of the real guest is passed on byte for byte, nonce and all. Only the key at the end of the TLS
connection is another one than the evidence names, which is what the owner must notice before the first byte.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric import ec

from assay.channel import hello, offer, tls
from assay.channel.frames import Kind
from assay.channel.stream import PlainStream, TlsStream
from assay.errors import AssayError

_SECONDS = 30.0


def between(guest: socket.socket) -> socket.socket:
    """Return the owner's end of a connection that ends at somebody who relays the guest's evidence.

    Args:
        guest: A connection to the genuine guest; owned from now on.
    """
    near, far = socket.socketpair()
    threading.Thread(target=_relay, args=(far, guest), name="relay", daemon=True).start()
    return near


def _relay(owner: socket.socket, guest: socket.socket) -> None:
    ends = [PlainStream(owner), PlainStream(guest)]
    try:
        with suppress(AssayError, OSError):
            _pass_on(*ends)
    finally:
        for end in ends:
            end.close()


def _pass_on(owner: PlainStream, guest: PlainStream) -> None:
    deadline = time.monotonic() + _SECONDS
    asked = owner.read_frame({Kind.HELLO: hello.MAX_BYTES}, deadline)
    guest.send_frame(asked.kind, asked.body, deadline)
    answer = guest.read_frame({Kind.EVIDENCE: offer.MAX_BYTES, Kind.REFUSED: hello.MAX_BYTES}, deadline)
    owner.send_frame(answer.kind, answer.body, deadline)
    certificate = hello.Hello.decode(asked.body).certificate
    context = tls.guest_context(ec.generate_private_key(ec.SECP256R1()), certificate)
    TlsStream(owner, context, server=True, deadline=deadline).close()
