"""The TD hand-off block list that TDVF measures into RTMR0, rebuilt from a compact witness.

The list depends on where the firmware keeps its temporary memory (the witness, a constant of the image) and
on the size of the guest's memory. Witness: unsigned LEB128 numbers ``base page, page of the list relative to
the base, number of ranges, {start page relative to the base, page count} ...``, ranges ascending, disjoint.

Source: dstack 0.6.0, ``dstack-mr/src/tdx.rs`` (measure_td_hob_from_witness_data); UEFI Platform
Initialization 1.7, volume 3, section 5 (hand-off blocks).
"""

from __future__ import annotations

import hashlib
from struct import Struct

from assay.evidence.dstack.fields import refuse

PAGE_BYTES = 4096
MAX_RANGES = 64
MAX_MEMORY_BYTES = 1 << 47
HIGH_MEMORY_BYTES = 0xB0000000
"""From this size on QEMU splits the guest's memory at 2 GiB and moves the rest above 4 GiB."""
_SPLIT = 0x80000000
_ABOVE_4G = 0x100000000
_MAX_NUMBER_BYTES = 6
_HANDOFF = Struct("<HHIII5Q")
_RESOURCE = Struct("<HHI16sIIQQ")
_SYSTEM_MEMORY = 0
_UNACCEPTED_MEMORY = 7
_PRESENT_INITIALIZED_TESTED = 7
_NOBODY = b""  # the owner, a GUID of 16 bytes that stays zero


def td_hob_digest(witness: bytes, memory_bytes: int) -> bytes:
    """Return the SHA-384 digest of the hand-off block list, 48 bytes.

    Args:
        witness: The witness of the image's measurement document.
        memory_bytes: Size of the guest's memory.

    Raises:
        EvidenceError: ``dstack.os_image.td_hob`` when the witness is malformed or does not fit the memory.
    """
    base, list_page, ranges = _read(witness)
    resources = []
    end = 0
    for start, stop in ranges:
        if start < end or stop <= start or stop >= memory_bytes or memory_bytes > MAX_MEMORY_BYTES:
            refuse("os_image.td_hob", "The TD HOB witness does not fit the guest's memory.")
        if start > end:
            resources.append((_UNACCEPTED_MEMORY, end, start - end))
        resources.append((_SYSTEM_MEMORY, start, stop - start))
        end = stop
    resources += _rest(end, memory_bytes)
    list_end = (base + list_page) * PAGE_BYTES + _HANDOFF.size + _RESOURCE.size * len(resources) + 8
    blocks = [_HANDOFF.pack(1, _HANDOFF.size, 0, 9, 0, 0, 0, 0, 0, list_end)]
    blocks += [
        _RESOURCE.pack(3, _RESOURCE.size, 0, _NOBODY, kind, _PRESENT_INITIALIZED_TESTED, start, size)
        for kind, start, size in resources
    ]
    return hashlib.sha384(b"".join(blocks)).digest()


def _rest(start: int, memory_bytes: int) -> list[tuple[int, int, int]]:
    """Describe the memory behind the last range, which the guest still has to accept."""
    if memory_bytes < HIGH_MEMORY_BYTES:
        return [(_UNACCEPTED_MEMORY, start, memory_bytes - start)]
    low = [(_UNACCEPTED_MEMORY, start, _SPLIT - start)] if start < _SPLIT else []
    return [*low, (_UNACCEPTED_MEMORY, _ABOVE_4G, memory_bytes - _SPLIT)]


def _read(witness: bytes) -> tuple[int, int, list[tuple[int, int]]]:
    numbers = _numbers(witness)
    if len(numbers) < 3 or not 1 <= numbers[2] <= MAX_RANGES or len(numbers) != 3 + 2 * numbers[2]:
        refuse("os_image.td_hob", "The TD HOB witness does not hold the ranges that it announces.")
    base = numbers[0]
    ranges = [
        ((base + start) * PAGE_BYTES, (base + start + count) * PAGE_BYTES)
        for start, count in zip(numbers[3::2], numbers[4::2], strict=True)
    ]
    return base, numbers[1], ranges


def _numbers(witness: bytes) -> list[int]:
    found: list[int] = []
    value = shift = 0
    for byte in witness:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80:
            if shift == 7 * _MAX_NUMBER_BYTES:
                refuse("os_image.td_hob", "A number of the TD HOB witness is too large.")
            continue
        if byte == 0 and shift != 7:
            refuse("os_image.td_hob", "A number of the TD HOB witness is not in its shortest form.")
        found.append(value)
        value = shift = 0
    if shift:
        refuse("os_image.td_hob", "The TD HOB witness is cut short.")
    return found
