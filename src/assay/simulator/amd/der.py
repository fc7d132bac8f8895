"""Just enough DER to write AMD's certificates, right and wrong: serial 0, bare extensions, duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

SEQUENCE = 0x30
SET = 0x31
INTEGER = 0x02
BIT_STRING = 0x03
OCTET_STRING = 0x04
NULL = b"\x05\x00"
OID = 0x06
UTF8_STRING = 0x0C
PRINTABLE_STRING = 0x13
IA5_STRING = 0x16
TRUE = b"\x01\x01\xff"


def element(tag: int, *parts: bytes) -> bytes:
    """Return one element of these contents."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def integer(value: int) -> bytes:
    """Return a non-negative INTEGER."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER whose first two arcs are below 40."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = bytearray([40 * first + second])
    for arc in rest:
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(septets))
    return element(OID, bytes(content))


def bits(content: bytes) -> bytes:
    """Return a BIT STRING of whole bytes."""
    return element(BIT_STRING, b"\0", content)


def time(moment: datetime) -> bytes:
    """Return a UTCTime before 2050."""
    return element(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """Return one extension of a certificate or CRL."""
    return element(SEQUENCE, oid(dotted), TRUE if critical else b"", element(OCTET_STRING, value))
