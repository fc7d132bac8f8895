"""What a register proves about the payload of an event: all of it, a part, or nothing.

A register binds the digest of an event. Only where that digest is a hash over the payload is the payload
itself proven; elsewhere it is a caption, written by whoever wrote the log. Events whose type says "the digest
is the hash of this data" and whose digest is not are contradictions, never captions.

The rules come from the TCG PC Client Platform Firmware Profile 1.06, table 27, and from what firmware and
boot loaders were seen to do; each deviation says where.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from struct import Struct
from typing import TYPE_CHECKING

from assay.evidence.eventlog.kinds import EventType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.evidence.eventlog.algorithms import Algorithm


class Coverage(StrEnum):
    """How much of a payload the digest covers."""

    WHOLE = "whole"
    PART = "part"
    CAPTION = "caption"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class PayloadBinding:
    """The part of a payload that the event's digest is a hash of.

    Attributes:
        coverage: All, part, nothing, or a contradiction.
        start: Offset in the payload of the first bound byte.
        end: Offset behind the last bound byte; equal to ``start`` when nothing is bound.
    """

    coverage: Coverage
    start: int
    end: int


CAPTION = PayloadBinding(Coverage.CAPTION, 0, 0)
CONTRADICTED = PayloadBinding(Coverage.CONTRADICTED, 0, 0)

HASHED_TYPES = frozenset(
    {
        EventType.SEPARATOR,
        EventType.ACTION,
        EventType.S_CRTM_VERSION,
        EventType.OMIT_BOOT_DEVICE_EVENTS,
        EventType.EFI_VARIABLE_DRIVER_CONFIG,
        EventType.EFI_VARIABLE_BOOT,
        EventType.EFI_VARIABLE_BOOT2,
        EventType.EFI_VARIABLE_AUTHORITY,
        EventType.EFI_GPT_EVENT,
        EventType.EFI_ACTION,
        EventType.EFI_HCRTM_EVENT,
    }
)
"""Types whose digest must be a hash over the payload or over the part that a rule below names."""

FIRMWARE_HASHED_TYPES = HASHED_TYPES - {EventType.S_CRTM_VERSION}
"""The same for the firmware of real machines: some log the version of their S-CRTM in another form than they
measure it (seen in logs with SHA-1 alone), so that payload is a caption."""

_VARIABLE = Struct("<16sQQ")
_GRUB_PREFIXES = (
    b"grub_cmd: ",
    b"kernel_cmdline: ",
    b"module_cmdline: ",
    b"grub_cmd ",
    b"grub_kernel_cmdline ",
)
_TD_SHIM_HEADER = 20


def binding(
    kind: int,
    payload: bytes,
    digest: bytes,
    algorithm: Algorithm,
    *,
    hashed: frozenset[EventType] = HASHED_TYPES,
) -> PayloadBinding:
    """Find what of the payload the digest binds; costs at most three hashes over it.

    Args:
        kind: The event's type.
        payload: The event's data.
        digest: The event's digest of that algorithm.
        algorithm: The bank.
        hashed: Types whose digest must be a hash over the payload.
    """
    if algorithm.digest(payload) == digest:
        return PayloadBinding(Coverage.WHOLE, 0, len(payload))
    for start, end in _parts(kind, payload):
        if algorithm.digest(payload[start:end]) == digest:
            return PayloadBinding(Coverage.PART, start, end)
    return CONTRADICTED if kind in hashed else CAPTION


def _parts(kind: int, payload: bytes) -> Iterator[tuple[int, int]]:
    if kind == EventType.EFI_VARIABLE_BOOT:
        yield from _variable_data(payload)
    elif kind == EventType.EFI_VARIABLE_AUTHORITY and payload:
        # Old builds of shim log one byte more than they measure (seen on Container-Optimized OS 85).
        yield 0, len(payload) - 1
    elif kind == EventType.IPL:
        yield from _grub(payload)
    elif kind == EventType.PLATFORM_CONFIG_FLAGS:
        yield from _td_shim(payload)


def _td_shim(payload: bytes) -> Iterator[tuple[int, int]]:
    """td-shim writes a name (16 bytes), a length (u32), then the measured data."""
    declared = int.from_bytes(payload[16:_TD_SHIM_HEADER], "little")
    if declared == len(payload) - _TD_SHIM_HEADER:
        yield _TD_SHIM_HEADER, len(payload)


def _variable_data(payload: bytes) -> Iterator[tuple[int, int]]:
    """EDK II measures boot variables without their names: GUID and name stay captions."""
    if len(payload) < _VARIABLE.size:
        return
    _, characters, size = _VARIABLE.unpack_from(payload)
    start = _VARIABLE.size + 2 * characters
    if start + size == len(payload):
        yield start, len(payload)


def _grub(payload: bytes) -> Iterator[tuple[int, int]]:
    """GRUB measures the text behind a prefix, some builds with the NUL that ends it."""
    for prefix in _GRUB_PREFIXES:
        if payload.startswith(prefix):
            text, nul, _ = payload[len(prefix) :].partition(b"\0")
            end = len(prefix) + len(text)
            yield len(prefix), end
            yield len(prefix), end + len(nul)
            return
