"""The pieces of one TPM's evidence as a single input: what ``tpm2_quote`` wrote, and the logs.

The input is ``ASSAYTPM``, a version (u16), and sections in ascending order of their kind: kind (u16), length
(u32), bytes. Only the certificate may stand more than once, leaf first. Big-endian, like the TPM's own
structures. Nothing in the container is signed but the quote: everything else is judged by what the quote
says.

``from_json`` reads the JSON that the TPM verifier of the Confidential Containers key broker takes.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from struct import Struct
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from assay.errors import EvidenceError
from assay.evidence.decoding.canonical import canonical_base64, canonical_hex
from assay.evidence.decoding.strictjson import member, parse_object
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"ASSAYTPM"
VERSION = 1
MAX_CERTIFICATES = 8
MAX_PCRS = 24

_PREFIX = MAGIC + VERSION.to_bytes(2, "big")
_SECTION = Struct(">HI")
_KIB = 1024


class Section(IntEnum):
    """What stands in a section."""

    ATTEST = 1
    SIGNATURE = 2
    PUBLIC = 3
    CERTIFICATE = 4
    PCRS = 5
    EVENT_LOG = 6
    CANONICAL_LOG = 7
    IMA_LOG = 8

    __hash__ = int.__hash__  # as equal as the number that it is, and found faster than by a member's name


_LIMITS = {
    Section.ATTEST: _KIB,
    Section.SIGNATURE: _KIB,
    Section.PUBLIC: _KIB,
    Section.CERTIFICATE: 8 * _KIB,
    Section.PCRS: 2 * _KIB,
    Section.EVENT_LOG: 4 * _KIB * _KIB,
    Section.CANONICAL_LOG: 4 * _KIB * _KIB,
    Section.IMA_LOG: 64 * _KIB * _KIB,
}
_MEMBERS = frozenset({"ak_public", "tpm_quote"})
_QUOTE_MEMBERS = frozenset({"message", "signature", "pcrs"})
_REQUIRED = (Section.ATTEST, Section.SIGNATURE, Section.PCRS)


@record
class TpmEvidence:
    """The pieces; nothing in them is authenticated.

    Attributes:
        attest: TPMS_ATTEST.
        signature: TPMT_SIGNATURE.
        bank: The bank that the PCR values are presented as.
        pcrs: PCR values by index.
        public: Public area of the attestation key, or its SPKI; empty when only a certificate has it.
        certificates: AK certificate, then its issuers, DER; the root may be left out.
        event_log: The firmware's log; empty when there is none.
        canonical_log: A canonical log; empty when there is none.
        ima_log: An IMA log in binary form; empty when there is none.
        places: Offset of each section's content in the container that was read.
    """

    attest: bytes
    signature: bytes
    bank: Algorithm
    pcrs: Mapping[int, bytes]
    public: bytes = b""
    certificates: tuple[bytes, ...] = ()
    event_log: bytes = b""
    canonical_log: bytes = b""
    ima_log: bytes = b""
    places: Mapping[Section, int] = field(default_factory=dict, compare=False)

    def encode(self) -> bytes:
        """Return the container."""
        pcrs = self.bank.to_bytes(2, "big") + bytes([len(self.pcrs)])
        pcrs += b"".join(bytes([index]) + self.pcrs[index] for index in sorted(self.pcrs))
        sections = [
            (Section.ATTEST, self.attest),
            (Section.SIGNATURE, self.signature),
            (Section.PUBLIC, self.public),
            *((Section.CERTIFICATE, der) for der in self.certificates),
            (Section.PCRS, pcrs),
            (Section.EVENT_LOG, self.event_log),
            (Section.CANONICAL_LOG, self.canonical_log),
            (Section.IMA_LOG, self.ima_log),
        ]
        return _PREFIX + b"".join(_SECTION.pack(kind, len(data)) + data for kind, data in sections if data)

    @classmethod
    def parse(cls, data: bytes) -> TpmEvidence:
        """Read a container to its last byte.

        Raises:
            EvidenceError: ``tpm.evidence.*`` names what is wrong.
        """
        if data[: len(_PREFIX)] != _PREFIX:
            _refuse("magic", "The input is no container of TPM evidence in version 1.")
        places: dict[Section, int] = {}
        contents, certificates = _sections(data, places)
        attest, signature, public, _, registers, log, canonical, ima = contents
        if not (attest and signature and registers):
            missing = next(kind for kind in _REQUIRED if not contents[kind - 1])
            _refuse("missing", f"The container lacks its {missing.name.lower()}.")
        bank, pcrs = _pcrs(registers)
        return cls(attest, signature, bank, pcrs, public, tuple(certificates), log, canonical, ima, places)

    @classmethod
    def from_json(cls, data: bytes) -> TpmEvidence:
        """Read the evidence of the Confidential Containers TPM attester: AK, quote and SHA-256 PCRs 0 to n.

        Raises:
            EvidenceError: ``tpm.evidence.json`` or ``json.*``.
        """
        top = parse_object(data, max_bytes=64 * _KIB)
        quote = member(top, "tpm_quote", dict)
        if not top.keys() <= _MEMBERS or not quote.keys() <= _QUOTE_MEMBERS:
            _refuse("json", "The evidence has a member that is not known.")
        values = member(quote, "pcrs", list)
        public, attest, signature = (
            _base64(text)
            for text in (
                member(top, "ak_public", str),
                member(quote, "message", str),
                member(quote, "signature", str),
            )
        )
        pcrs = {index: _hexadecimal(value) for index, value in enumerate(values)}
        if len(pcrs) > MAX_PCRS:
            _refuse("json", "The evidence has more than 24 PCRs.")
        return cls(attest, signature, Algorithm.SHA256, pcrs, public)


def _refuse(what: str, why: str) -> NoReturn:
    raise EvidenceError(f"tpm.evidence.{what}", why)


def _base64(text: str) -> bytes:
    found = canonical_base64(text)
    if found is None:
        _refuse("json", "A value of the evidence is not canonical Base64.")
    return found


def _hexadecimal(text: Any) -> bytes:
    found = canonical_hex(text) if type(text) is str else None
    if found is None:
        _refuse("json", "A PCR of the evidence is not in lower-case hexadecimal.")
    return found


def _sections(data: bytes, places: dict[Section, int]) -> tuple[list[bytes], list[bytes]]:
    """Return the content of every kind of section, empty where there is none, and the certificates."""
    contents, certificates = [b""] * len(Section), []
    size, at, last = len(data), len(_PREFIX), 0
    while at < size:
        if size - at < _SECTION.size:
            _refuse("truncated", "The container ends inside the head of a section.")
        number, length = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        section = _SECTIONS.get(number)
        if section is None:
            _refuse("section", f"The container has a section of the unknown kind {number}.")
        if not 0 < length <= _MOST[number]:
            _refuse("size", f"The container's {section.name.lower()} has {length} bytes: none, or too many.")
        if number < last or (number == last and number != _CERTIFICATE):
            _refuse("order", f"The container's {section.name.lower()} stands twice, or out of order.")
        end = at + length
        if end > size:
            _refuse("truncated", "The container ends inside a section.")
        if number != last:
            places[section] = at
        if number == _CERTIFICATE:
            certificates.append(data[at:end])
            if len(certificates) > MAX_CERTIFICATES:
                _refuse("certificates", f"The container has more than {MAX_CERTIFICATES} certificates.")
        else:
            contents[number - 1] = data[at:end]
        at, last = end, number
    return contents, certificates


_CERTIFICATE = int(Section.CERTIFICATE)
_MOST = {int(section): most for section, most in _LIMITS.items()}
_SECTIONS = {int(section): section for section in Section}
_BANKS = {int(algorithm): algorithm for algorithm in Algorithm}


@lru_cache(maxsize=256)
def _pcrs(data: bytes) -> tuple[Algorithm, Mapping[int, bytes]]:
    """Read the PCRs' section; remembered, because a machine's quotes come with the same values."""
    bank = _BANKS.get(int.from_bytes(data[:2], "big"))
    if bank is None or len(data) < 3:
        _refuse("pcrs", "The container's PCRs are of no known bank.")
    count, step = data[2], 1 + bank.size
    if not 1 <= count <= MAX_PCRS or len(data) != 3 + count * step:
        _refuse("pcrs", "The container's PCRs do not have the size that they say.")
    shape = _shape(data[3::step], bank.size)
    if shape is None:
        _refuse("pcrs", "The container's PCRs are not in ascending order, each once.")
    indices, values = shape
    return bank, MappingProxyType(dict(zip(indices, values.unpack_from(data, 3), strict=True)))


@lru_cache(maxsize=256)
def _shape(indices: bytes, size: int) -> tuple[tuple[int, ...], Struct] | None:
    """Return the indices if they ascend, and what takes their values out of a container in one step.

    Remembered: most containers hold the same ones. Each value is of ``size`` bytes, behind its index of one.
    """
    found = tuple(indices)
    if found != tuple(sorted(set(found))) or found[-1] >= MAX_PCRS:
        return None
    return found, Struct("=" + f"x{size}s" * len(found))
