"""Texts that stand for bytes in one spelling alone: how bytes are written is nothing that anybody signed."""

from __future__ import annotations

import binascii


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


def canonical_hex(text: str) -> bytes | None:
    """Return the bytes that lower-case hexadecimal digits stand for; None for anything else."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if found.hex() == text else None
