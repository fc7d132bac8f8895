"""A JSON Web Signature in its compact form (RFC 7515, section 7.1), read strictly.

Reading proves nothing. ``signed`` is the slice of the input that the signature covers; what is parsed is
never written again to be verified.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from assay.evidence.decoding import strictjson
from assay.evidence.decoding.strictjson import JsonError
from assay.evidence.jose.base64url import decode
from assay.evidence.jose.errors import JoseError

MAX_TOKEN_BYTES: Final = 131072
MAX_HEADER_BYTES: Final = 49152  # three certificates of 8 KiB in base64 within base64
MAX_SIGNATURE_BYTES: Final = 1024
_MAX_SIGNATURE_TEXT: Final = MAX_SIGNATURE_BYTES * 4 // 3 + 1
MAX_KID: Final = 512

# What a header may say. Everything is signed; of these only alg, kid and x5c are used, and x5c only by
# formats that have a root of trust for it. A key, or where to fetch one, is never taken from a token.
KNOWN_HEADER: Final = frozenset({"alg", "cty", "jku", "kid", "typ", "x5c", "x5t", "x5t#S256", "x5u"})
_TYPES: Final = frozenset({"jwt"})


class CompactJws(NamedTuple):
    """The three parts of a token; nothing about them is verified.

    Attributes:
        signed: Header and payload as they stand in the token, with the dot between them.
        head: The header's text, base64url.
        payload: The payload's bytes.
        signature: The signature's bytes.
    """

    signed: bytes
    head: bytes
    payload: bytes
    signature: bytes


def split(token: bytes, *, max_bytes: int = MAX_TOKEN_BYTES) -> CompactJws:
    """Take a compact token apart and decode payload and signature.

    Args:
        token: ASCII, nothing before or behind it.
        max_bytes: The longest token that is looked at.

    Raises:
        JoseError: ``jose.oversized``, ``jose.shape`` when it is not three parts, ``jose.base64``.
    """
    if len(token) > max_bytes:
        raise JoseError("jose.oversized", f"A token is longer than {max_bytes} bytes.")
    # Three searches for one byte: taking a token apart with split looks at its bytes one by one.
    first = token.find(b".")
    second = token.find(b".", first + 1)
    if second <= first or token.find(b".", second + 1) != -1:
        raise JoseError("jose.shape", "A token does not have three parts.")
    if first > MAX_HEADER_BYTES or len(token) - second - 1 > _MAX_SIGNATURE_TEXT:
        raise JoseError("jose.oversized", "A token's header or signature is too long.")
    return CompactJws(
        token[:second], token[:first], decode(token[first + 1 : second]), decode(token[second + 1 :])
    )


def read_header(head: bytes, *, types: frozenset[str] = _TYPES) -> dict[str, Any]:
    """Return the members of a header.

    Args:
        head: The header's text, base64url.
        types: What the token may say that it is, in small letters; a header need not say it.

    Raises:
        JoseError: ``jose.base64``; ``jose.header`` when it is no object of known members that names an
            algorithm; ``jose.critical`` for ``crit``: no extension is understood here (RFC 7515, 4.1.11).
    """
    try:
        found = strictjson.parse_object(decode(head), max_bytes=MAX_HEADER_BYTES)
    except JsonError as error:
        raise JoseError("jose.header", f"A header cannot be read: {error.message}") from None
    if "crit" in found:
        raise JoseError("jose.critical", "A header demands extensions that are not understood here.")
    unknown = found.keys() - KNOWN_HEADER
    if unknown:
        raise JoseError("jose.header", f"A header has a member that is not accepted: {min(unknown)[:32]!r}.")
    if type(found.get("alg")) is not str:
        raise JoseError("jose.header", "A header names no algorithm.")
    kind = found.get("typ")
    if "typ" in found and (type(kind) is not str or kind.lower() not in types):
        raise JoseError("jose.header", "A header states another type than the token must have.")
    kid = found.get("kid", "-")
    if type(kid) is not str or not 0 < len(kid) <= MAX_KID:
        raise JoseError("jose.header", f"A key id is no text of 1 to {MAX_KID} characters.")
    return found


def read_claims(payload: bytes) -> dict[str, Any]:
    """Return the members of a payload that is a JSON object.

    Raises:
        JoseError: ``jose.claims`` when it is none, or has a member twice.
    """
    try:
        return strictjson.parse_object(payload, max_bytes=MAX_TOKEN_BYTES)
    except JsonError as error:
        raise JoseError("jose.claims", f"The claims cannot be read: {error.message}") from None
