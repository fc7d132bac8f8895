"""Parser of Canonical Event Logs in their TLV encoding, as launchers of containers write them. Big-endian.

A record is four TLVs (type 1 byte, length 4 bytes): its number, the register that was extended, digests, and
content. The digest is a hash over the content's own TLV, so content is always proven by its register.

Source: TCG Canonical Event Log Format 1.0 revision 0.41, section 5.1 (TLV encoding); content types 80 and 82
are those of the launchers of Container-Optimized OS and Confidential Space.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import NoReturn

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm

MAX_CEL_BYTES = 4 * 1024 * 1024
MAX_RECORDS = 16_384

TYPE_NUMBER, TYPE_PCR, TYPE_DIGESTS, TYPE_CCMR = 0, 1, 3, 108
CONTENT_TEXT = 0x100
"""Not a type of the TLV encoding: the text of a record in JSON."""

_TLV = Struct(">BI")


@dataclass(frozen=True, slots=True)
class CelRecord:
    """One record.

    Attributes:
        start: Offset of its first byte.
        end: Offset behind its last byte.
        number: Its number; the first is 0 and each is one more than the one before.
        pcr: True for a PCR, False for a confidential-computing measurement register.
        register: The PCR, or the measurement register's index.
        digests: Digest by algorithm; none twice.
        kind: Type of the content; ``CONTENT_TEXT`` for the text of a record in JSON.
        content: The content, without its type and length.
    """

    start: int
    end: int
    number: int
    pcr: bool
    register: int
    digests: tuple[tuple[Algorithm, bytes], ...]
    kind: int
    content: bytes

    def digest(self, algorithm: Algorithm) -> bytes:
        """Return the digest of one bank; empty when the record lacks it."""
        return next((value for found, value in self.digests if found is algorithm), b"")

    def contradicts(self, algorithm: Algorithm) -> bool:
        """Tell whether the digest of one bank is not the hash of the content, where it has to be."""
        return self.kind != CONTENT_TEXT and not self.proven(algorithm)

    def proven(self, algorithm: Algorithm) -> bool:
        """Tell whether the digest of one bank is the hash of the content; if not, that is a caption."""
        head = b"" if self.kind == CONTENT_TEXT else _TLV.pack(self.kind, len(self.content))
        return algorithm.digest(head + self.content) == self.digest(algorithm)

    def nested(self) -> tuple[int, bytes]:
        """Return type and value of the one TLV that the content of a launcher's record is.

        Raises:
            EvidenceError: ``cel.content`` when the content is no single TLV.
        """
        if len(self.content) < _TLV.size:
            refuse("content", f"The content of record {self.number} is no TLV.")
        kind, size = _TLV.unpack_from(self.content)
        if size != len(self.content) - _TLV.size:
            refuse("content", f"The content of record {self.number} is no single TLV.")
        return kind, self.content[_TLV.size :]


def refuse(what: str, why: str) -> NoReturn:
    """Raise the error of a log that is malformed."""
    raise EvidenceError(f"cel.{what}", why)


def parse_cel(data: bytes) -> tuple[CelRecord, ...]:
    """Parse a log to its last byte.

    Args:
        data: The log, at most ``MAX_CEL_BYTES``.

    Raises:
        EvidenceError: ``cel.*`` names what is wrong with the log.
    """
    if len(data) > MAX_CEL_BYTES:
        refuse("size", f"The log has {len(data)} bytes, more than {MAX_CEL_BYTES}.")
    records: list[CelRecord] = []
    at = 0
    while at < len(data):
        if len(records) == MAX_RECORDS:
            refuse("records", f"The log has more than {MAX_RECORDS} records.")
        record = _record(data, at, len(records))
        records.append(record)
        at = record.end
    if not records:
        refuse("empty", "The log holds no record.")
    return tuple(records)


def _tlv(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return type, value, and the offset behind the TLV at ``at``."""
    if len(data) < at + _TLV.size:
        refuse("truncated", f"The log ends inside the TLV at offset {at}.")
    kind, size = _TLV.unpack_from(data, at)
    end = at + _TLV.size + size
    if end > len(data):
        refuse("truncated", f"The log ends inside the TLV at offset {at}.")
    return kind, data[at + _TLV.size : end], end


def _record(data: bytes, start: int, expected: int) -> CelRecord:
    kind, value, at = _tlv(data, start)
    if kind != TYPE_NUMBER or len(value) != 8 or int.from_bytes(value, "big") != expected:
        refuse("number", f"The record at offset {start} does not begin with the number {expected}.")
    register_kind, register, at = _tlv(data, at)
    if register_kind not in (TYPE_PCR, TYPE_CCMR) or len(register) != 1:
        refuse("register", f"Record {expected} names no PCR and no measurement register.")
    kind, value, at = _tlv(data, at)
    if kind != TYPE_DIGESTS:
        refuse("digests", f"Record {expected} has no digests.")
    digests = _digests(value, expected)
    kind, content, end = _tlv(data, at)
    return CelRecord(start, end, expected, register_kind == TYPE_PCR, register[0], digests, kind, content)


def _digests(data: bytes, number: int) -> tuple[tuple[Algorithm, bytes], ...]:
    found: dict[Algorithm, bytes] = {}
    at = 0
    while at < len(data):
        kind, value, at = _tlv(data, at)
        algorithm = _ALGORITHMS.get(kind)
        if algorithm is None or len(value) != algorithm.size or algorithm in found:
            refuse("digests", f"Record {number} has a digest that is unknown, of a wrong size, or doubled.")
        found[algorithm] = value
    if not found:
        refuse("digests", f"Record {number} has no digests.")
    return tuple(found.items())


_ALGORITHMS = {int(algorithm): algorithm for algorithm in Algorithm}
