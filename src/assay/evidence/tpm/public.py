"""TPMT_PUBLIC and the attestation key. All integers are big-endian.

Source: TCG TPM 2.0 Library, part 2, sections 12.2.4 (TPMT_PUBLIC), 8.3 (TPMA_OBJECT); part 1, section 16
(names).
"""

from __future__ import annotations

import hashlib
from enum import IntFlag
from struct import Struct
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.records import field, record
from assay.evidence.tpm.signature import Scheme
from assay.evidence.x509.signature import is_rsa
from assay.evidence.x509.spki import is_usual, usual_rsa

if TYPE_CHECKING:
    from assay.evidence.tpm.signature import TpmSignature

MAX_PUBLIC_BYTES = 1024
"""Largest public area or SPKI read: RSA-4096 takes some 600 bytes."""
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 4096

_TYPE_RSA, _TYPE_ECC = 0x0001, 0x0023
_NULL = 0x0010
_RSAES = 0x0015
_ECDAA = 0x001A
_FIXED = Struct(">HHI")
_U16 = Struct(">H")
_U32 = Struct(">I")
_CURVES: dict[int, ec.EllipticCurve] = {
    0x0003: ec.SECP256R1(),
    0x0004: ec.SECP384R1(),
    0x0005: ec.SECP521R1(),
}
_HASHES: dict[Algorithm, hashes.HashAlgorithm] = {
    Algorithm.SHA1: hashes.SHA1(),  # noqa: S303 - recognised so that it can be refused by name
    Algorithm.SHA256: hashes.SHA256(),
    Algorithm.SHA384: hashes.SHA384(),
    Algorithm.SHA512: hashes.SHA512(),
    Algorithm.SHA3_256: hashes.SHA3_256(),
    Algorithm.SHA3_384: hashes.SHA3_384(),
    Algorithm.SHA3_512: hashes.SHA3_512(),
}


class Attributes(IntFlag):
    """TPMA_OBJECT."""

    FIXED_TPM = 1 << 1
    ST_CLEAR = 1 << 2
    FIXED_PARENT = 1 << 4
    SENSITIVE_DATA_ORIGIN = 1 << 5
    USER_WITH_AUTH = 1 << 6
    ADMIN_WITH_POLICY = 1 << 7
    NO_DA = 1 << 10
    ENCRYPTED_DUPLICATION = 1 << 11
    RESTRICTED = 1 << 16
    DECRYPT = 1 << 17
    SIGN = 1 << 18
    X509_SIGN = 1 << 19


_KNOWN = sum(Attributes)
# Plain numbers: to test one bit of an IntFlag makes an object, and takes thirty times as long.
_DEMANDED = {
    int(Attributes.FIXED_TPM): "fixedTPM",
    int(Attributes.FIXED_PARENT): "fixedParent",
    int(Attributes.SENSITIVE_DATA_ORIGIN): "sensitiveDataOrigin",
    int(Attributes.RESTRICTED): "restricted",
    int(Attributes.SIGN): "sign",
}
_DECRYPT = int(Attributes.DECRYPT)
_NAMED = {int(algorithm): algorithm for algorithm in Algorithm}


@record
class AttestationKey:
    """The key that signs quotes.

    Attributes:
        key: The public key.
        spki: Its SubjectPublicKeyInfo, DER.
        attributes: TPMA_OBJECT of its public area; None when only an SPKI was given.
        name: Its TPM name, u16 hash algorithm and digest of the public area; None for an SPKI.
        scheme: The scheme and hash that the public area fixes; None when it fixes none, or for an SPKI.
        digest: SHA-256 of the SPKI, 32 bytes: names the key whatever form it was given in.
        is_rsa: Whether it is an RSA key; otherwise it is on an elliptic curve.
        lacks: What the public area lacks, or has too much of, to be an attestation key: names of TPMA_OBJECT;
            empty when all is well or only an SPKI was given.
    """

    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    spki: bytes
    attributes: Attributes | None
    name: bytes | None
    scheme: tuple[int, int] | None
    digest: bytes = field(init=False)
    is_rsa: bool = field(init=False)
    lacks: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha256(self.spki).digest())
        object.__setattr__(self, "is_rsa", is_rsa(type(self.key)))
        object.__setattr__(self, "lacks", _lacks(self.attributes))

    @classmethod
    def parse(cls, data: bytes) -> AttestationKey:
        """Decode a TPMT_PUBLIC, a TPM2B_PUBLIC, or a SubjectPublicKeyInfo in DER.

        Raises:
            EvidenceError: ``tpm.public.`` and ``size``, ``malformed``, ``kind`` or ``weak``.
        """
        if not 16 <= len(data) <= MAX_PUBLIC_BYTES:
            raise EvidenceError(
                "tpm.public.size", f"A public key has 16 to {MAX_PUBLIC_BYTES} bytes, not {len(data)}."
            )
        if data[0] == 0x30:
            return cls(*_from_spki(data), None, None, None)
        (size,) = _U16.unpack_from(data)
        return _from_public(data[2:] if size == len(data) - 2 else data)

    def admits(self, signature: TpmSignature) -> bool:
        """Tell whether a signature is of this kind of key, and of the scheme that its public area fixes."""
        scheme = signature.scheme
        if self.is_rsa is (scheme is _ECDSA):
            return False
        return self.scheme is None or self.scheme == (scheme, signature.algorithm)

    def verifies(self, signature: TpmSignature, signed: bytes) -> bool:
        """Tell whether this key made the signature over ``signed``."""
        return self.verifies_digest(signature, signature.algorithm.digest(signed))

    def verifies_digest(self, signature: TpmSignature, digest: bytes) -> bool:
        """Tell whether this key made the signature, given the digest by its hash of what is signed."""
        hashed = _PREHASHED[signature.algorithm]
        key: Any = self.key  # of the kind that ``is_rsa`` says
        try:
            if self.is_rsa:
                pad = _PKCS1 if signature.scheme is _RSASSA else _pss(signature.algorithm)
                key.verify(signature.parts[0], digest, pad, hashed)
                return True
            r, s = (int.from_bytes(part, "big") for part in signature.parts)
            key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(hashed))
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


