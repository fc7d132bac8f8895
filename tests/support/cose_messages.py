"""Signed messages to spoil, and keys as the published examples write them."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.decoding.cbor import Tag, encode

HASHES = {"256": SHA256(), "384": SHA384(), "512": SHA512()}
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


def sign(key: Any, algorithm: Algorithm, message: bytes) -> bytes:
    """Sign a Sig_structure as the algorithm demands."""
    digest = HASHES.get(algorithm.name[2:])
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return key.sign(message)


def message(
    key: Any,
    algorithm: Algorithm,
    payload: bytes | None = b"payload",
    *,
    headers: Any = None,
    protected: bytes | None = None,
    unprotected: Any = None,
    external_aad: bytes = b"",
    detached: bool = False,
    tagged: bool = True,
    context: str = "Signature1",
) -> bytes:
    """Return a message; whatever is given goes in as it is, and is signed as it is."""
    if protected is None:
        protected = encode({1: int(algorithm), **(headers or {})})
    signed = encode([context, protected, external_aad, payload])
    parts = [
        protected,
        {} if unprotected is None else unprotected,
        None if detached else payload,
        sign(key, algorithm, signed),
    ]
    return encode(Tag(18, parts) if tagged else parts)


def _number(text: str) -> int:
    return int.from_bytes(_octets(text), "big")


def _octets(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def public_key(jwk: dict[str, str]) -> Any:
    """Return the public key of a JWK, or of an example that writes its point in hexadecimal."""
    if jwk["kty"] == "RSA":
        e, n = (
            int(jwk[f"{name}_hex"], 16) if f"{name}_hex" in jwk else _number(jwk[name]) for name in ("e", "n")
        )
        return rsa.RSAPublicNumbers(e, n).public_key()
    if jwk["kty"] == "OKP":
        point = bytes.fromhex(jwk["x_hex"]) if "x_hex" in jwk else _octets(jwk["x"])
        kind = ed25519.Ed25519PublicKey if len(point) == 32 else ed448.Ed448PublicKey
        return kind.from_public_bytes(point)
    x, y = (
        int(jwk[f"{name}_hex"], 16) if f"{name}_hex" in jwk else _number(jwk[name]) for name in ("x", "y")
    )
    return ec.EllipticCurvePublicNumbers(x, y, CURVES[jwk["crv"]]).public_key()
