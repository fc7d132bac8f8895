"""The SNP report of a container: go-sev-guest takes it apart into fields, here it becomes bytes again.

What the chip signed are the bytes of the report. A container holds its fields, each of a fixed size; reserved
bytes are not among them and are zero, as in a report. One field is written another way: family, model and
stepping of the processor stand in the report one by one, and in the container packed as CPUID returns them.
Only what packs to the very number that stands there is taken.

    1  Report            2  CertificateChain      3  SevProduct, what the guest thinks of its processor

Source: go-sev-guest, ``sevsnp.proto``; AMD SEV-SNP ABI 1.58, ATTESTATION_REPORT; AMD64 APM volume 3, CPUID
Fn0000_0001_EAX.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.evidence.google_vm.protobuf import (
    Field,
    ProtobufError,
    many_bytes,
    one_bytes,
    one_int,
    read_message,
    spans_of,
)
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.report import REPORT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_EXTRAS: Final = 8
_CERTIFICATES, _PRODUCT = 2, 3
_ATTESTATION: Final = {1: bytes, _CERTIFICATES: bytes, _PRODUCT: bytes}
# Number of a field, where it stands in the report, and its size there.
NUMBERS: Final = (
    (1, 0x000, 4),
    (2, 0x004, 4),
    (3, 0x008, 8),
    (6, 0x030, 4),
    (7, 0x034, 4),
    (8, 0x038, 8),
    (9, 0x040, 8),
    (10, 0x048, 4),
    (18, 0x180, 8),
    (20, 0x1E0, 8),
    (21, 0x1E8, 1),
    (22, 0x1E9, 1),
    (23, 0x1EA, 1),
    (24, 0x1EC, 1),
    (25, 0x1ED, 1),
    (26, 0x1EE, 1),
    (27, 0x1F0, 8),
    (30, 0x1F8, 8),
    (31, 0x200, 8),
)
BLOBS: Final = (
    (4, 0x010, 16),
    (5, 0x020, 16),
    (11, 0x050, 64),
    (12, 0x090, 48),
    (13, 0x0C0, 32),
    (14, 0x0E0, 48),
    (15, 0x110, 48),
    (16, 0x140, 32),
    (17, 0x160, 32),
    (19, 0x1A0, 64),
    (28, 0x2A0, 512),
)
CPUID: Final = 29
CPUID_AT: Final = 0x188
_REPORT: Final[dict[int, type[Field]]] = {
    CPUID: int,
    **{number: int for number, _, _ in NUMBERS},
    **{number: bytes for number, _, _ in BLOBS},
}
VCEK: Final = 1
VLEK: Final = 6
_ASK: Final = 2
_ARK: Final = 3
_FIRMWARE: Final = 4
_EXTRAS: Final = 7
_CHAIN: Final = dict.fromkeys((VCEK, VLEK, _ASK, _ARK, _FIRMWARE, _EXTRAS), bytes)
_FLAGS_AT: Final = 0x48
_MOST_FAMILY: Final = 15


@dataclass(frozen=True, slots=True)
class SnpPart:
    """The SNP report that a container holds.

    Attributes:
        report: The report, 1,184 bytes.
        endorsements: The certificates beside it.
        unused: Where what nobody looks at stands in the message that holds all this: start and end.
    """

    report: bytes
    endorsements: SnpEndorsements
    unused: tuple[tuple[int, int], ...] = ()


def snp_part(message: bytes) -> SnpPart:
    """Return the SNP report that a container holds as fields, with its certificates.

    Args:
        message: The message ``Attestation`` of go-sev-guest.

    Raises:
        ProtobufError: It is malformed, or a field does not have the size that the report has for it.
    """
    top = read_message(message, _ATTESTATION)
    report = _report(one_bytes(top, 1))
    chain = read_message(one_bytes(top, _CERTIFICATES), _CHAIN)
    if len(top.get(_PRODUCT, ())) > 1:
        raise ProtobufError("protobuf.malformed", "What the guest thinks of its processor stands twice.")
    signed_by, other = (VLEK, VCEK) if report[_FLAGS_AT] >> 2 & 7 == 1 else (VCEK, VLEK)
    endorsements = SnpEndorsements(
        vek=one_bytes(chain, signed_by) or None,
        authority=one_bytes(chain, _ASK) or None,
        root=one_bytes(chain, _ARK) or None,
    )
    for number in (other, _FIRMWARE):
        one_bytes(chain, number)
    many_bytes(chain, _EXTRAS, MAX_EXTRAS)
    return SnpPart(report, endorsements, tuple(_unused(message, frozenset({other, _FIRMWARE, _EXTRAS}))))


def _unused(message: bytes, others: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Yield where certificates that nobody needs, and what the guest thinks of its processor, stand."""
    for number, start, end in spans_of(message):
        if number == _PRODUCT:
            yield start, end
        elif number == _CERTIFICATES:
            content = one_bytes(read_message(message[start:end], {_CERTIFICATES: bytes}), _CERTIFICATES)
            base = end - len(content)
            yield from ((base + at, base + to) for inner, at, to in spans_of(content) if inner in others)


def _report(message: bytes) -> bytes:
    found = read_message(message, _REPORT)
    report = bytearray(REPORT_BYTES)
    for number, at, size in NUMBERS:
        value = one_int(found, number)
        if value >> 8 * size:
            raise ProtobufError(
                "protobuf.malformed", f"Field {number} of a report has more than {size} bytes."
            )
        report[at : at + size] = value.to_bytes(size, "little")
    for number, at, size in BLOBS:
        report[at : at + size] = _sized(found, number, size)
    report[CPUID_AT : CPUID_AT + 3] = _processor(one_int(found, CPUID))
    return bytes(report)


def _sized(found: Mapping[int, list[Field]], number: int, size: int) -> bytes:
    value = one_bytes(found, number)
    if len(value) != size:
        raise ProtobufError(
            "protobuf.malformed", f"Field {number} of a report has {len(value)} bytes, not {size}."
        )
    return value


def _processor(packed: int) -> bytes:
    """Return family, model and stepping, one byte each, of a number as CPUID returns it."""
    family = (packed >> 8 & 0xF) + (packed >> 20 & 0xFF)
    model = (packed >> 12 & 0xF0) | (packed >> 4 & 0xF)
    stepping = packed & 0xF
    if family > 0xFF or pack_processor(family, model, stepping) != packed:
        raise ProtobufError("protobuf.malformed", "The processor of a report is not written as CPUID does.")
    return struct.pack("BBB", family, model, stepping)


def pack_processor(family: int, model: int, stepping: int) -> int:
    """Return family, model and stepping as CPUID packs them: bits above four bits stand apart."""
    base = min(family, _MOST_FAMILY)
    return (family - base) << 20 | (model >> 4) << 16 | base << 8 | (model & 0xF) << 4 | stepping & 0xF
