"""base64url without padding (RFC 7515, section 2), decoded strictly: one text for each value."""

from __future__ import annotations

import binascii

from assay.evidence.decoding.canonical import canonical_base64, canonical_base64url
from assay.evidence.jose.errors import JoseError


def decode(text: bytes) -> bytes:
    """Return the bytes that an unpadded base64url text stands for.

    Raises:
        JoseError: ``jose.base64`` for another character, padding, an impossible length, or bits that are set
            behind the last byte.
    """
    data = canonical_base64url(text)
    if data is None:
        raise JoseError("jose.base64", "A part is not canonical base64url without padding.")
    return data


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
