"""Protocol Buffers as the attestation container uses them: varints and fields with a length, strictly.

The encoding has many spellings for one message. Here varints are minimal, fields are of the declared kind and
number, and one that is not repeated stands once; so no byte of a container means nothing.

Source: Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_FIELDS: Final = 4096
_VARINT, _BYTES = 0, 2
_MOST_VARINT: Final = 10

Field = int | bytes


class ProtobufError(EvidenceError):
    """The bytes are not the message that was expected: ``protobuf.malformed`` or ``protobuf.oversized``."""


def malformed(why: str) -> ProtobufError:
    """Return the error for bytes that are no message, or not the one that was expected."""
    return ProtobufError("protobuf.malformed", why)


def read_message(data: bytes, kinds: Mapping[int, type[Field]]) -> dict[int, list[Field]]:
    """Read one message: every value of every field, in order.

    Args:
        data: The message, and nothing behind it.
        kinds: The fields that it may have: ``int`` for a varint, ``bytes`` for what has a length.

    Raises:
        ProtobufError: A field is not among ``kinds``, or anything is malformed.
    """
    found: dict[int, list[Field]] = {}
    at = count = 0
    while at < len(data):
        key, at = _varint(data, at)
        count += 1
        if count > MAX_FIELDS:
            raise ProtobufError("protobuf.oversized", f"A message has more than {MAX_FIELDS} fields.")
        number, wire = key >> 3, key & 7
        kind = kinds.get(number)
        if kind is None or wire != (_VARINT if kind is int else _BYTES):
            raise malformed(f"A message has field {number} of wire type {wire}, which is not known.")
        value, at = _varint(data, at)
        if kind is int:
            found.setdefault(number, []).append(value)
            continue
        if value > len(data) - at:
            raise malformed(f"Field {number} of a message is longer than the message.")
        found.setdefault(number, []).append(data[at : at + value])
        at += value
    return found


def spans_of(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield number, start and end of each field with a length, head included, of a message read before."""
    at = 0
    while at < len(data):
        start = at
        key, at = _varint(data, at)
        value, at = _varint(data, at)
        if key & 7 == _BYTES:
            at += value
            yield key >> 3, start, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    if at < len(data) and data[at] < 0x80:  # nearly all of them
        return data[at], at + 1
    value = shift = 0
    for end in range(at, min(len(data), at + _MOST_VARINT)):
        byte = data[end]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if (byte == 0 and end > at) or value >> 64:
                raise malformed("A number is not written in its shortest form, or has more than 64 bits.")
            return value, end + 1
    raise malformed("A number has no end.")


def encode_varint(value: int) -> bytes:
    """Return a number in its shortest form."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def encode_bytes(number: int, value: bytes) -> bytes:
    """Return a field with a length, written out although it may be empty."""
    return encode_varint(number << 3 | _BYTES) + encode_varint(len(value)) + value


def one_bytes(message: Mapping[int, list[Field]], number: int) -> bytes:
    """Return a field of bytes that may stand once; empty when it does not stand at all.

    Raises:
        ProtobufError: It stands twice.
    """
    found = _once(message, number)
    return found if isinstance(found, bytes) else b""


def one_int(message: Mapping[int, list[Field]], number: int) -> int:
    """Return a number that may stand once; zero when it does not stand at all.

    Raises:
        ProtobufError: It stands twice.
    """
    found = _once(message, number)
    return found if isinstance(found, int) else 0


def _once(message: Mapping[int, list[Field]], number: int) -> Field | None:
    found = message.get(number, [])
    if len(found) > 1:
        raise malformed(f"Field {number} of a message stands twice.")
    if found and not found[0]:
        raise malformed(f"Field {number} of a message is written out although it is empty.")
    return found[0] if found else None


def many_bytes(message: Mapping[int, list[Field]], number: int, most: int) -> tuple[bytes, ...]:
    """Return a repeated field of bytes.

    Raises:
        ProtobufError: It stands more than ``most`` times.
    """
    found = message.get(number, [])
    if len(found) > most:
        raise ProtobufError("protobuf.oversized", f"Field {number} stands more than {most} times.")
    return tuple([value for value in found if isinstance(value, bytes)])
