"""Signature algorithms of JSON Web Signatures (RFC 7518, section 3), each tied to one kind of key.

There is no ``none`` and no HMAC: a verifier that holds public keys has no use for either, and both have been
the way around one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from assay.evidence.x509.general import KeyKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    from assay.evidence.x509.signature import PublicKey


class Algorithm(NamedTuple):
    """One algorithm.

    Attributes:
        name: As a header's ``alg`` names it.
        kind: The kind of key that it needs.
        digest: Its hash.
        padding: The padding of RSA; None for ECDSA.
        size: Bytes of each half of a raw ECDSA signature; 0 for RSA.
    """

    name: str
    kind: KeyKind
    digest: HashAlgorithm
    padding: padding.PKCS1v15 | padding.PSS | None
    size: int


def _pss(digest: HashAlgorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), digest.digest_size)


ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    found.name: found
    for found in (
        Algorithm("RS256", KeyKind.RSA, SHA256(), padding.PKCS1v15(), 0),
        Algorithm("PS256", KeyKind.RSA, SHA256(), _pss(SHA256()), 0),
        Algorithm("PS384", KeyKind.RSA, SHA384(), _pss(SHA384()), 0),
        Algorithm("ES256", KeyKind.P256, SHA256(), None, 32),
        Algorithm("ES384", KeyKind.P384, SHA384(), None, 48),
    )
}
_PREHASHED: Final = {name: Prehashed(found.digest) for name, found in ALGORITHMS.items()}


def fits(key: PublicKey, algorithm: Algorithm) -> bool:
    """Return whether a key is of the kind that the algorithm needs."""
    if isinstance(key, rsa.RSAPublicKey):
        return algorithm.padding is not None
    return algorithm.size > 0 and key.curve.key_size == 8 * algorithm.size


def verify(key: PublicKey, algorithm: Algorithm, signature: bytes, signed: bytes) -> bool:
    """Return whether a signature over ``signed`` is the key's; a key of another kind never verifies.

    Args:
        key: The key.
        algorithm: The algorithm.
        signature: RSA: as long as the modulus. ECDSA: r and s, big-endian, of the curve's size each.
        signed: The bytes.
    """
    return fits(key, algorithm) and verify_fitting(key, algorithm, signature, signed)


def verify_fitting(
    key: PublicKey, algorithm: Algorithm, signature: bytes, signed: bytes, hashed: bytes | None = None
) -> bool:
    """Return what ``verify`` does for a key that is known to fit.

    Args:
        key: A key that ``fits`` the algorithm: asking each time takes as long as decoding the signature.
        algorithm: The algorithm.
        signature: As for ``verify``.
        signed: The bytes.
        hashed: Their digest under the algorithm's hash, where the caller has it.
    """
    digest: HashAlgorithm | Prehashed = algorithm.digest
    if hashed is not None:
        signed, digest = hashed, _PREHASHED[algorithm.name]
    size = algorithm.size
    try:
        if size == 0:
            # An algorithm of size 0 is RSA's, and each of those has its padding.
            key.verify(signature, signed, algorithm.padding, digest)  # type: ignore[call-arg, arg-type]
        else:
            if len(signature) != 2 * size:
                return False
            r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
            raw = encode_dss_signature(r, s)
            # Any other size is an elliptic curve's.
            key.verify(raw, signed, ec.ECDSA(digest))  # type: ignore[call-arg, arg-type]
    except InvalidSignature:
        return False
    return True
