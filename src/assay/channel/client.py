"""The owner's end: open a session with a guest, appraise its Evidence, then speak.

Order on the wire: HELLO in the clear, EVIDENCE in the clear, the caller's appraisal, mutual TLS 1.3 with the
key that the Evidence names, and only then a first byte of ours. A session is for one manifest. Opening
another one means another nonce, another channel key and another Evidence.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from assay.channel import hello as hello_module
from assay.channel import messages, tls
from assay.channel.binding import Purpose
from assay.channel.frames import Kind
from assay.channel.hello import Hello
from assay.channel.messages import Exit, Status
from assay.channel.offer import MAX_BYTES, Offered, binding_of, others_of, require_proof, require_purpose
from assay.channel.session import Control, Detach, OwnerSession, Resize, Signal
from assay.channel.stream import PlainStream, TlsStream
from assay.errors import ChannelError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from assay.channel.binding import SessionBinding
    from assay.channel.owner import OwnerKey

__all__ = [
    "Control",
    "Detach",
    "Exit",
    "Offered",
    "OwnerSession",
    "Resize",
    "Signal",
    "Status",
    "open_session",
]

# A HELLO may come only to be recognised: it is our own, sent back.
_ANSWERS = {Kind.EVIDENCE: MAX_BYTES, Kind.REFUSED: messages.MAX_JSON, Kind.HELLO: hello_module.MAX_BYTES}


def open_session(
    sock: socket.socket,
    *,
    lease: str,
    owner: OwnerKey,
    nonce: bytes,
    platform: str,
    manifest: bytes,
    appraise: Callable[[Offered, SessionBinding], None],
    timeout: float,
) -> OwnerSession:
    """Open an attested session over ``sock``, which it owns from now on.

    Args:
        sock: A connected stream socket to the guest's agent.
        lease: The lease id.
        owner: The owner's key.
        nonce: 32 bytes, recorded as used before this call.
        platform: The attestation platform, as the Relying Party chose it.
        manifest: Digest of the manifest, 32 bytes.
        appraise: Judges the Evidence against the binding, which holds the caller's own values and the guest's
            public keys; it raises to refuse. Nothing has been sent to the guest but the HELLO before it
            returned.
        timeout: Seconds for the whole opening, and later for each answer that should come at once.

    Raises:
        ChannelError: The guest refused (its own code), or ``channel.peer.*``, ``channel.frame.*``,
            ``channel.evidence.*``, ``channel.receipt_key.unproven``, ``channel.tls.*``,
            ``channel.session.resumed``.
        AssayError: Whatever ``appraise`` raised.
    """
    plain = PlainStream(sock)
    try:
        hello = Hello.signed(owner, lease=lease, platform=platform, nonce=nonce, manifest=manifest)
        deadline = time.monotonic() + timeout
        plain.send_frame(Kind.HELLO, hello.encode(), deadline)
        offered = _evidence(plain, hello, deadline)
        binding = binding_of(hello, owner.spki, offered)
        require_purpose(offered, Purpose.ADMISSION, others_of(binding))
        require_proof(offered.proof, binding)
        appraise(offered, binding)
        deadline = time.monotonic() + timeout
        stream = TlsStream(plain, tls.owner_context(owner), server=False, deadline=deadline)
        tls.require_peer(stream.tls, binding.channel_key)
        _await_ready(stream, deadline)
        return OwnerSession(stream, binding, offered, timeout)
    except BaseException:  # an interrupt too leaves no half-proven connection open
        plain.close()
        raise


def _await_ready(stream: TlsStream, deadline: float) -> None:
    """Wait until the guest has accepted our side of the handshake: in TLS 1.3 it ends after ours."""
    answer = stream.read_frame(messages.READY, deadline)
    if answer.kind is Kind.ERROR:
        raise messages.decode_error(answer.body)


def _evidence(plain: PlainStream, hello: Hello, deadline: float) -> Offered:
    answer = plain.read_frame(_ANSWERS, deadline)
    if answer.kind is Kind.REFUSED:
        raise messages.decode_error(answer.body)
    if answer.kind is Kind.HELLO:
        raise ChannelError("channel.peer.reflected", "The peer sent a HELLO back: it is no guest.")
    offered = Offered.decode(answer.body)
    if offered.lease != hello.lease:
        raise ChannelError(
            "channel.evidence.other_guest", "The Evidence is of a guest that was launched for another lease."
        )
    if offered.platform != hello.platform:
        raise ChannelError(
            "channel.evidence.platform", "The Evidence is of another platform than was asked for."
        )
    return offered
