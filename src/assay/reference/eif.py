"""Enclave images (EIF): the registers that a Nitro Enclave starts with, computed from the file.

    header 548: magic ".eif", version u16, flags u16 (bit 0: aarch64), memory u64, CPUs u64, reserved u16,
                sections u16, offsets 32 x u64, sizes 32 x u64, unused u32, CRC-32 u32        all big-endian
    section:    type u16, flags u16, size u64, content

A register is SHA-384 of 48 zero bytes and SHA-384 of what it covers: PCR 0 of kernel, command line and all
ramdisks, PCR 1 of kernel, command line and the first ramdisk, PCR 2 of the other ramdisks, PCR 8 of the
certificate that signed PCR 0. The CRC covers everything but itself; metadata stand in no register.

Images have up to gigabytes: one pass over the file computes everything, and holds one chunk of it.

Source: AWS, ``aws-nitro-enclaves-image-format``, versions 1 to 4 of the format; "Cryptographic attestation"
of the Nitro Enclaves user guide.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from assay.errors import ReferenceValueError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import CoseError, Sign1
from assay.evidence.decoding.cbor import CborError, decode
from assay.reference.artefact import CHUNK_BYTES
from assay.reference.values import Measured

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from assay.reference.artefact import Artefact

MAGIC: Final = b".eif"
VERSIONS: Final = (1, 2, 3, 4)
HEADER: Final = struct.Struct(">4sHHQQHH32Q32QII")
SECTION: Final = struct.Struct(">HHQ")
MAX_SECTIONS: Final = 32
MAX_SIGNATURE_BYTES: Final = 32 * 1024
MAX_METADATA_BYTES: Final = 1024 * 1024
REGISTER_BYTES: Final = 48

_AARCH64: Final = 1
_CRC_BYTES: Final = 4
_ALGORITHMS: Final = (Algorithm.ES256, Algorithm.ES384, Algorithm.ES512)
_SIGNATURE_ITEMS: Final = MAX_SIGNATURE_BYTES  # the format writes bytes as arrays of numbers
_NOTES: Final = (
    "PCR 3 and 4 are of the parent instance: its role and its id.",
    "The metadata of an image and the memory and CPUs that its header asks for are in no register.",
    "An enclave in debug mode shows zeros in place of these values.",
)


class SectionKind(IntEnum):
    """What a section holds."""

    KERNEL = 1
    COMMAND_LINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


@dataclass(frozen=True, slots=True)
class Section:
    """One section.

    Attributes:
        kind: What it holds.
        offset: Of its content in the file.
        size: Of its content, in bytes.
    """

    kind: SectionKind
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class ImageSigner:
    """Who signed PCR 0; the signature verified, the certificate is whatever it is.

    Attributes:
        certificate: DER.
        subject: Its subject, as RFC 4514 writes it.
        not_before: Since when it is valid, aware UTC.
        not_after: Until when; Nitro starts no image whose signer has expired.
        algorithm: Of the signature: ``ES384``.
    """

    certificate: bytes
    subject: str
    not_before: datetime
    not_after: datetime
    algorithm: str


@dataclass(frozen=True, slots=True)
class EnclaveImage:
    """An image, measured.

    Attributes:
        version: Of the format.
        architecture: ``x86_64`` or ``aarch64``; in no register.
        memory: Bytes of memory that the header asks for; in no register.
        cpus: CPUs that it asks for; in no register.
        sections: In the order of the file.
        pcr0: Of the whole image, 48 bytes.
        pcr1: Of kernel, command line and first ramdisk.
        pcr2: Of the other ramdisks: of the application.
        pcr8: Of the signing certificate; None for an image that is not signed.
        signer: Who signed it; None likewise.
    """

    version: int
    architecture: str
    memory: int
    cpus: int
    sections: tuple[Section, ...]
    pcr0: bytes
    pcr1: bytes
    pcr2: bytes
    pcr8: bytes | None
    signer: ImageSigner | None


def measure_image(eif: Artefact) -> EnclaveImage:
    """Check an image's header, sections, CRC and signature, and compute its registers.

    Raises:
        ReferenceValueError: ``reference.eif.*``, ``reference.artefact.*``.
    """
    header = _header(eif)
    sections = _sections(eif, header)
    registers = [hashlib.sha384() for _ in range(3)]
    crc = zlib.crc32(eif.read(0, HEADER.size - _CRC_BYTES))
    signature = b""
    ramdisks = 0
    for section in sections:
        crc = zlib.crc32(eif.read(section.offset - SECTION.size, SECTION.size), crc)
        ramdisks += section.kind is SectionKind.RAMDISK
        covered = [registers[index] for index in _covering(section.kind, ramdisks)]
        for offset in range(section.offset, section.offset + section.size, CHUNK_BYTES):
            chunk = eif.read(offset, min(CHUNK_BYTES, section.offset + section.size - offset))
            crc = zlib.crc32(chunk, crc)
            for state in covered:
                state.update(chunk)
            if section.kind is SectionKind.SIGNATURE:
                signature = chunk
    if crc != header.crc:
        _refuse("crc", "The CRC of the image is not the one that its header states.")
    pcr0, pcr1, pcr2 = (_register(state.digest()) for state in registers)
    signer = _signer(signature, pcr0) if signature else None
    return EnclaveImage(
        version=header.version,
        architecture="aarch64" if header.flags & _AARCH64 else "x86_64",
        memory=header.memory,
        cpus=header.cpus,
        sections=sections,
        pcr0=pcr0,
        pcr1=pcr1,
        pcr2=pcr2,
        pcr8=_register(hashlib.sha384(signer.certificate).digest()) if signer else None,
        signer=signer,
    )


def measure(eif: Artefact) -> Measured:
    """Return the Reference Values of an image: ``pcr0``, ``pcr1``, ``pcr2`` and, when it is signed, ``pcr8``.

    Raises:
        ReferenceValueError: As ``measure_image`` does.
    """
    image = measure_image(eif)
    registers = {"pcr0": image.pcr0, "pcr1": image.pcr1, "pcr2": image.pcr2}
    parameters = {"architecture": image.architecture, "format": str(image.version)}
    if image.pcr8 is not None and image.signer is not None:
        registers["pcr8"] = image.pcr8
        parameters["signer"] = image.signer.subject
    return Measured(
        "nitro",
        {name: frozenset({value}) for name, value in registers.items()},
        (eif.describe("eif"),),
        parameters,
        _NOTES,
    )


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.eif.{code}", message)


def _register(digest: bytes) -> bytes:
    return hashlib.sha384(bytes(REGISTER_BYTES) + digest).digest()


def _covering(kind: SectionKind, ramdisks: int) -> Iterable[int]:
    """Return which registers cover a section; ``ramdisks`` counts those so far, itself included."""
    if kind in (SectionKind.KERNEL, SectionKind.COMMAND_LINE):
        return (0, 1)
    if kind is SectionKind.RAMDISK:
        return (0, 1) if ramdisks == 1 else (0, 2)
    return ()


@dataclass(frozen=True, slots=True)
class _Header:
    version: int
    flags: int
    memory: int
    cpus: int
    places: tuple[tuple[int, int], ...]
    crc: int


def _header(eif: Artefact) -> _Header:
    if eif.size < HEADER.size:
        _refuse("header", "The file is shorter than the header of an enclave image.")
    magic, version, flags, memory, cpus, reserved, count, *places, unused, crc = HEADER.unpack(
        eif.read(0, HEADER.size)
    )
    offsets, sizes = places[:MAX_SECTIONS], places[MAX_SECTIONS:]
    if magic != MAGIC:
        _refuse("magic", "The file does not begin as an enclave image.")
    if version not in VERSIONS:
        _refuse("version", f"The image is of format {version}, which is not known here.")
    if flags & ~_AARCH64 or reserved or unused:
        _refuse("header", "A reserved part of the header is not zero.")
    if not 0 < count <= MAX_SECTIONS or any(offsets[count:]) or any(sizes[count:]):
        _refuse(
            "sections", f"The image does not have 1 to {MAX_SECTIONS} sections, or says more than it has."
        )
    stated = tuple(zip(offsets[:count], sizes[:count], strict=True))
    return _Header(version, flags, memory, cpus, stated, crc)


def _sections(eif: Artefact, header: _Header) -> tuple[Section, ...]:
    """Return the sections; nothing may stand between or behind them."""
    sections = []
    at = HEADER.size
    for offset, size in header.places:
        if offset != at:
            _refuse("sections", "The sections do not stand one behind the other.")
        kind, flags, length = SECTION.unpack(eif.read(offset, SECTION.size))
        if length != size or flags:
            _refuse("sections", "A section says something else of itself than the header does.")
        if kind not in SectionKind.__members__.values():
            _refuse("section_kind", f"The image has a section of kind {kind}, which is not known here.")
        at = offset + SECTION.size + size
        if at > eif.size:
            _refuse("truncated", "The file ends inside a section.")
        sections.append(Section(SectionKind(kind), offset + SECTION.size, size))
    if at != eif.size:
        _refuse("trailing", f"{eif.size - at} bytes follow the last section.")
    _demand_order(sections, header.version)
    return tuple(sections)


def _demand_order(sections: Sequence[Section], version: int) -> None:
    """Demand kernel, command line, then one ramdisk or more; the order decides what PCR 1 and 2 cover."""
    kinds = [section.kind for section in sections]
    measured = [kind for kind in kinds if kind not in (SectionKind.SIGNATURE, SectionKind.METADATA)]
    first = [SectionKind.KERNEL, SectionKind.COMMAND_LINE, SectionKind.RAMDISK]
    if measured[:3] != first or set(measured[3:]) - {SectionKind.RAMDISK}:
        _refuse("order", "The image is not a kernel, a command line and ramdisks, in this order.")
    if kinds.count(SectionKind.SIGNATURE) > 1 or kinds.count(SectionKind.METADATA) > 1:
        _refuse("order", "The image has two signatures or two sections of metadata.")
    if version >= VERSIONS[-1] and SectionKind.METADATA not in kinds:
        _refuse("metadata", "An image of this format has metadata.")
    for section in sections:
        limit = {SectionKind.SIGNATURE: MAX_SIGNATURE_BYTES, SectionKind.METADATA: MAX_METADATA_BYTES}.get(
            section.kind
        )
        if limit is not None and section.size > limit:
            _refuse("section_size", f"The {section.kind.name.lower()} has more than {limit} bytes.")
        if section.kind is SectionKind.SIGNATURE and not section.size:
            _refuse("signature", "The signature section is empty.")


def _signer(section: bytes, pcr0: bytes) -> ImageSigner:
    """Verify the signature section: one certificate, and its signature over PCR 0."""
    try:
        entries = decode(section, max_bytes=MAX_SIGNATURE_BYTES, max_items=_SIGNATURE_ITEMS)
        if type(entries) is not list or len(entries) != 1:
            _refuse("signature", "The signature section does not hold one signature.")
        members = _members(entries[0], {"signing_certificate", "signature"})
        certificate = _certificate(_octets(members["signing_certificate"]))
        message = Sign1.parse(_octets(members["signature"]), max_bytes=MAX_SIGNATURE_BYTES)
        algorithm = message.verify(certificate.public_key(), algorithms=_ALGORITHMS)
        # Here because the library decodes a subject only when it is asked for.
        signer = ImageSigner(
            certificate=certificate.public_bytes(Encoding.DER),
            subject=certificate.subject.rfc4514_string(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            algorithm=algorithm.name,
        )
        signed = _members(
            decode(message.payload or b"", max_bytes=MAX_SIGNATURE_BYTES),
            {"register_index", "register_value"},
        )
    except (CborError, CoseError) as error:
        raise ReferenceValueError("reference.eif.signature", error.message) from None
    except (ValueError, UnsupportedAlgorithm):
        _refuse("certificate", "The certificate of the signature is not one, or its key is unusable.")
    if signed["register_index"] != 0 or type(signed["register_index"]) is not int:
        _refuse("signature", "The signature is of another register than PCR 0.")
    if _octets(signed["register_value"]) != pcr0:
        _refuse("signed_pcr0", "The signature is of another image: its PCR 0 is not this one's.")
    return signer


def _certificate(pem: bytes) -> x509.Certificate:
    found = x509.load_pem_x509_certificates(pem)
    if len(found) != 1:
        _refuse("certificate", "The signature has not exactly one certificate.")
    return found[0]


def _members(value: Any, names: set[str]) -> dict[str, Any]:
    if type(value) is not dict or value.keys() != names:
        _refuse("signature", "The signature section is malformed.")
    return value


def _octets(value: Any) -> bytes:
    """Return bytes, which the format writes as an array of numbers."""
    if type(value) is bytes:
        return value
    if type(value) is not list or any(type(item) is not int or not 0 <= item < 256 for item in value):
        _refuse("signature", "The signature section is malformed.")
    return bytes(value)
