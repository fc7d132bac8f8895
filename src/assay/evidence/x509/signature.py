"""Signature algorithms by the bytes of their AlgorithmIdentifier, and their verification."""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from assay.evidence.decoding.der import DerError

if TYPE_CHECKING:
    from collections.abc import Mapping

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class SignatureAlgorithm(StrEnum):
    """The algorithms a certificate may be signed with; SHA-1 is none of them."""

    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PKCS1_SHA384 = "rsa-pkcs1-sha384"
    RSA_PKCS1_SHA512 = "rsa-pkcs1-sha512"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"
    ECDSA_SHA512 = "ecdsa-sha512"


_HASHES: Final[Mapping[str, HashAlgorithm]] = {"sha256": SHA256(), "sha384": SHA384(), "sha512": SHA512()}
_NIST: Final = {"sha256": 1, "sha384": 2, "sha512": 3}  # last arc of 2.16.840.1.101.3.4.2.*


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes([tag, len(content)]) + content


def _pss(name: str, *, null: bool, trailer: bool) -> bytes:
    """Return RSASSA-PSS with equal hashes and a salt of their size (RFC 4055, section 3.1)."""
    oid = bytes.fromhex("0609608648016503040200")[:-1] + bytes([_NIST[name]])
    digest = _der(0x30, oid, b"\x05\x00" if null else b"")
    mask = _der(0x30, bytes.fromhex("06092a864886f70d010108"), digest)
    salt = _der(0xA2, _der(0x02, bytes([_HASHES[name].digest_size])))
    # trailerField has one value, its default; AMD writes it out all the same.
    last = bytes.fromhex("a303020101") if trailer else b""
    parameters = _der(0x30, _der(0xA0, digest), _der(0xA1, mask), salt, last)
    return _der(0x30, bytes.fromhex("06092a864886f70d01010a"), parameters)


def _pkcs1(arc: int) -> bytes:
    return _der(0x30, bytes.fromhex("06092a864886f70d0101") + bytes([arc]), b"\x05\x00")


def _ecdsa(arc: int) -> bytes:
    return _der(0x30, bytes.fromhex("06082a8648ce3d0403") + bytes([arc]))


ALGORITHMS: Final[Mapping[bytes, SignatureAlgorithm]] = MappingProxyType(
    {
        _pkcs1(11): SignatureAlgorithm.RSA_PKCS1_SHA256,
        _pkcs1(12): SignatureAlgorithm.RSA_PKCS1_SHA384,
        _pkcs1(13): SignatureAlgorithm.RSA_PKCS1_SHA512,
        _ecdsa(2): SignatureAlgorithm.ECDSA_SHA256,
        _ecdsa(3): SignatureAlgorithm.ECDSA_SHA384,
        _ecdsa(4): SignatureAlgorithm.ECDSA_SHA512,
        **{
            _pss(name, null=null, trailer=trailer): SignatureAlgorithm(f"rsa-pss-{name}")
            for name in _HASHES
            for null in (False, True)
            for trailer in (False, True)
        },
    }
)
"""AlgorithmIdentifier, DER, to the algorithm: compared whole, so that parameters cannot differ unseen."""

_EC_HASH: Final = {
    SignatureAlgorithm.ECDSA_SHA256: ec.ECDSA(SHA256()),
    SignatureAlgorithm.ECDSA_SHA384: ec.ECDSA(SHA384()),
    SignatureAlgorithm.ECDSA_SHA512: ec.ECDSA(SHA512()),
}
_RSA_SCHEME: Final = {
    algorithm: (
        padding.PKCS1v15()
        if algorithm.startswith("rsa-pkcs1")
        else padding.PSS(padding.MGF1(digest), digest.digest_size),
        digest,
    )
    for algorithm in SignatureAlgorithm
    if algorithm.startswith("rsa")
    for digest in (_HASHES[algorithm.rpartition("-")[2]],)
}


@cache
def is_rsa(kind: type) -> bool:
    """Tell whether keys of a class are RSA's; remembered, as its abstract class takes long to say so."""
    return issubclass(kind, rsa.RSAPublicKey)


@cache
def _is_curve(kind: type) -> bool:
    return issubclass(kind, ec.EllipticCurvePublicKey)


def load_key(spki: bytes) -> PublicKey:
    """Return the RSA or NIST-curve public key of a SubjectPublicKeyInfo, DER.

    Raises:
        DerError: It cannot be loaded, or is of another kind.
    """
    try:
        key: Any = load_der_public_key(spki)
    except Exception as error:  # the library raises several unrelated types for unusable keys
        raise DerError("A public key cannot be used.") from error
    kind: type = type(key)
    if not is_rsa(kind) and not _is_curve(kind):
        raise DerError("A public key is neither RSA nor of a NIST curve.")
    found: PublicKey = key
    return found


def verify_signature(key: PublicKey, algorithm: SignatureAlgorithm, signature: bytes, signed: bytes) -> bool:
    """Return whether ``signature`` over ``signed`` is the key's under the algorithm.

    A key of the other family than the algorithm's never verifies.
    """
    verifier: Any = key
    try:
        if is_rsa(type(key)):
            scheme = _RSA_SCHEME.get(algorithm)
            if scheme is None:
                return False
            verifier.verify(signature, signed, *scheme)
        else:
            digest = _EC_HASH.get(algorithm)
            if digest is None:
                return False
            verifier.verify(signature, signed, digest)
    except InvalidSignature:
        return False
    return True
