"""The pieces of one TPM's evidence as a single input: what ``tpm2_quote`` wrote, and the logs.

The input is ``ASSAYTPM``, a version (u16), and sections in ascending order of their kind: kind (u16), length
(u32), bytes. Only the certificate may stand more than once, leaf first. Big-endian, like the TPM's own
structures. Nothing in the container is signed but the quote: everything else is judged by what the quote
says.

``from_json`` reads the JSON that the TPM verifier of the Confidential Containers key broker takes.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, NoReturn

from assay.errors import EvidenceError
from assay.evidence.decoding.strictjson import member, parse_object
from assay.evidence.eventlog.algorithms import Algorithm

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"ASSAYTPM"
VERSION = 1
MAX_CERTIFICATES = 8
MAX_PCRS = 24

_HEAD = Struct(">8sH")
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
_REQUIRED = (Section.ATTEST, Section.SIGNATURE, Section.PCRS)


@dataclass(frozen=True, slots=True)
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
    certificates: tuple[bytes, ...] = field(default=())
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
        return _HEAD.pack(MAGIC, VERSION) + b"".join(
            _SECTION.pack(kind, len(data)) + data for kind, data in sections if data
        )

    @classmethod
    def parse(cls, data: bytes) -> TpmEvidence:
        """Read a container to its last byte.

        Raises:
            EvidenceError: ``tpm.evidence.*`` names what is wrong.
        """
        if len(data) < _HEAD.size or _HEAD.unpack_from(data) != (MAGIC, VERSION):
            _refuse("magic", "The input is no container of TPM evidence in version 1.")
        found, places = _sections(data)
        for kind in _REQUIRED:
            if kind not in found:
                _refuse("missing", f"The container lacks its {kind.name.lower()}.")
        bank, pcrs = _pcrs(found[Section.PCRS][0])

        def only(kind: Section) -> bytes:
            return found[kind][0] if kind in found else b""

        return cls(
            attest=only(Section.ATTEST),
            signature=only(Section.SIGNATURE),
            bank=bank,
            pcrs=pcrs,
            public=only(Section.PUBLIC),
            certificates=tuple(found.get(Section.CERTIFICATE, ())),
            event_log=only(Section.EVENT_LOG),
            canonical_log=only(Section.CANONICAL_LOG),
            ima_log=only(Section.IMA_LOG),
            places=places,
        )

    @classmethod
    def from_json(cls, data: bytes) -> TpmEvidence:
        """Read the evidence of the Confidential Containers TPM attester: AK, quote and SHA-256 PCRs 0 to n.

        Raises:
            EvidenceError: ``tpm.evidence.json`` or ``json.*``.
        """
        top = parse_object(data, max_bytes=64 * _KIB)
        quote = member(top, "tpm_quote", dict)
        values = member(quote, "pcrs", list)
        try:
            pcrs = {index: bytes.fromhex(value) for index, value in enumerate(values)}
            public, attest, signature = (
                base64.b64decode(text, validate=True)
                for text in (
                    member(top, "ak_public", str),
                    member(quote, "message", str),
                    member(quote, "signature", str),
                )
            )
        except (TypeError, ValueError, binascii.Error):
            _refuse("json", "A value of the evidence is neither hexadecimal nor Base64.")
        if len(pcrs) > MAX_PCRS:
            _refuse("json", "The evidence has more than 24 PCRs.")
        return cls(attest, signature, Algorithm.SHA256, pcrs, public)


def _refuse(what: str, why: str) -> NoReturn:
    raise EvidenceError(f"tpm.evidence.{what}", why)


def _sections(data: bytes) -> tuple[dict[Section, list[bytes]], dict[Section, int]]:
    found: dict[Section, list[bytes]] = {}
    places: dict[Section, int] = {}
    at, last = _HEAD.size, 0
    while at < len(data):
        if len(data) - at < _SECTION.size:
            _refuse("truncated", "The container ends inside the head of a section.")
        number, size = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        section = _SECTIONS.get(number)
        if section is None:
            _refuse("section", f"The container has a section of the unknown kind {number}.")
        if not 0 < size <= _LIMITS[section]:
            _refuse("size", f"The container's {section.name.lower()} has {size} bytes: none, or too many.")
        if number < last or (number == last and section is not Section.CERTIFICATE):
            _refuse("order", f"The container's {section.name.lower()} stands twice, or out of order.")
        if at + size > len(data):
            _refuse("truncated", "The container ends inside a section.")
        found.setdefault(section, []).append(data[at : at + size])
        places.setdefault(section, at)
        if len(found[section]) > MAX_CERTIFICATES:
            _refuse("certificates", f"The container has more than {MAX_CERTIFICATES} certificates.")
        at += size
        last = number
    return found, places


_SECTIONS = {int(section): section for section in Section}
_BANKS = {int(algorithm): algorithm for algorithm in Algorithm}


def _pcrs(data: bytes) -> tuple[Algorithm, dict[int, bytes]]:
    bank = _BANKS.get(int.from_bytes(data[:2], "big"))
    if bank is None or len(data) < 3:
        _refuse("pcrs", "The container's PCRs are of no known bank.")
    count, step = data[2], 1 + bank.size
    if not 1 <= count <= MAX_PCRS or len(data) != 3 + count * step:
        _refuse("pcrs", "The container's PCRs do not have the size that they say.")
    indices = [data[3 + place * step] for place in range(count)]
    if indices != sorted(set(indices)) or indices[-1] >= MAX_PCRS:
        _refuse("pcrs", "The container's PCRs are not in ascending order, each once.")
    return bank, {
        index: data[4 + place * step : 3 + (place + 1) * step] for place, index in enumerate(indices)
    }
