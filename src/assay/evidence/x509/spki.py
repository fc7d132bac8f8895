"""SubjectPublicKeyInfo: what kind of key it holds, and how a key of a usual kind is written as one. DER.

Source: RFC 5280, section 4.1.2.7; RFC 3279, section 2.3.1 (RSA); RFC 5480, section 2 (elliptic curves).
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import BIT_STRING, INTEGER, SEQUENCE, DerError, DerReader

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAST_RSA_BITS: Final = 2048
_MOST_RSA_BITS: Final = 8192
_RSA: Final = bytes.fromhex("300d06092a864886f70d0101010500")  # rsaEncryption, parameters NULL
_EC: Final = bytes.fromhex("06072a8648ce3d0201")  # id-ecPublicKey


class KeyKind(StrEnum):
    """The kinds of public key that are read."""

    RSA = "rsa"
    P256 = "p256"
    P384 = "p384"
    P521 = "p521"


_CURVES: Final[Mapping[bytes, tuple[KeyKind, int]]] = {
    bytes.fromhex("06082a8648ce3d030107"): (KeyKind.P256, 65),
    bytes.fromhex("06052b81040022"): (KeyKind.P384, 97),
    bytes.fromhex("06052b81040023"): (KeyKind.P521, 133),
}


def _usual_rsa(size: int) -> tuple[int, tuple[KeyKind, bytes, bytes]]:
    """Return the size of a SubjectPublicKeyInfo, and what stands around a modulus of ``size`` bytes in it."""
    end = bytes.fromhex("0203010001")  # the exponent 65537
    modulus = b"\x02\x82" + (size + 1).to_bytes(2, "big") + b"\0"
    pair = b"\x30\x82" + (len(modulus) + size + len(end)).to_bytes(2, "big") + modulus
    key = b"\x03\x82" + (1 + len(pair) + size + len(end)).to_bytes(2, "big") + b"\0" + pair
    start = b"\x30\x82" + (len(_RSA) + len(key) + size + len(end)).to_bytes(2, "big") + _RSA + key
    return len(start) + size + len(end), (KeyKind.RSA, start, end)


def _usual_point(curve: bytes, kind: KeyKind, size: int) -> tuple[int, tuple[KeyKind, bytes, bytes]]:
    """Return the size of a SubjectPublicKeyInfo, and what stands before a point's coordinates in it."""
    algorithm = bytes([SEQUENCE, len(_EC + curve)]) + _EC + curve
    start = bytes([SEQUENCE, len(algorithm) + 3 + size]) + algorithm + bytes([BIT_STRING, size + 1, 0, 4])
    return len(start) + size - 1, (kind, start, b"")


# P-521 is left out: its lengths have another form, and few have such a key.
_USUAL: Final = dict(
    (
        *(_usual_rsa(bits // 8) for bits in (2048, 3072, 4096)),
        *(_usual_point(oid, kind, size) for oid, (kind, size) in _CURVES.items() if kind is not KeyKind.P521),
    )
)


def key_kind(spki: bytes) -> KeyKind:
    """Return what kind of key a SubjectPublicKeyInfo holds, without loading it.

    Raises:
        DerError: It is no RSA key of 2,048 to 8,192 bits and no uncompressed point of P-256, P-384 or P-521.
    """
    # Nearly all keys are of few sizes, whose encodings differ in nothing but modulus or point: whatever is
    # not exactly such an encoding, the reader below looks at.
    usual = _usual_kind(spki)
    if usual is not None:
        return usual
    top = DerReader(spki)
    outer = top.enter()
    top.finish()
    algorithm = outer.whole(SEQUENCE)
    key = outer.bits()
    outer.finish()
    if algorithm == _RSA:
        _demand_rsa(key)
        return KeyKind.RSA
    inner = DerReader(algorithm).enter()
    curve = _CURVES.get(algorithm[inner.pos :]) if inner.fixed(_EC) else None
    if curve is None or len(key) != curve[1] or key[0] != 4:
        raise DerError("A certificate's key is no RSA key and no uncompressed point of a known curve.")
    return curve[0]


def _usual_kind(spki: bytes) -> KeyKind | None:
    usual = _USUAL.get(len(spki))
    if usual is not None:
        kind, start, end = usual
        # A modulus that begins with a set bit is of the size of its bytes.
        if spki.startswith(start) and spki.endswith(end) and (not end or spki[len(start)] & 0x80):
            return kind
    return None


def _demand_rsa(key: bytes) -> None:
    numbers = DerReader(key)
    pair = numbers.enter()
    numbers.finish()
    modulus = int.from_bytes(pair.unsigned(INTEGER), "big")
    exponent = int.from_bytes(pair.unsigned(INTEGER), "big")
    pair.finish()
    if not _LEAST_RSA_BITS <= modulus.bit_length() <= _MOST_RSA_BITS or not 1 < exponent < 1 << 32:
        raise DerError(f"An RSA key does not have {_LEAST_RSA_BITS} to {_MOST_RSA_BITS} bits.")


def is_usual(spki: bytes) -> bool:
    """Tell whether it is the one encoding of a key of a usual kind.

    That is RSA of 2,048, 3,072 or 4,096 bits with the exponent 65537, or an uncompressed point of P-256 or
    P-384; whether the point is on its curve is not looked at.
    """
    return _usual_kind(spki) is not None


def usual_rsa(modulus: bytes) -> bytes | None:
    """Return the SubjectPublicKeyInfo of a modulus, big-endian, with the exponent 65537.

    None for one that is not of a usual size, or is shorter than its bytes.
    """
    around = _AROUND.get(len(modulus))
    return around[0] + modulus + around[1] if around is not None and modulus[0] & 0x80 else None


_AROUND: Final = {
    size - len(start) - len(end): (start, end)
    for size, (kind, start, end) in _USUAL.items()
    if kind is KeyKind.RSA
}
