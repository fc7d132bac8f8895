"""Frames and every message inside them: whatever a peer may send before or after it was admitted."""

from __future__ import annotations

from assay.channel import messages
from assay.channel.frames import Kind, read_frame
from assay.channel.hello import MAX_BYTES as MAX_HELLO
from assay.channel.hello import Hello
from assay.channel.launch import LaunchConfig
from assay.channel.messages import AttachRequest, RunRequest
from assay.channel.offer import MAX_BYTES, Offered
from assay.channel.owner import OwnerKey
from assay.channel.runtime import decode_events, encode_events, events_of_start
from assay.errors import AssayError, ChannelError

_OWNER = OwnerKey.create()
_CONFIG = LaunchConfig("lease", _OWNER.spki, 60, 60)
_HELLO = Hello.signed(_OWNER, lease="lease", platform="tdx", nonce=b"n" * 32, manifest=b"m" * 32)
_EVENTS = encode_events(events_of_start("none", b"m" * 32, b"b" * 32))
_EXIT = messages.Exit(1, "exited", 0, None, 1, 2)
_DECODERS = (
    lambda data: Hello.decode(data).require_from_owner(_CONFIG),
    Offered.decode,
    decode_events,
    LaunchConfig.decode,
    messages.decode_exit,
    messages.decode_status,
    messages.decode_started,
    messages.decode_error,
    RunRequest.decode,
    AttachRequest.decode,
)
_BOUNDS = {Kind.HELLO: MAX_HELLO, Kind.EVIDENCE: MAX_BYTES, Kind.REFUSED: messages.MAX_JSON}


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return one true message for each decoder, after its number."""
    offered = Offered("admission", "lease", "tdx", "p", b"q", b"", _EVENTS, b"c", b"r", b"s" * 64, "none")
    status = messages.Status(
        "running", 1, detached=False, stdout_bytes=1, stderr_bytes=2, seconds_left=3, exit=_EXIT
    )
    bodies = (
        _HELLO.encode(),
        offered.encode(),
        _EVENTS,
        _CONFIG.encode(),
        messages.encode_exit(_EXIT),
        messages.encode_status(status),
        messages.encode_started(1),
        messages.encode_error(ChannelError("a.b", "text")),
        RunRequest({"A": b"1"}, stdin=True, rows=1, columns=2).encode(),
        AttachRequest(1, 2, follow=True, control=False).encode(),
    )
    return [bytes([number]) + body for number, body in enumerate(bodies)]


def target(data: bytes) -> None:
    """Decode the rest of ``data`` as the message that its first byte names, and as a frame."""
    if not data:
        return
    rest = data[1:]
    try:
        _DECODERS[data[0] % len(_DECODERS)](rest)
    except AssayError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
    position = 0

    def read_exactly(size: int) -> bytes:
        nonlocal position
        if size > MAX_BYTES:
            raise AssertionError("more was asked for than may come")
        if position + size > len(rest):
            raise ChannelError("channel.peer.closed", "end")
        position += size
        return rest[position - size : position]

    try:
        while True:
            read_frame(read_exactly, _BOUNDS)
    except ChannelError:
        return
