"""Signed Entity Attestation Tokens: a JWT or a CWT under a key that the caller gives.

Whose key it is, and what it may vouch for, is the caller's to know: there is no published authority for
tokens of strangers, so this yields claims of a signer, never hardware evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.evidence.cose.sign1 import CoseError, Sign1
from assay.evidence.decoding import cbor
from assay.evidence.decoding.cbor import CborError, Tag
from assay.evidence.eat.claims import MAX_EAT_BYTES, Eat
from assay.evidence.eat.errors import EatError
from assay.evidence.jose.algorithms import ALGORITHMS, verify
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.jws import read_header, split

if TYPE_CHECKING:
    from collections.abc import Collection

    from assay.evidence.cose.algorithms import Algorithm
    from assay.evidence.x509.signature import PublicKey

_TAG_CWT: Final = 61
_TYPES: Final = frozenset({"jwt", "eat+jwt", "application/eat+jwt"})


def open_jwt(token: bytes, key: PublicKey, *, algorithms: Collection[str]) -> Eat:
    """Return the claims of a JWT that the key signed.

    Args:
        token: The compact token.
        key: The signer's key.
        algorithms: The only ``alg`` values that are accepted.

    Raises:
        EatError: ``eat.malformed``, ``eat.signature`` when algorithm or signature are not the key's,
            ``eat.claim``.
    """
    try:
        jws = split(token, max_bytes=MAX_EAT_BYTES)
        name = read_header(jws.head, types=_TYPES)["alg"]
    except JoseError as error:
        raise EatError("eat.malformed", f"The token cannot be read: {error.message}") from None
    algorithm = ALGORITHMS.get(name) if name in algorithms else None
    if algorithm is None or not verify(key, algorithm, jws.signature, jws.signed):
        raise EatError(
            "eat.signature", "The token's algorithm is not accepted, or its signature not the key's."
        )
    return Eat.from_json(jws.payload)


def open_cwt(token: bytes, key: PublicKey, *, algorithms: Collection[Algorithm]) -> Eat:
    """Return the claims of a CWT (RFC 8392) that the key signed: COSE_Sign1, with or without its tags.

    Args:
        token: The message.
        key: The signer's key.
        algorithms: The only algorithms that are accepted.

    Raises:
        EatError: ``eat.malformed``, ``eat.signature``, ``eat.claim``.
    """
    try:
        found = cbor.decode(token, max_bytes=MAX_EAT_BYTES)
        message = Sign1.of(found.value if isinstance(found, Tag) and found.number == _TAG_CWT else found)
    except (CborError, CoseError) as error:
        raise EatError("eat.malformed", f"The token cannot be read: {error.message}") from None
    if message.payload is None:
        raise EatError("eat.malformed", "The token's claims are not in it.")
    try:
        message.verify(key, algorithms=algorithms)
    except CoseError as error:
        raise EatError("eat.signature", f"The token is not the key's: {error.message}") from None
    return Eat.from_cbor(message.payload)
