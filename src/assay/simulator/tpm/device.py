"""A TPM in software: PCR banks, an attestation key, and quotes that may be changed before they are signed.

Source: TCG TPM 2.0 Library, part 1, section 17 (PCR operations); part 2, sections 10.12.8 and 12.2.4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.tpm.public import Attributes
from assay.evidence.tpm.signature import Scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

AK_ATTRIBUTES = (
    Attributes.FIXED_TPM
    | Attributes.FIXED_PARENT
    | Attributes.SENSITIVE_DATA_ORIGIN
    | Attributes.USER_WITH_AUTH
    | Attributes.NO_DA
    | Attributes.RESTRICTED
    | Attributes.SIGN
)
PCR_COUNT = 24
_ENDORSEMENT = 0x4000000B
_NULL = 0x0010
_CURVES = {"secp256r1": 0x0003, "secp384r1": 0x0004, "secp521r1": 0x0005}
_HASHES: dict[Algorithm, hashes.HashAlgorithm] = {
    Algorithm.SHA1: hashes.SHA1(),  # noqa: S303 - a TPM that signs with SHA-1 has to be refused
    Algorithm.SHA256: hashes.SHA256(),
    Algorithm.SHA384: hashes.SHA384(),
    Algorithm.SHA512: hashes.SHA512(),
}


def sized(data: bytes) -> bytes:
    """Return a TPM2B: the bytes behind their length (u16)."""
    return struct.pack(">H", len(data)) + data


def spki(key: PrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a key, DER."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def public_area(
    key: PrivateKey,
    *,
    attributes: int = AK_ATTRIBUTES,
    scheme: tuple[int, int] | None = None,
    symmetric: int = _NULL,
) -> bytes:
    """Return the TPMT_PUBLIC of a key whose names are SHA-256.

    Args:
        key: The key.
        attributes: TPMA_OBJECT.
        scheme: Scheme and hash that it fixes; by default RSASSA or ECDSA with SHA-256.
        symmetric: The symmetric algorithm; a signing key has none.
    """
    is_rsa = isinstance(key, rsa.RSAPrivateKey)
    number, hashed = scheme or (Scheme.RSASSA if is_rsa else Scheme.ECDSA, Algorithm.SHA256)
    kind = 0x0001 if is_rsa else 0x0023
    head = struct.pack(">HHI", kind, Algorithm.SHA256, attributes) + sized(b"") + struct.pack(">H", symmetric)
    head += struct.pack(">H", number) if number == _NULL else struct.pack(">HH", number, hashed)
    if isinstance(key, rsa.RSAPrivateKey):
        modulus = key.public_key().public_numbers().n
        return head + struct.pack(">HI", key.key_size, 0) + sized(modulus.to_bytes(key.key_size // 8, "big"))
    numbers = key.public_key().public_numbers()
    size = (key.curve.key_size + 7) // 8
    point = sized(numbers.x.to_bytes(size, "big")) + sized(numbers.y.to_bytes(size, "big"))
    return head + struct.pack(">HH", _CURVES[key.curve.name], _NULL) + point


def sign(key: PrivateKey, message: bytes, scheme: Scheme, algorithm: Algorithm) -> bytes:
    """Return the TPMT_SIGNATURE over a message."""
    hashed = _HASHES[algorithm]
    head = struct.pack(">HH", scheme, algorithm)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashed)))
        size = (key.curve.key_size + 7) // 8
        return head + sized(r.to_bytes(size, "big")) + sized(s.to_bytes(size, "big"))
    if scheme is Scheme.RSAPSS:
        pss = padding.PSS(padding.MGF1(hashed), padding.PSS.DIGEST_LENGTH)
        return head + sized(key.sign(message, pss, hashed))
    return head + sized(key.sign(message, padding.PKCS1v15(), hashed))


@dataclass(slots=True)
class QuoteDraft:
    """A quote before it is signed.

    Attributes:
        qualified_signer: Qualified name of the key.
        extra_data: The qualifying data.
        selections: Bank and PCR bitmap (first byte: PCRs 0 to 7) of each selection.
        digest: Digest over the selected PCRs.
        key: What signs.
        scheme: How it signs.
        algorithm: Hash of the signature.
        after: Changes the encoded structure before it is signed.
    """

    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: int
    firmware_version: int
    selections: list[tuple[int, bytes]]
    digest: bytes
    key: PrivateKey = field(repr=False)
    scheme: Scheme
    algorithm: Algorithm
    magic: int = 0xFF544347
    kind: int = 0x8018
    after: Callable[[bytes], bytes] = field(default=bytes)

    def attest(self) -> bytes:
        """Return the TPMS_ATTEST as it stands."""
        clock = struct.pack(
            ">QIIBQI",
            self.clock,
            self.reset_count,
            self.restart_count,
            self.safe,
            self.firmware_version,
            len(self.selections),
        )
        selections = b"".join(
            struct.pack(">HB", bank, len(bitmap)) + bitmap for bank, bitmap in self.selections
        )
        head = struct.pack(">IH", self.magic, self.kind) + sized(self.qualified_signer)
        return self.after(head + sized(self.extra_data) + clock + selections + sized(self.digest))

    def signature(self) -> bytes:
        """Return the TPMT_SIGNATURE over the structure as it stands."""
        return sign(self.key, self.attest(), self.scheme, self.algorithm)


def bitmap(pcrs: Iterable[int], size: int = 3) -> bytes:
    """Return the selection of these PCRs in ``size`` bytes."""
    return sum(1 << index for index in set(pcrs)).to_bytes(size, "little")


@dataclass(slots=True)
class SoftwareTpm:
    """A TPM with an attestation key.

    Attributes:
        key: The attestation key: RSA, or on a NIST curve.
        banks: The PCR banks.
        locality: Where TPM2_Startup happened; PCR 0 begins with it.
        clock: Milliseconds.
        values: PCR values by bank.
    """

    key: PrivateKey = field(repr=False)
    banks: tuple[Algorithm, ...] = (Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384)
    locality: int = 0
    clock: int = 1_000_000
    reset_count: int = 7
    restart_count: int = 0
    firmware_version: int = 0x2026_0101_0000_0001
    values: dict[Algorithm, list[bytes]] = field(init=False)

    def __post_init__(self) -> None:
        self.values = {}
        for bank in self.banks:
            zero, ones = bytes(bank.size), b"\xff" * bank.size
            self.values[bank] = [ones if 17 <= index <= 22 else zero for index in range(PCR_COUNT)]
            self.values[bank][0] = zero[1:] + bytes([self.locality])

    def launch(self) -> None:
        """Reset the dynamic PCRs, as a dynamic launch does."""
        for bank in self.banks:
            self.values[bank][17:23] = [bytes(bank.size)] * 6

    def extend(self, index: int, digests: dict[Algorithm, bytes]) -> None:
        """Extend one PCR in every bank."""
        for bank in self.banks:
            self.values[bank][index] = bank.digest(self.values[bank][index] + digests[bank])

    def measure(self, index: int, data: bytes) -> dict[Algorithm, bytes]:
        """Extend one PCR with the hashes of data, and return them."""
        digests = {bank: bank.digest(data) for bank in self.banks}
        self.extend(index, digests)
        return digests

    def pcrs(self, bank: Algorithm, indices: Iterable[int]) -> dict[int, bytes]:
        """Return the values of some PCRs."""
        return {index: self.values[bank][index] for index in sorted(indices)}

    @property
    def public(self) -> bytes:
        """The public area of the attestation key."""
        return public_area(self.key)

    def quote(self, extra_data: bytes, bank: Algorithm, indices: Iterable[int]) -> QuoteDraft:
        """Return a quote over some PCRs of one bank."""
        chosen = sorted(indices)
        is_rsa = isinstance(self.key, rsa.RSAPrivateKey)
        name = Algorithm.SHA256.to_bytes(2, "big") + Algorithm.SHA256.digest(self.public)
        parent = _ENDORSEMENT.to_bytes(4, "big")
        return QuoteDraft(
            qualified_signer=Algorithm.SHA256.to_bytes(2, "big") + Algorithm.SHA256.digest(parent + name),
            extra_data=extra_data,
            clock=self.clock,
            reset_count=self.reset_count,
            restart_count=self.restart_count,
            safe=1,
            firmware_version=self.firmware_version,
            selections=[(bank, bitmap(chosen))],
            digest=Algorithm.SHA256.digest(b"".join(self.values[bank][index] for index in chosen)),
            key=self.key,
            scheme=Scheme.RSASSA if is_rsa else Scheme.ECDSA,
            algorithm=Algorithm.SHA256,
        )