_PKCS1 = padding.PKCS1v15()
_RSASSA, _ECDSA = Scheme.RSASSA, Scheme.ECDSA
_PREHASHED = {algorithm: Prehashed(digest) for algorithm, digest in _HASHES.items()}


def _pss(algorithm: Algorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(_HASHES[algorithm]), padding.PSS.AUTO)


def _lacks(attributes: Attributes | None) -> tuple[str, ...]:
    if attributes is None:
        return ()
    bits = int(attributes)
    lacks = tuple([name for bit, name in _DEMANDED.items() if not bits & bit])
    return (*lacks, "not decrypt") if bits & _DECRYPT else lacks


def _malformed(why: str) -> NoReturn:
    raise EvidenceError("tpm.public.malformed", why)


def _encode(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _strong(key: rsa.RSAPublicKey, exponent: int) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS or exponent < _USUAL_EXPONENT:
        raise EvidenceError(
            "tpm.public.weak", f"An RSA key of {key.key_size} bits or of a small exponent is refused."
        )


def _from_spki(data: bytes) -> tuple[rsa.RSAPublicKey | ec.EllipticCurvePublicKey, bytes]:
    key = _load(data, "The public key is no SubjectPublicKeyInfo.")
    if is_usual(data):
        return key, data
    if isinstance(key, rsa.RSAPublicKey):
        _strong(key, key.public_numbers().e)
    elif not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(
        key.curve, tuple(map(type, _CURVES.values()))
    ):
        raise EvidenceError("tpm.public.kind", "The public key is neither RSA nor on P-256, P-384 or P-521.")
    if _encode(key) != data:
        _malformed("The public key is not encoded as DER says.")
    return key, data


def _load(spki: bytes, why: str) -> Any:
    """Return the key of a SubjectPublicKeyInfo; of whatever kind it is."""
    try:
        return serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        _malformed(why)


class _Reader:
    """Takes a public area apart from front to back."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            _malformed("The public area is cut short.")
        found = self.data[self.at : end]
        self.at = end
        return found

    def scheme(self) -> tuple[int, int] | None:
        number = self.u16()
        if number in (_NULL, _RSAES):
            return None
        found = number, self.u16()
        if number == _ECDAA:
            self.take(2)
        return found


def _from_public(data: bytes) -> AttestationKey:
    reader = _Reader(data)
    kind, name_number, bits = _FIXED.unpack(reader.take(_FIXED.size))
    if kind not in (_TYPE_RSA, _TYPE_ECC):
        raise EvidenceError(
            "tpm.public.kind", f"The public area is of type 0x{kind:04x}, neither RSA nor ECC."
        )
    if bits & ~_KNOWN:
        _malformed("The public area has reserved attribute bits set.")
    named = _NAMED.get(name_number)
    if named is None or not named.offered:
        _malformed("The public area's name algorithm is unknown, or not offered by this system.")
    reader.take(reader.u16())  # authPolicy
    if reader.u16() != _NULL:  # symmetric: keyBits and mode follow
        reader.take(4)
    scheme = reader.scheme()
    key, spki = _rsa(reader) if kind == _TYPE_RSA else _ecc(reader)
    if reader.at != len(data):
        _malformed(f"{len(data) - reader.at} bytes follow the public area.")
    name = name_number.to_bytes(2, "big") + named.digest(data)
    return AttestationKey(key, spki, Attributes(bits), name, scheme)


def _rsa(reader: _Reader) -> tuple[rsa.RSAPublicKey, bytes]:
    bits = reader.u16()
    exponent = int.from_bytes(reader.take(4), "big") or _USUAL_EXPONENT
    modulus = reader.take(reader.u16())
    number = int.from_bytes(modulus, "big")
    if number.bit_length() != bits or 8 * len(modulus) != bits:
        _malformed("The public area's modulus is not of the size that it says.")
    # To write a usual key as an SPKI and to load that takes a third of what the numbers take.
    spki = usual_rsa(modulus) if exponent == _USUAL_EXPONENT else None
    if spki is not None:
        return _load(spki, _NO_RSA), spki
    try:
        key = rsa.RSAPublicNumbers(exponent, number).public_key()
    except ValueError:
        _malformed(_NO_RSA)
    _strong(key, exponent)
    return key, _encode(key)


_USUAL_EXPONENT = 65537
_NO_RSA = "The public area holds no RSA key."


def _ecc(reader: _Reader) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    curve = _CURVES.get(reader.u16())
    if curve is None:
        raise EvidenceError("tpm.public.kind", "The public area's curve is not P-256, P-384 or P-521.")
    if reader.u16() != _NULL:  # kdf: its hash follows
        reader.take(2)
    x, y = reader.take(reader.u16()), reader.take(reader.u16())
    size = (curve.key_size + 7) // 8
    if not 0 < len(x) <= size or not 0 < len(y) <= size:
        _malformed("The public area's point is not of the curve's size.")
    point = b"\4" + x.rjust(size, b"\0") + y.rjust(size, b"\0")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    except ValueError:
        _malformed("The public area's point is not on its curve.")
    return key, _encode(key)
