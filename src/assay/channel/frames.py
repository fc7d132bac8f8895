"""Frames: a type, a length, that many bytes; the length is judged before anything of the body is read.

    type        u8
    length      u32 big-endian
    body        that many bytes

Which types may come, and how large each may be, depends on who listens and in which state: every reader
states both, and anything else ends the connection.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from assay.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HEADER = struct.Struct(">BI")
_SLOT = struct.Struct(">I")
CHUNK_BYTES = 128 * 1024


class Kind(IntEnum):
    """The type of a frame. 0x01 to 0x0f go in the clear, all others only inside TLS."""

    HELLO = 0x01
    EVIDENCE = 0x02
    REFUSED = 0x03

    # owner to guest
    MANIFEST = 0x10
    CHUNK = 0x11
    BUNDLE_END = 0x12
    START = 0x13
    RUN = 0x14
    STDIN = 0x15
    STDIN_END = 0x16
    SIGNAL = 0x17
    WINDOW = 0x18
    DETACH = 0x19
    ATTACH = 0x1A
    STATUS = 0x1B
    WAIT = 0x1C
    DOWNLOAD = 0x1D
    RECEIPT = 0x1E
    RELEASE = 0x1F

    # guest to owner
    READY = 0x40
    DONE = 0x41
    ERROR = 0x42
    OFFER = 0x43
    STARTED = 0x44
    OUTPUT = 0x45
    CREDIT = 0x46
    EXIT = 0x47
    STATE = 0x48
    PART = 0x49
    PARTS_END = 0x4A
    SIGNED = 0x4B


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        kind: Its type.
        body: Its body.
    """

    kind: Kind
    body: bytes

    def encode(self) -> bytes:
        """Return the frame as it goes over the wire."""
        return HEADER.pack(self.kind, len(self.body)) + self.body


def read_header(header: bytes, allowed: Mapping[Kind, int]) -> tuple[Kind, int]:
    """Return the type and length in ``header``, 5 bytes, after testing them against ``allowed``.

    Args:
        header: The first bytes of a frame.
        allowed: The largest body of each type that may come now.

    Raises:
        ChannelError: ``channel.frame.unexpected``, ``channel.frame.oversized``.
    """
    number, length = HEADER.unpack(header)
    try:
        kind = Kind(number)
        most = allowed[kind]
    except (ValueError, KeyError):
        raise ChannelError(
            "channel.frame.unexpected",
            f"The peer sent a message of type {number:#04x}, which has no place here.",
        ) from None
    if length > most:
        raise ChannelError(
            "channel.frame.oversized", f"The peer announced {length} bytes where at most {most} may come."
        )
    return kind, length


def read_frame(read_exactly: Callable[[int], bytes], allowed: Mapping[Kind, int]) -> Frame:
    """Return the next frame.

    Args:
        read_exactly: Returns so many bytes or raises.
        allowed: The largest body of each type that may come now.

    Raises:
        ChannelError: ``channel.frame.unexpected``, ``channel.frame.oversized``.
    """
    kind, length = read_header(read_exactly(HEADER.size), allowed)
    return Frame(kind, read_exactly(length) if length else b"")


def pack_slots(slots: Sequence[bytes]) -> bytes:
    """Return ``slots``, each after its length as u32 big-endian."""
    return b"".join(_SLOT.pack(len(slot)) + slot for slot in slots)


def unpack_slots(data: bytes, bounds: Sequence[int]) -> list[bytes]:
    """Return the slots that ``data`` holds: exactly as many as ``bounds`` has, none larger than its bound.

    Raises:
        ChannelError: ``channel.message.malformed``.
    """
    slots: list[bytes] = []
    offset = 0
    for most in bounds:
        if offset + _SLOT.size > len(data):
            raise malformed("it ends too early")
        (length,) = _SLOT.unpack_from(data, offset)
        offset += _SLOT.size
        if length > most or offset + length > len(data):
            raise malformed("a part of it is too large or cut short")
        slots.append(data[offset : offset + length])
        offset += length
    if offset != len(data):
        raise malformed("bytes follow its last part")
    return slots


def malformed(why: str) -> ChannelError:
    """Return the error for a message that is not what its type says."""
    return ChannelError("channel.message.malformed", f"A message is malformed: {why}.")
