"""What evidence of a TPM costs at the least: its bytes taken apart, its signature and the hash of its PCRs.

Nothing is judged here and nothing kept: these are floors, as little code as the formats allow.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PKCS1, HASH = padding.PKCS1v15(), SHA256()
ATTEST = Struct(">IHH")
SIZE = Struct(">H")
REST = Struct(">QIIBQIHB3sH")
SIGNATURE = Struct(">HHH")
SECTION = Struct(">HI")
VALUES = Struct("=" + 24 * "x32s")
PREFIX = 10


def bare_quote(key: RSAPublicKey, attest: bytes, signature: bytes, values: Iterable[bytes]) -> None:
    """Read a quote's fields, verify its bare RSA-2048 signature, and hash the PCR values."""
    _, _, size = ATTEST.unpack_from(attest)
    at = ATTEST.size + size
    (size,) = SIZE.unpack_from(attest, at)
    REST.unpack_from(attest, at + SIZE.size + size)
    key.verify(signature, attest, PKCS1, HASH)
    if hashlib.sha256(b"".join(values)).digest() != attest[-32:]:
        raise ValueError("the PCR values are not those of the quote")


def bare_signature(signature: bytes) -> bytes:
    """Return the RSA signature of a TPMT_SIGNATURE."""
    _, _, size = SIGNATURE.unpack_from(signature)
    return signature[SIGNATURE.size : SIGNATURE.size + size]


def bare_container(data: bytes) -> tuple[bytes, bytes, tuple[bytes, ...], list[bytes]]:
    """Return quote, bare signature, the 24 PCR values and the certificates of a container of TPM evidence."""
    found: dict[int, bytes] = {}
    certificates = []
    at = PREFIX
    while at < len(data):
        kind, size = SECTION.unpack_from(data, at)
        at += SECTION.size
        found[kind] = data[at : at + size]
        if kind == 4:
            certificates.append(found[kind])
        at += size
    return found[1], bare_signature(found[2]), VALUES.unpack_from(found[5], 3), certificates
