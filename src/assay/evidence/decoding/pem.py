"""Strict PEM: exactly the certificates that are expected, and nothing between them.

Lines have 64 characters, as RFC 7468 demands, or 76, as MIME has them and some quoting software writes;
base64 is canonical. The same software leaves out the line end between two certificates. No byte of a text can
then carry anything but its certificates.
"""

from __future__ import annotations

import binascii
import re

from assay.errors import EvidenceError

MAX_CHAIN_BYTES = 16384

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
_BODY = rb"(?:(?:[A-Za-z0-9+/]{%d}\r?\n)*[A-Za-z0-9+/]{1,%d}={0,2}\r?\n)"
_TAIL = rb"(?:\r?\n|(?=%s))" % _BEGIN
_BLOCK = re.compile(_BEGIN + rb"\r?\n(" + _BODY % (64, 64) + b"|" + _BODY % (76, 76) + rb")" + _END + _TAIL)


class PemError(EvidenceError):
    """The text is not the certificates that were expected.

    Codes: ``pem.oversized``, ``pem.malformed``, ``pem.count``.
    """


def certificates(text: bytes, *, count: int) -> tuple[bytes, ...]:
    """Return the DER of exactly ``count`` certificates.

    Args:
        text: At most 16,384 bytes; may end in one NUL, as Intel's quoting library leaves it.
        count: How many certificates there must be.

    Raises:
        PemError: It is anything else.
    """
    if len(text) > MAX_CHAIN_BYTES:
        raise PemError("pem.oversized", f"A certificate chain is longer than {MAX_CHAIN_BYTES} bytes.")
    text = text.removesuffix(b"\0")
    found: list[bytes] = []
    pos = 0
    while pos < len(text):
        block = _BLOCK.match(text, pos)
        if block is None:
            # Real chains end without a line end, too.
            block = _BLOCK.match(text + b"\n", pos)
            if block is None or not text.endswith(_END) or block.end() <= len(text):
                raise PemError("pem.malformed", f"No strict PEM certificate at byte {pos} of a chain.")
        if len(found) == count:
            raise PemError("pem.count", f"A chain has more than {count} certificates.")
        found.append(_decode(block.group(1)))
        pos = block.end()
    if len(found) != count:
        raise PemError("pem.count", f"A chain has {len(found)} certificates where {count} were expected.")
    return tuple(found)


def certificates_of(text: str, *, most: int) -> tuple[bytes, ...]:
    """Return the DER of 1 to ``most`` certificates, of a text that came in JSON.

    Args:
        text: At most 16,384 bytes.
        most: How many certificates there may be.

    Raises:
        PemError: It is anything else.
    """
    data = text.encode("utf-8", "replace")
    count = data.count(_BEGIN)
    if not 0 < count <= most:
        raise PemError("pem.count", f"A text has {count} certificates where 1 to {most} were expected.")
    return certificates(data, count=count)


def _decode(body: bytes) -> bytes:
    text = body.translate(None, b"\r\n")
    try:
        der = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise PemError("pem.malformed", f"A certificate is not base64: {error}.") from None
    # Bits beyond the last byte are the one freedom that the strict decoder leaves.
    last = der[-((len(der) - 1) % 3 + 1) :]
    if binascii.b2a_base64(last, newline=False) != text[-4:]:
        raise PemError("pem.malformed", "A certificate is not canonical base64.")
    return der


def encode(*ders: bytes) -> bytes:
    """Return certificates as strict PEM, each ending in a newline."""
    lines = []
    for der in ders:
        text = binascii.b2a_base64(der, newline=False)
        lines += [_BEGIN, *(text[at : at + 64] for at in range(0, len(text), 64)), _END]
    return b"\n".join(lines) + b"\n" if lines else b""
