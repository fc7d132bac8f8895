"""The signature algorithms of COSE (RFC 9053 section 2, RFC 8230), and which keys make them."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_LEAST_RSA_BITS: Final = 2048
_NIST: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})


class Algorithm(IntEnum):
    """The algorithms that can be accepted, by their numbers in the registry; none of them uses SHA-1."""

    ES256 = -7
    EDDSA = -8
    ES384 = -35
    ES512 = -36
    PS256 = -37
    PS384 = -38
    PS512 = -39


class _Scheme(Protocol):
    def fits(self, key: PublicKeyTypes) -> bool:
        """Tell whether a key can make such signatures."""

    def verify(self, key: Any, signature: bytes, message: bytes) -> None:
        """Verify a signature under a key that fits; ``InvalidSignature`` when it is not the key's."""


class _Ecdsa:
    """ECDSA: r and s, each as long as the curve's order. The hash is the algorithm's, the curve the key's."""

    __slots__ = ("_hash",)

    def __init__(self, digest: HashAlgorithm) -> None:
        self._hash = ec.ECDSA(digest)

    def fits(self, key: PublicKeyTypes) -> bool:
        return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _NIST

    def verify(self, key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> None:
        size = (key.curve.key_size + 7) // 8
        if len(signature) != 2 * size:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        key.verify(encode_dss_signature(r, s), message, self._hash)


class _Pss:
    """RSASSA-PSS: MGF1 with the same hash, salt of its size."""

    __slots__ = ("_hash", "_padding")

    def __init__(self, digest: HashAlgorithm) -> None:
        self._hash = digest
        self._padding = padding.PSS(padding.MGF1(digest), digest.digest_size)

    def fits(self, key: PublicKeyTypes) -> bool:
        return isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS

    def verify(self, key: rsa.RSAPublicKey, signature: bytes, message: bytes) -> None:
        key.verify(signature, message, self._padding, self._hash)


class _EdDsa:
    """EdDSA: Ed25519 or Ed448, as the key says."""

    __slots__ = ()

    def fits(self, key: PublicKeyTypes) -> bool:
        return isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)

    def verify(
        self, key: ed25519.Ed25519PublicKey | ed448.Ed448PublicKey, signature: bytes, message: bytes
    ) -> None:
        key.verify(signature, message)


SCHEMES: Final[Mapping[Algorithm, _Scheme]] = MappingProxyType(
    {
        Algorithm.ES256: _Ecdsa(SHA256()),
        Algorithm.EDDSA: _EdDsa(),
        Algorithm.ES384: _Ecdsa(SHA384()),
        Algorithm.ES512: _Ecdsa(SHA512()),
        Algorithm.PS256: _Pss(SHA256()),
        Algorithm.PS384: _Pss(SHA384()),
        Algorithm.PS512: _Pss(SHA512()),
    }
)
"""How each algorithm is verified."""
