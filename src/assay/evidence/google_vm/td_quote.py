"""The TD quote of a container: go-tdx-guest takes it apart into fields, here it becomes bytes again.

What the hardware signed are the bytes of the quote; a container holds them as fields, each of a fixed size,
in the quote's order. Written one behind the other they are the quote, and nothing else: a field of another
size is refused, and every length that the quote states about itself is written as the container states it,
for the verification of quotes to judge.

Source: go-tdx-guest, ``tdx.proto`` (QuoteV4).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from assay.evidence.google_vm.protobuf import (
    Field,
    ProtobufError,
    many_bytes,
    one_bytes,
    one_int,
    read_message,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Number of a field, its size in the quote, and its kind; numbers become little-endian bytes.
_QUOTE: Final = {1: bytes, 2: bytes, 3: int, 4: bytes, 5: bytes}
_HEADER: Final = (
    (1, 2, int),
    (2, 2, int),
    (3, 4, int),
    (4, 2, bytes),
    (5, 2, bytes),
    (6, 16, bytes),
    (7, 20, bytes),
)
_BODY: Final = (
    (1, 16, bytes),
    *((number, 48, bytes) for number in (2, 3)),
    *((number, 8, bytes) for number in (4, 5, 6)),
    *((number, 48, bytes) for number in (7, 8, 9, 10)),
)
_RTMRS: Final = 11
_REPORT_DATA: Final = 12
_SIGNED: Final = {1: bytes, 2: bytes, 3: bytes}
_CERTIFICATION: Final = {1: int, 2: int, 3: bytes}
_QE: Final = {1: bytes, 2: bytes, 3: bytes, 4: bytes}
_REPORT: Final = (
    (1, 16, bytes),
    (2, 4, int),
    (3, 28, bytes),
    (4, 16, bytes),
    (5, 32, bytes),
    (6, 32, bytes),
    (7, 32, bytes),
    (8, 96, bytes),
    (9, 2, int),
    (10, 2, int),
    (11, 60, bytes),
    (12, 64, bytes),
)
_AUTH: Final = {1: int, 2: bytes}
_CHAIN: Final = {1: int, 2: int, 3: bytes}
Layout = tuple[tuple[int, int, type[Field]], ...]


def td_quote(message: bytes) -> bytes:
    """Return the bytes of a TD quote of format 4 that a container holds as fields.

    Args:
        message: The message ``QuoteV4``.

    Raises:
        ProtobufError: It is malformed, or a field does not have the size that the quote has for it.
    """
    top = read_message(message, _QUOTE)
    signed = read_message(one_bytes(top, 4), _SIGNED)
    certification = read_message(one_bytes(signed, 3), _CERTIFICATION)
    qe = read_message(one_bytes(certification, 3), _QE)
    auth = read_message(one_bytes(qe, 3), _AUTH)
    chain = read_message(one_bytes(qe, 4), _CHAIN)
    return b"".join(
        (
            _flat(one_bytes(top, 1), _HEADER),
            _body(one_bytes(top, 2)),
            _number(one_int(top, 3), 4),
            _sized(signed, 1, 64),
            _sized(signed, 2, 64),
            _number(one_int(certification, 1), 2),
            _number(one_int(certification, 2), 4),
            _flat(one_bytes(qe, 1), _REPORT),
            _sized(qe, 2, 64),
            _number(one_int(auth, 1), 2),
            one_bytes(auth, 2),
            _number(one_int(chain, 1), 2),
            _number(one_int(chain, 2), 4),
            one_bytes(chain, 3),
            one_bytes(top, 5),
        )
    )


def _body(message: bytes) -> bytes:
    kinds: dict[int, type[Field]] = {number: kind for number, _, kind in _BODY}
    found = read_message(message, {**kinds, _RTMRS: bytes, _REPORT_DATA: bytes})
    rtmrs = many_bytes(found, _RTMRS, 4)
    if len(rtmrs) != 4 or any(len(value) != 48 for value in rtmrs):
        raise ProtobufError("protobuf.malformed", "A TD quote has four RTMRs of 48 bytes.")
    fixed = b"".join([_sized(found, number, size) for number, size, _ in _BODY])
    return fixed + b"".join(rtmrs) + _sized(found, _REPORT_DATA, 64)


def _flat(message: bytes, layout: Layout) -> bytes:
    found = read_message(message, {number: kind for number, _, kind in layout})
    return b"".join(
        [
            _number(one_int(found, number), size) if kind is int else _sized(found, number, size)
            for number, size, kind in layout
        ]
    )


def _sized(found: Mapping[int, list[Field]], number: int, size: int) -> bytes:
    value = one_bytes(found, number)
    if len(value) != size:
        raise ProtobufError(
            "protobuf.malformed", f"Field {number} of a TD quote has {len(value)} bytes, not {size}."
        )
    return value


def _number(value: int, size: int) -> bytes:
    if value >> 8 * size:
        raise ProtobufError("protobuf.malformed", f"A number of a TD quote has more than {size} bytes.")
    return struct.pack("<Q", value)[:size]
