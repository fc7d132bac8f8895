"""Enclave images, made as AWS's tool makes them, to be spoilt in one place."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.decoding.cbor import encode
from assay.reference.eif import HEADER, SECTION
from support.cose_messages import message

KERNEL, COMMAND_LINE, RAMDISK, SIGNATURE, METADATA = range(1, 6)
KEY = ec.derive_private_key(5, ec.SECP384R1())
PARTS = (
    (KERNEL, b"kernel" * 50),
    (COMMAND_LINE, b"console=ttyS0"),
    (METADATA, b"{}"),
    (RAMDISK, b"init" * 40),
    (RAMDISK, b"application" * 30),
)


def certificate(key: Any = KEY, name: str = "signer of images") -> x509.Certificate:
    """Return a self-signed certificate."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.public_key(key.public_key()).serial_number(5)
    builder = builder.not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
    return builder.not_valid_after(datetime(2035, 1, 1, tzinfo=UTC)).sign(key, hashes.SHA256())


def signature(
    pcr0: bytes,
    *,
    key: Any = KEY,
    algorithm: Algorithm = Algorithm.ES384,
    index: Any = 0,
    pem: bytes | None = None,
    numbers: bool = True,
) -> bytes:
    """Return a signature section; bytes are written as arrays of numbers, as the tool does."""
    form = list if numbers else bytes
    payload = encode({"register_index": index, "register_value": form(pcr0)})
    text = certificate(key).public_bytes(Encoding.PEM) if pem is None else pem
    signed = message(key, algorithm, payload, tagged=False)
    return encode([{"signing_certificate": form(text), "signature": form(signed)}])


@dataclass
class ImageDraft:
    """An image before its CRC is computed.

    Attributes:
        parts: Kind and content of each section.
        after: Changes the finished image, CRC included.
    """

    parts: list[tuple[int, bytes]] = field(default_factory=lambda: list(PARTS))
    magic: bytes = b".eif"
    version: int = 4
    flags: int = 0
    reserved: int = 0
    unused: int = 0
    count: int | None = None
    section_flags: int = 0
    gap: bytes = b""
    size_error: int = 0
    extra_offset: int = 0
    crc: int | None = None
    tail: bytes = b""

    def encode(self) -> bytes:
        """Return the image."""
        at, body = HEADER.size, b""
        offsets, sizes = [0] * 32, [0] * 32
        for place, (kind, content) in enumerate(self.parts):
            offsets[place], sizes[place] = at, len(content) + self.size_error
            section = SECTION.pack(kind, self.section_flags, len(content)) + content + self.gap
            body += section
            at += len(section)
        offsets[31] = offsets[31] or self.extra_offset
        count = len(self.parts) if self.count is None else self.count
        header = HEADER.pack(
            self.magic,
            self.version,
            self.flags,
            512 << 20,
            2,
            self.reserved,
            count,
            *offsets,
            *sizes,
            self.unused,
            0,
        )
        crc = zlib.crc32(body + self.tail, zlib.crc32(header[:-4]))
        return header[:-4] + (crc if self.crc is None else self.crc).to_bytes(4, "big") + body + self.tail
