"""Tokens before they are signed, and key sets as services publish them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.evidence.jose.algorithms import ALGORITHMS
from assay.evidence.jose.base64url import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384"}


@dataclass(slots=True)
class TokenDraft:
    """A token before it is signed; each field may be changed, and the signature is right all the same.

    Attributes:
        header: The header; ``alg`` is what it says, not what it is signed with.
        claims: The payload.
        key: Signs it.
        algorithm: With what.
        raw_header: Bytes of the header instead of ``header``, such as one with a member twice.
        raw_claims: Bytes of the payload instead of ``claims``.
    """

    header: dict[str, Any]
    claims: dict[str, Any]
    key: PrivateKey
    algorithm: str
    raw_header: bytes | None = None
    raw_claims: bytes | None = None

    def sign(self) -> bytes:
        """Return the compact token."""
        head = compact(self.header) if self.raw_header is None else self.raw_header
        payload = compact(self.claims) if self.raw_claims is None else self.raw_claims
        signed = encode(head) + b"." + encode(payload)
        return signed + b"." + encode(signature(self.key, self.algorithm, signed))


def compact(value: Any) -> bytes:
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def signature(key: PrivateKey, algorithm: str, signed: bytes) -> bytes:
    """Return the raw signature over ``signed``."""
    found = ALGORITHMS[algorithm]
    if isinstance(key, rsa.RSAPrivateKey):
        assert found.padding is not None
        return key.sign(signed, found.padding, found.digest)
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(found.digest, deterministic_signing=True)))
    size = found.size
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def key_id(key: PrivateKey) -> str:
    """Return a key's id: the first 20 bytes of the SHA-256 of its SPKI, hexadecimal."""
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()[:40]


def jwk(key: PrivateKey, algorithm: str, kid: str) -> dict[str, Any]:
    """Return the public half as an entry of a key set."""
    entry: dict[str, Any] = {"kid": kid, "alg": algorithm, "use": "sig"}
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return entry | {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    point = key.public_key().public_numbers()
    size = key.curve.key_size // 8
    halves = {
        name: encode(value.to_bytes(size, "big")).decode() for name, value in (("x", point.x), ("y", point.y))
    }
    return entry | {"kty": "EC", "crv": _CURVES[key.curve.name], **halves}


def key_set(entries: Iterable[dict[str, Any]]) -> bytes:
    """Return a key set."""
    return compact({"keys": list(entries)})


def _number(value: int) -> str:
    return encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).decode()
