"""A firmware image (OVMF, TDVF, SVSM): its table of GUIDs and the sections that each TEE is told of.

The image ends 32 bytes behind a table that is read backwards: each entry is its data, then its length (two
bytes, little-endian, header included) and its GUID (16 bytes, mixed-endian as in memory). The last entry
stands for the table itself: its length is that of all entries and its own header.

Source: edk2, ``OvmfPkg/ResetVector`` (``Ia16/ResetVectorVtf0.asm``, ``X64/OvmfSevMetadata.asm``,
``X64/IntelTdxMetadata.asm``); Intel, "TDX Virtual Firmware Design Guide" 1.01, section 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final
from uuid import UUID

from assay.errors import ReferenceValueError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

PAGE_BYTES: Final = 4096
LARGEST_FIRMWARE: Final = 64 << 20
LARGEST_TABLE: Final = 4096
MAX_SECTIONS: Final = 64
LARGEST_SECTIONS: Final = 1 << 30
"""Total memory of all sections, in bytes: what it costs to measure them is proportional to it."""
FOUR_GIB: Final = 1 << 32

FOOTER: Final = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
SEV_HASH_TABLE: Final = UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")
SEV_ES_RESET_BLOCK: Final = UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e")
SEV_METADATA: Final = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
SVSM_INFO: Final = UUID("a789a612-0597-4c4b-a49f-cbb1fe9d1ddd")
TDX_METADATA: Final = UUID("e47a6535-984a-4798-865e-4685a7bf8ec2")

_TAIL_BYTES = 32
_ENTRY = Struct("<H16s")
_WORD = Struct("<I")
_SEV_HEADER = Struct("<4sIII")
_SEV_SECTION = Struct("<III")


class SevSection(IntEnum):
    """What a section of the SEV metadata is for."""

    MEMORY = 1
    SECRETS = 2
    CPUID = 3
    SVSM_CALLING_AREA = 4
    KERNEL_HASHES = 0x10


_KINDS: Final = frozenset(int(kind) for kind in SevSection)


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the SEV metadata.

    Attributes:
        address: Guest physical address, at a page.
        size: In bytes, whole pages, not zero.
        kind: What it is for.
    """

    address: int
    size: int
    kind: SevSection


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware image with its table.

    Attributes:
        data: The whole image, whole pages.
        table: Data of each entry of the table, by GUID; empty when there is no table.
    """

    data: bytes
    table: Mapping[UUID, bytes]

    def address(self, end: int = FOUR_GIB) -> int:
        """Return the guest physical address of the first byte of an image that ends at ``end``.

        Raises:
            ReferenceValueError: ``reference.ovmf.address``.
        """
        if len(self.data) > end:
            _refuse("address", "The image does not fit below the address where it has to end.")
        return end - len(self.data)

    def word(self, guid: UUID, what: str) -> int:
        """Return the first four bytes of an entry, a little-endian number.

        Raises:
            ReferenceValueError: ``reference.ovmf.entry_missing``, ``reference.ovmf.entry``.
        """
        entry = self.table.get(guid)
        if entry is None:
            raise ReferenceValueError(
                "reference.ovmf.entry_missing", f"The image's table has no entry for {what}."
            )
        if len(entry) < _WORD.size:
            _refuse("entry", f"The entry for {what} is shorter than four bytes.")
        return int(_WORD.unpack_from(entry)[0])

    def pointed(self, guid: UUID, what: str, size: int) -> int:
        """Return the offset that an entry names by its distance from the end, ``size`` bytes being there.

        Raises:
            ReferenceValueError: as ``word``; ``reference.ovmf.offset``.
        """
        offset = len(self.data) - self.word(guid, what)
        if not 0 <= offset <= len(self.data) - size:
            _refuse("offset", f"The entry for {what} points out of the image.")
        return offset


def parse_firmware(data: bytes) -> Firmware:
    """Parse an image.

    Raises:
        ReferenceValueError: ``reference.ovmf.size``, ``reference.ovmf.table``.
    """
    if not data or len(data) % PAGE_BYTES or len(data) > LARGEST_FIRMWARE:
        _refuse("size", f"A firmware image has whole pages and at most {LARGEST_FIRMWARE} bytes.")
    end = len(data) - _TAIL_BYTES - _ENTRY.size
    size, guid = _ENTRY.unpack_from(data, end)
    if UUID(bytes_le=guid) != FOOTER:
        return Firmware(data, {})
    if not _ENTRY.size <= size <= min(LARGEST_TABLE, end + _ENTRY.size):
        _refuse("table", "The length of the image's table is wrong.")
    return Firmware(data, _entries(data[end + _ENTRY.size - size : end]))


def _entries(table: bytes) -> dict[UUID, bytes]:
    found: dict[UUID, bytes] = {}
    while table:
        if len(table) < _ENTRY.size:
            _refuse("table", "An entry of the image's table is cut short.")
        size, name = _ENTRY.unpack_from(table, len(table) - _ENTRY.size)
        guid = UUID(bytes_le=name)
        if not _ENTRY.size <= size <= len(table) or guid in found:
            _refuse("table", "An entry of the image's table has a wrong length or is there twice.")
        found[guid] = table[len(table) - size : len(table) - _ENTRY.size]
        table = table[: len(table) - size]
    return found


def sev_sections(firmware: Firmware) -> tuple[Section, ...]:
    """Return the sections of the SEV metadata, in order.

    Raises:
        ReferenceValueError: ``reference.ovmf.entry_missing``, ``reference.ovmf.offset``,
            ``reference.ovmf.sev_metadata`` for a wrong header, ``reference.ovmf.section`` for a section that
            is unknown, empty, not at a page or not of pages, or for too many of them.
    """
    at = firmware.pointed(SEV_METADATA, "SEV metadata", _SEV_HEADER.size)
    magic, size, version, count = _SEV_HEADER.unpack_from(firmware.data, at)
    if magic != b"ASEV" or version != 1:
        _refuse("sev_metadata", "The SEV metadata is not of version 1.")
    if count > MAX_SECTIONS or size != _SEV_HEADER.size + count * _SEV_SECTION.size:
        _refuse("sev_metadata", f"The SEV metadata has more than {MAX_SECTIONS} sections or a wrong length.")
    if at + size > len(firmware.data):
        _refuse("sev_metadata", "The SEV metadata does not end within the image.")
    sections = firmware.data[at + _SEV_HEADER.size : at + size]
    found = tuple(_section(*each) for each in _SEV_SECTION.iter_unpack(sections))
    if sum(each.size for each in found) > LARGEST_SECTIONS:
        _refuse("section", "The sections have more than 1 GiB in total.")
    return found


def _section(address: int, size: int, kind: int) -> Section:
    if kind not in _KINDS:
        _refuse("section", f"A section is of kind {kind}, which is not known.")
    if address % PAGE_BYTES or size % PAGE_BYTES or not size or address + size > FOUR_GIB:
        _refuse("section", "A section is empty, not at a page, not of whole pages or above 4 GiB.")
    return Section(address, size, SevSection(kind))


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.ovmf.{code}", message)
