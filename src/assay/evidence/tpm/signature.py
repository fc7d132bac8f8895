"""TPMT_SIGNATURE: the signature of a quote with the scheme and hash that made it. Big-endian.

Source: TCG TPM 2.0 Library, part 2, sections 11.3.4 (TPMT_SIGNATURE), 11.2.4 (TPMS_SIGNATURE_RSA), 11.2.3
(TPMS_SIGNATURE_ECC).
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm

MAX_SIGNATURE_BYTES = 600
"""Largest TPMT_SIGNATURE read: RSA-4096 takes 518 bytes."""

_HEAD = Struct(">HHH")
_U16 = Struct(">H")


class Scheme(IntEnum):
    """A signature scheme by its number in the TCG algorithm registry."""

    RSASSA = 0x0014
    RSAPSS = 0x0016
    ECDSA = 0x0018


class TpmSignature(NamedTuple):
    """A decoded TPMT_SIGNATURE.

    Attributes:
        scheme: RSASSA (PKCS #1 v1.5), RSAPSS or ECDSA.
        algorithm: Hash that was signed.
        parts: The RSA signature as it stands, or r and s of ECDSA, big-endian.
    """

    scheme: Scheme
    algorithm: Algorithm
    parts: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> TpmSignature:
        """Decode a TPMT_SIGNATURE to its last byte.

        Raises:
            EvidenceError: ``tpm.signature.`` and ``size``, ``scheme``, ``hash``, ``truncated``, ``trailing``.
        """
        size = len(data)
        if not _HEAD.size <= size <= MAX_SIGNATURE_BYTES:
            raise EvidenceError(
                "tpm.signature.size", f"A TPMT_SIGNATURE has 6 to {MAX_SIGNATURE_BYTES} bytes, not {size}."
            )
        number, hash_number, first_size = _HEAD.unpack_from(data)
        scheme = _SCHEMES.get(number)
        if scheme is None:
            raise EvidenceError("tpm.signature.scheme", f"The signature scheme 0x{number:04x} is unknown.")
        algorithm = _HASHES.get(hash_number)
        if algorithm is None:
            raise EvidenceError("tpm.signature.hash", f"The signature's hash 0x{hash_number:04x} is unknown.")
        at = _HEAD.size + first_size
        parts: tuple[bytes, ...] = (data[_HEAD.size : at],)
        if scheme is _ECDSA:
            if at + 2 > size:
                raise EvidenceError("tpm.signature.truncated", "The signature ends before its second half.")
            (second_size,) = _U16.unpack_from(data, at)
            parts = (*parts, data[at + 2 : at + 2 + second_size])
            at += 2 + second_size
        if at > size:
            raise EvidenceError("tpm.signature.truncated", "The signature is shorter than it says.")
        if at < size:
            raise EvidenceError("tpm.signature.trailing", f"{size - at} bytes follow the signature.")
        return _make(cls, (scheme, algorithm, parts))


_make = tuple.__new__  # what the class's own constructor calls, without the step in between
_ECDSA = Scheme.ECDSA
_SCHEMES = {int(scheme): scheme for scheme in Scheme}
_HASHES = {
    int(found): found
    for found in (
        Algorithm.SHA1,
        Algorithm.SHA256,
        Algorithm.SHA384,
        Algorithm.SHA512,
        Algorithm.SHA3_256,
        Algorithm.SHA3_384,
        Algorithm.SHA3_512,
    )
}


def rsassa_signature(raw: bytes, algorithm: Algorithm) -> bytes:
    """Return the TPMT_SIGNATURE of a bare RSASSA signature, for formats that carry it without its header."""
    return _HEAD.pack(Scheme.RSASSA, algorithm, len(raw)) + raw


def rsassa(raw: bytes, algorithm: Algorithm) -> TpmSignature | bytes:
    """Return the same as ``TpmSignature.parse`` reads it; one that is too long to be read stays as it is."""
    if len(raw) > MAX_SIGNATURE_BYTES - _HEAD.size:
        return rsassa_signature(raw, algorithm)
    return _make(TpmSignature, (Scheme.RSASSA, algorithm, (raw,)))
