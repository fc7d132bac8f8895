"""base64url without padding (RFC 7515, section 2), decoded strictly: one text for each value."""

from __future__ import annotations

import binascii
from typing import Final

from assay.evidence.decoding.canonical import canonical_base64
from assay.evidence.jose.errors import JoseError

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_REFUSED: Final = "A part is not canonical base64url without padding."
# What the standard alphabet has in their place becomes a byte that no alphabet has.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/!!")
_PADDING: Final = (b"", None, b"==", b"=")
# The last character of a text whose length leaves 2 or 3 characters over carries 4 or 2 bits that mean
# nothing: they must be zero, or several texts would stand for one value.
_LAST: Final = (frozenset(_ALPHABET), frozenset[int](), frozenset(_ALPHABET[::16]), frozenset(_ALPHABET[::4]))


def decode(text: bytes) -> bytes:
    """Return the bytes that an unpadded base64url text stands for.

    Raises:
        JoseError: ``jose.base64`` for another character, padding, an impossible length, or bits that are set
            behind the last byte.
    """
    over = len(text) & 3
    padding = _PADDING[over]
    if padding is None or (text and text[-1] not in _LAST[over]):
        raise JoseError("jose.base64", _REFUSED)
    # ASCII as base64 rarely holds one of these, and searching for them takes less than translating a payload.
    if b"-" in text or b"_" in text or b"+" in text or b"/" in text:
        text = text.translate(_TO_STANDARD)
    try:
        return binascii.a2b_base64(text + padding, strict_mode=True)
    except binascii.Error:
        raise JoseError("jose.base64", _REFUSED) from None


def encode(data: bytes) -> bytes:
    """Return ``data`` as base64url without padding."""
    return binascii.b2a_base64(data, newline=False).translate(bytes.maketrans(b"+/", b"-_")).rstrip(b"=")


def decode_standard(text: bytes) -> bytes:
    """Return the bytes that a padded text in the standard alphabet (RFC 4648, section 4) stands for.

    Raises:
        JoseError: ``jose.base64`` for anything but its one canonical text.
    """
    data = canonical_base64(text)
    if data is None:
        raise JoseError("jose.base64", "A part is not canonical base64 with padding.")
    return data
