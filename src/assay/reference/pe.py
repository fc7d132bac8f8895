"""A PE image: its sections, and the Authenticode digest by which firmware measures what it starts.

The digest covers the file but its checksum, the directory entry of the certificate table, and that table.
Sections are hashed in the order of their place in the file; what follows them is hashed from the sum of all
sizes on, as firmware does it.

Source: Microsoft, "PE Format" and "Windows Authenticode Portable Executable Signature Format" (2008), section
"Calculating the PE Image Hash"; edk2, ``SecurityPkg/Library/DxeTpm2MeasureBootLib``.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from assay.errors import ReferenceValueError

if TYPE_CHECKING:
    from typing import NoReturn

    from assay.reference.artefact import Artefact

MAX_SECTIONS: Final = 96
LARGEST_HEADERS: Final = 1 << 20
_DOS_BYTES = 64
_COFF = Struct("<4sHHIIIHH")
_SECTION = Struct("<8sIIII16s")
_WORD = Struct("<I")
_PAIR = Struct("<II")
# Offsets in the optional header, by its magic number: number of directory entries, and the first of them.
_DIRECTORIES = {0x10B: (92, 96), 0x20B: (108, 112)}
_SIZE_OF_HEADERS, _CHECKSUM = 60, 64
_CERTIFICATES = 4
_ENTRY_BYTES = 8


@dataclass(frozen=True, slots=True)
class PeSection:
    """A section.

    Attributes:
        name: Up to eight characters.
        size: In memory, in bytes.
        offset: In the file.
        raw_size: In the file, in bytes.
    """

    name: str
    size: int
    offset: int
    raw_size: int


@dataclass(frozen=True, slots=True)
class PeImage:
    """Where things are in a PE file.

    Attributes:
        file_bytes: Size of the file.
        checksum: Offset of the four bytes of the checksum.
        directory: Offset of the eight bytes that name the certificate table; None without such an entry.
        headers: Size of all headers.
        certificates: Size of the certificate table, which ends the file.
        sections: In the order of the section table.
    """

    file_bytes: int
    checksum: int
    directory: int | None
    headers: int
    certificates: int
    sections: tuple[PeSection, ...]

    def section(self, name: str) -> PeSection | None:
        """Return a section by its name; None when there is none.

        Raises:
            ReferenceValueError: ``reference.pe.section`` when there are several.
        """
        found = [each for each in self.sections if each.name == name]
        if len(found) > 1:
            _refuse("section", f"The image has several sections {name!a}.")
        return found[0] if found else None

    def hashed(self) -> list[tuple[int, int]]:
        """Return the ranges of the file that the Authenticode digest covers, in order.

        Raises:
            ReferenceValueError: ``reference.pe.section`` when two sections share bytes of the file.
        """
        after_checksum = self.checksum + 4
        if self.directory is None:
            ranges = [(0, self.checksum), (after_checksum, self.headers)]
        else:
            ranges = [
                (0, self.checksum),
                (after_checksum, self.directory),
                (self.directory + _ENTRY_BYTES, self.headers),
            ]
        end = total = self.headers
        for each in sorted((s for s in self.sections if s.raw_size), key=lambda s: s.offset):
            if each.offset < end:
                _refuse("section", "A section of the image overlaps another one or the headers.")
            end = each.offset + each.raw_size
            total += each.raw_size
            ranges.append((each.offset, end))
        rest = self.file_bytes - self.certificates
        if total > rest:
            _refuse("certificates", "The certificate table overlaps a section.")
        return [*ranges, (total, rest)]


def parse_pe(artefact: Artefact) -> PeImage:
    """Parse the headers of a PE file.

    Raises:
        ReferenceValueError: ``reference.artefact.truncated``, ``reference.pe.header``,
            ``reference.pe.section``, ``reference.pe.certificates``.
    """
    dos = artefact.read(0, _DOS_BYTES)
    (at,) = _WORD.unpack_from(dos, 60)
    if dos[:2] != b"MZ" or not _DOS_BYTES <= at <= LARGEST_HEADERS:
        _refuse("header", "The file is not a PE image.")
    magic, _, count, _, _, _, optional_bytes, _ = _COFF.unpack(artefact.read(at, _COFF.size))
    if magic != b"PE\0\0" or count > MAX_SECTIONS:
        _refuse("header", f"The file is not a PE image, or has more than {MAX_SECTIONS} sections.")
    start = at + _COFF.size
    optional = artefact.read(start, optional_bytes)
    directory, certificates = _certificates(optional, start)
    (headers,) = _WORD.unpack_from(optional, _SIZE_OF_HEADERS)
    table = start + optional_bytes
    if not table + count * _SECTION.size <= headers <= min(artefact.size, LARGEST_HEADERS):
        _refuse("header", "The size of the image's headers is wrong.")
    if certificates[1] and certificates[0] + certificates[1] != artefact.size:
        _refuse("certificates", "The certificate table is not the end of the file.")
    sections = _SECTION.iter_unpack(artefact.read(table, count * _SECTION.size))
    return PeImage(
        artefact.size,
        start + _CHECKSUM,
        directory,
        headers,
        certificates[1],
        tuple(_section(artefact.size, name, size, raw, at) for name, size, _, raw, at, _ in sections),
    )


def authenticode(artefact: Artefact, algorithm: str) -> bytes:
    """Return the Authenticode digest of a PE file.

    Args:
        artefact: The file.
        algorithm: A name that ``hashlib`` knows: ``sha256`` for PCRs, ``sha384`` for RTMRs.

    Raises:
        ReferenceValueError: as ``parse_pe`` and ``PeImage.hashed``.
    """
    return artefact.digest(algorithm, parse_pe(artefact).hashed())


def _certificates(optional: bytes, start: int) -> tuple[int | None, tuple[int, int]]:
    """Return the offset of the directory entry of the certificate table, and what it says: place and size."""
    kind = _DIRECTORIES.get(int.from_bytes(optional[:2], "little"))
    if kind is None or len(optional) < kind[1]:
        _refuse("header", "The image's optional header is neither of 32 nor of 64 bits.")
    number, first = kind
    (entries,) = _WORD.unpack_from(optional, number)
    if entries > 16 or len(optional) < first + entries * _ENTRY_BYTES:
        _refuse("header", "The image's optional header is shorter than its directory.")
    if entries <= _CERTIFICATES:
        return None, (0, 0)
    at = first + _CERTIFICATES * _ENTRY_BYTES
    place, size = _PAIR.unpack_from(optional, at)
    return start + at, (place, size)


def _section(file_bytes: int, name: bytes, size: int, raw_size: int, offset: int) -> PeSection:
    text = name.rstrip(b"\0")
    if not text.isascii() or b"\0" in text:
        _refuse("section", "The name of a section is not ASCII.")
    if raw_size and offset + raw_size > file_bytes:
        _refuse("section", "A section ends behind the file.")
    return PeSection(text.decode("ascii"), size, offset, raw_size)


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.pe.{code}", message)
