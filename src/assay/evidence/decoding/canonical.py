"""Texts that stand for bytes in one spelling alone: how bytes are written is nothing that anybody signed."""

from __future__ import annotations

import binascii
from typing import Final

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# What the standard alphabet has in their place becomes a byte that no alphabet has.
_TO_STANDARD: Final = bytes.maketrans(b"-_+/", b"+/!!")
_PADDING: Final = (b"", None, b"==", b"=")
# The last character of a text whose length leaves 2 or 3 characters over carries 4 or 2 bits that mean
# nothing: they must be zero, or several texts would stand for one value.
_LAST: Final = (frozenset(_ALPHABET), frozenset[int](), frozenset(_ALPHABET[::16]), frozenset(_ALPHABET[::4]))


def canonical_base64(text: str | bytes) -> bytes | None:
    """Return the bytes that a padded text in the standard alphabet stands for (RFC 4648, section 4).

    Returns:
        None unless ``text`` is their one canonical text.
    """
    written = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        found = binascii.a2b_base64(written, strict_mode=True)
    except binascii.Error:
        return None
    return found if binascii.b2a_base64(found, newline=False) == written else None


def canonical_base64url(text: bytes) -> bytes | None:
    """Return the bytes that an unpadded base64url text stands for (RFC 4648, section 5; RFC 7515, section 2).

    Returns:
        None for another character, padding, an impossible length, or bits that are set behind the last byte.
    """
    over = len(text) & 3
    padding = _PADDING[over]
    if padding is None or (text and text[-1] not in _LAST[over]):
        return None
    # ASCII as base64 rarely holds one of these, and searching for them takes less than translating a payload.
    if b"-" in text or b"_" in text or b"+" in text or b"/" in text:
        text = text.translate(_TO_STANDARD)
    try:
        return binascii.a2b_base64(text + padding, strict_mode=True)
    except binascii.Error:
        return None


def canonical_hex(text: str) -> bytes | None:
    """Return the bytes that lower-case hexadecimal digits stand for; None for anything else."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if found.hex() == text else None
