"""MRTD of a trust domain, from its firmware (TDVF).

The firmware's metadata names sections. The hypervisor adds each page of them to the TD (``MEM.PAGE.ADD``,
128 bytes: the words, the address at byte 16) and, where the metadata asks for it, extends MRTD by the
content, 256 bytes at a time (``MR.EXTEND``, 128 bytes, the address at byte 16, and the content). MRTD is
SHA-384 of all these. QEMU 9 and newer extends each page as it adds it; QEMU 8 first adds all pages of a
section.

Metadata: signature ``TDVF``, length u32, version u32 (1), number of sections u32; a section has 32 bytes:
offset in the image u32, size there u32, address u64, size in memory u64, kind u32, attributes u32 (bit 0:
MR.EXTEND, bit 1: PAGE.AUG, added by the guest later and not measured). Numbers are little-endian.

Source: Intel, "TDX Virtual Firmware Design Guide" 1.01, section 11; "TDX Module Base Architecture" 1.5,
TDH.MEM.PAGE.ADD and TDH.MR.EXTEND.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final
from uuid import UUID

from assay.errors import ReferenceValueError
from assay.reference.ovmf import (
    LARGEST_FIRMWARE,
    LARGEST_SECTIONS,
    MAX_SECTIONS,
    PAGE_BYTES,
    TDX_METADATA,
    parse_firmware,
)
from assay.reference.values import Measured

if TYPE_CHECKING:
    from typing import NoReturn

    from assay.reference.artefact import Artefact
    from assay.reference.ovmf import Firmware

CHUNK_BYTES: Final = 256
_GUID = UUID("e9eaf9f3-168e-44d5-a8eb-7f4d8738f6ae").bytes_le
_HEADER = Struct("<4sIII")
_SECTION = Struct("<IIQQII")
_EXTEND, _AUGMENT = 1, 2
_LARGEST_ADDRESS = 1 << 52
_PAGE_ADD = Struct("<16sQ104s")


class TdvfKind(IntEnum):
    """What a section is for."""

    BOOT_VOLUME = 0
    VARIABLES = 1
    HAND_OFF_BLOCKS = 2
    TEMPORARY_MEMORY = 3
    PERMANENT_MEMORY = 4
    PAYLOAD = 5
    PAYLOAD_PARAMETER = 6
    TD_INFO = 7
    TD_PARAMETERS = 8


@dataclass(frozen=True, slots=True)
class TdvfSection:
    """A section of the metadata.

    Attributes:
        offset: Of its content in the image.
        content: Size of its content there; what is behind it in memory is zero.
        address: Guest physical address, at a page.
        size: In memory, whole pages.
        kind: What it is for.
        extended: Whether MRTD is extended by its content.
        added: Whether its pages are there from the start.
    """

    offset: int
    content: int
    address: int
    size: int
    kind: TdvfKind
    extended: bool
    added: bool


def tdvf_sections(firmware: Firmware) -> tuple[TdvfSection, ...]:
    """Return the sections of a firmware image, in order.

    Raises:
        ReferenceValueError: ``reference.ovmf.entry_missing``, ``reference.ovmf.offset``;
            ``reference.tdvf.metadata``, ``reference.tdvf.section``.
    """
    at = firmware.pointed(TDX_METADATA, "TDX metadata", _HEADER.size)
    if at < len(_GUID) or firmware.data[at - len(_GUID) : at] != _GUID:
        _refuse("metadata", "The TDX metadata is not announced by its GUID.")
    magic, length, version, count = _HEADER.unpack_from(firmware.data, at)
    if magic != b"TDVF" or version != 1:
        _refuse("metadata", "The TDX metadata is not of version 1.")
    if not 1 <= count <= MAX_SECTIONS or length != _HEADER.size + count * _SECTION.size:
        _refuse("metadata", f"The TDX metadata has no section, more than {MAX_SECTIONS} or a wrong length.")
    if at + length > len(firmware.data):
        _refuse("metadata", "The TDX metadata does not end within the image.")
    table = firmware.data[at + _HEADER.size : at + length]
    found = tuple(_section(len(firmware.data), *each) for each in _SECTION.iter_unpack(table))
    if sum(each.size for each in found) > LARGEST_SECTIONS:
        _refuse("section", "The sections have more than 1 GiB in total.")
    return found


def mrtd(firmware: Firmware, *, two_pass: bool) -> bytes:
    """Return MRTD, 48 bytes.

    Args:
        firmware: The whole image.
        two_pass: Whether all pages of a section are added before the first is extended (QEMU 8).

    Raises:
        ReferenceValueError: as ``tdvf_sections``.
    """
    state = hashlib.sha384()
    for section in tdvf_sections(firmware):
        pages = range(section.address, section.address + section.size, PAGE_BYTES)
        if two_pass:
            for page in pages:
                _add(state, section, page)
            for page in pages:
                _extend(state, firmware, section, page)
        else:
            for page in pages:
                _add(state, section, page)
                _extend(state, firmware, section, page)
    return state.digest()


def hand_off_witness(firmware: Firmware) -> bytes:
    """Return what the hand-off blocks of a TD depend on: see ``evidence.dstack.td_hob`` for the encoding.

    Raises:
        ReferenceValueError: as ``tdvf_sections``; ``reference.tdvf.section`` unless there is exactly one
            section for the blocks, and none of the ranges is empty.
    """
    kinds = (TdvfKind.HAND_OFF_BLOCKS, TdvfKind.TEMPORARY_MEMORY)
    found = sorted(
        (each for each in tdvf_sections(firmware) if each.kind in kinds), key=lambda each: each.address
    )
    blocks = [each for each in found if each.kind is TdvfKind.HAND_OFF_BLOCKS]
    if len(blocks) != 1 or not all(each.size for each in found):
        _refuse("section", "There is not exactly one section for the hand-off blocks, or an empty range.")
    base = found[0].address
    numbers = [base // PAGE_BYTES, (blocks[0].address - base) // PAGE_BYTES, len(found)]
    for each in found:
        numbers += [(each.address - base) // PAGE_BYTES, each.size // PAGE_BYTES]
    return b"".join(_leb128(number) for number in numbers)


def _leb128(number: int) -> bytes:
    groups = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def measure(firmware: Artefact) -> Measured:
    """Measure a firmware image; the register is ``mr_td``, with a value for each order of pages.

    Raises:
        ReferenceValueError: ``reference.artefact.*``; as ``mrtd``.
    """
    image = parse_firmware(firmware.whole(LARGEST_FIRMWARE))
    values = frozenset(mrtd(image, two_pass=order) for order in (False, True))
    note = (
        "RTMR0 to RTMR3 are not computed from the firmware alone: they hold what it measured of the machine."
    )
    return Measured("tdx", {"mr_td": values}, (firmware.describe("firmware"),), {}, (note,))


def _add(state: hashlib._Hash, section: TdvfSection, page: int) -> None:
    if section.added:
        state.update(_PAGE_ADD.pack(b"MEM.PAGE.ADD", page, b""))


def _extend(state: hashlib._Hash, firmware: Firmware, section: TdvfSection, page: int) -> None:
    if not section.extended:
        return
    start = min(page - section.address, section.content)
    end = min(start + PAGE_BYTES, section.content)
    content = firmware.data[section.offset + start : section.offset + end].ljust(PAGE_BYTES, b"\0")
    for offset in range(0, PAGE_BYTES, CHUNK_BYTES):
        state.update(_PAGE_ADD.pack(b"MR.EXTEND", page + offset, b""))
        state.update(content[offset : offset + CHUNK_BYTES])


def _section(
    image: int, offset: int, content: int, address: int, size: int, kind: int, attributes: int
) -> TdvfSection:
    if kind >= len(TdvfKind) or attributes & ~(_EXTEND | _AUGMENT):
        _refuse("section", "A section is of a kind, or has an attribute, that is not known.")
    if attributes == _EXTEND | _AUGMENT:
        _refuse("section", "A section is to be extended, but its pages are not there from the start.")
    if address % PAGE_BYTES or size % PAGE_BYTES or address + size > _LARGEST_ADDRESS:
        _refuse("section", "A section is not at a page, not of whole pages or beyond all memory.")
    if content > size and not attributes & _AUGMENT:
        _refuse("section", "A section has more content than memory.")
    if offset + content > image:
        _refuse("section", "The content of a section is not in the image.")
    return TdvfSection(
        offset,
        content,
        address,
        size,
        TdvfKind(kind),
        extended=bool(attributes & _EXTEND),
        added=not attributes & _AUGMENT,
    )


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.tdvf.{code}", message)
