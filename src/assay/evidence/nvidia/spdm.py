"""SPDM 1.1 measurements as NVIDIA devices report them: request and response, one after the other.

Integers are little-endian; source: DSP0274 1.1, GET_MEASUREMENTS and MEASUREMENTS.

      0   1  version 0x11        37   1  version 0x11         45   n  measurement record
      1   1  code 0xE0           38   1  code 0x60               32  the responder's nonce
      2   1  attributes          39   1  number of indices        2  size of the opaque data
      3   1  operation           40   1  slot                     m  opaque data
      4  32  nonce               41   1  number of blocks        96  signature, r || s, big-endian
     36   1  slot                42   3  size of the record

A block of the record: index 1, specification 1, size 2, then the measurement: type 1, size 2, value. The
signature covers everything before it, the request included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError
from assay.evidence.records import record

if TYPE_CHECKING:
    from assay.evidence.ledger import CheckSpec

from assay.evidence.nvidia import checks

MAX_REPORT_BYTES: Final = 32768
REQUEST_BYTES: Final = 37
SIGNATURE_BYTES: Final = 96
NONCE_BYTES: Final = 32
DIGEST_BYTES: Final = 48
_HEAD_BYTES: Final = 45
_COUNT_AT: Final = 41
_BLOCK_BYTES: Final = 7 + DIGEST_BYTES
# Offset of a byte in a block -> what the size of block and digest make it.
_SIZES: Final = (
    (2, bytes([3 + DIGEST_BYTES])),
    (3, b"\0"),
    (5, bytes([DIGEST_BYTES])),
    (6, b"\0"),
)
_NUMBERS: Final = bytes(range(1, 256))
_VERSION, _GET_MEASUREMENTS, _MEASUREMENTS = 0x11, 0xE0, 0x60
_SIGNED, _ALL = 0x01, 0xFF
_DMTF: Final = b"\1"
_SLOTS: Final = 0x0F
# DSP0274 1.1 table 22: a digest (bit 7 clear) of one of the four kinds of firmware and configuration.
_DIGEST_KINDS: Final = bytes(range(4))


class SpdmError(EvidenceError):
    """A report that cannot be read.

    Args:
        spec: The check that it fails.
        code: The code of that.
        message: A sentence for a person.
    """

    def __init__(self, spec: CheckSpec, code: str, message: str) -> None:
        super().__init__(code, message)
        self.spec = spec

    def __reduce__(self) -> tuple[type[SpdmError], tuple[CheckSpec, str, str]]:
        return (SpdmError, (self.spec, self.code, self.message))


@record
class SpdmReport:
    """One decoded report; nothing about it is verified.

    Attributes:
        data: All of the input.
        end: Offset behind the signature.
        nonce: The requester's nonce, 32 bytes.
        measurements: Index of the block (from 1) -> digest, 48 bytes.
        opaque: Offsets of the opaque data, start and end.
    """

    data: bytes
    end: int
    nonce: bytes
    measurements: dict[int, bytes]
    opaque: tuple[int, int]

    @property
    def signed(self) -> bytes:
        """The bytes that the device signed: request and response, a slice of the input."""
        return self.data[: self.end - SIGNATURE_BYTES]

    @property
    def content(self) -> bytes:
        """What is the same in each report of a device in one state: measurements and opaque data."""
        start, end = self.opaque
        return self.data[_COUNT_AT : start - NONCE_BYTES - 2] + self.data[start:end]

    @property
    def signature(self) -> bytes:
        """The signature, r || s, 96 bytes."""
        return self.data[self.end - SIGNATURE_BYTES : self.end]


def _layout(message: str) -> SpdmError:
    return SpdmError(checks.REPORT_LAYOUT, "nvidia.report.layout", message)


def parse_report(data: bytes) -> SpdmReport:
    """Decode one report.

    Args:
        data: At most 32,768 bytes; zeros may follow the signature.

    Raises:
        SpdmError: It is no report; says which check that fails.
    """
    if not _HEAD_BYTES <= len(data) <= MAX_REPORT_BYTES:
        raise _layout(f"A report has {_HEAD_BYTES} to {MAX_REPORT_BYTES} bytes, not {len(data)}.")
    _demand_messages(data)
    record_end = _HEAD_BYTES + int.from_bytes(data[42:45], "little")
    opaque = record_end + NONCE_BYTES + 2
    if opaque > len(data):
        raise _layout("The report ends inside its measurement record.")
    opaque_end = opaque + int.from_bytes(data[opaque - 2 : opaque], "little")
    end = opaque_end + SIGNATURE_BYTES
    if end > len(data):
        raise _layout("The report ends inside its opaque data or its signature.")
    if any(data[end:]):
        raise SpdmError(
            checks.REPORT_TRAILING, "nvidia.report.trailing", "Something else than zeros follows the report."
        )
    measurements = _blocks(data, record_end)
    return SpdmReport(data, end, data[4 : REQUEST_BYTES - 1], measurements, (opaque, opaque_end))


def _demand_messages(data: bytes) -> None:
    spec, code = checks.REPORT_MESSAGES, "nvidia.report.messages"
    if data[0] != _VERSION or data[REQUEST_BYTES] != _VERSION:
        raise SpdmError(spec, "nvidia.report.version", "The report is not of SPDM 1.1.")
    if data[1] != _GET_MEASUREMENTS or data[REQUEST_BYTES + 1] != _MEASUREMENTS:
        raise SpdmError(spec, code, "The report is not a request for measurements and its answer.")
    if data[2] != _SIGNED or data[3] != _ALL:
        raise SpdmError(spec, code, "The request did not ask for all measurements under a signature.")
    if data[36] & _SLOTS != data[40] & _SLOTS:
        raise SpdmError(spec, code, "The answer is under another certificate slot than was asked for.")


def _blocks(data: bytes, end: int) -> dict[int, bytes]:
    """Return the digests of the record, whose blocks must stand in ascending order without gaps.

    Every block has one size, so that each field of all blocks is one slice with a stride.
    """
    spec, code = checks.REPORT_BLOCKS, "nvidia.report.blocks"
    record = data[_HEAD_BYTES:end]
    count, rest = divmod(len(record), _BLOCK_BYTES)
    if rest or not count or data[41] != count:
        raise SpdmError(
            spec, code, f"The report says {data[41]} measurements, which are not what its record holds."
        )
    numbers, specifications = record[0::_BLOCK_BYTES], record[1::_BLOCK_BYTES]
    if numbers != _NUMBERS[:count] or specifications != _DMTF * count:
        raise SpdmError(spec, code, "A measurement is out of order, doubled, or of another kind.")
    for place, value in _SIZES:
        if record[place::_BLOCK_BYTES] != value * count:
            raise SpdmError(spec, code, f"A measurement does not have {DIGEST_BYTES} bytes.")
    if record[4::_BLOCK_BYTES].translate(None, _DIGEST_KINDS):
        raise SpdmError(spec, code, "A measurement is no digest.")
    last = _BLOCK_BYTES * count
    starts = range(_BLOCK_BYTES - DIGEST_BYTES, last, _BLOCK_BYTES)
    return {number: record[at : at + DIGEST_BYTES] for number, at in enumerate(starts, 1)}
