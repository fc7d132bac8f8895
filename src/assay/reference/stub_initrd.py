"""What the stub of a unified kernel image hands to the kernel as initrd: one, made of several sections.

Microcode and initrd come as they are. What the system may want to read of the image is packed, each file
into an archive of its own: the entries of directory, file and end, in the form "newc" of cpio. Of several
pieces each is padded to four bytes.

Source: systemd 258, ``src/boot`` (``stub.c``, ``cpio.c``, ``initrd.c``) and systemd-stub(7); Linux,
``Documentation/driver-api/early-userspace/buffer-format.rst``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from assay.errors import ReferenceValueError
from assay.reference.artefact import CHUNK_BYTES, Artefact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

    from assay.reference.pe import PeImage, PeSection

BEFORE_257: Final = {".pcrsig": b"tpm2-pcr-signature.json", ".pcrpkey": b"tpm2-pcr-public-key.pem"}
SINCE_257: Final = {**BEFORE_257, ".osrel": b"os-release", ".profile": b"profile"}
"""Sections that a stub packs, in order, and the names of the files: of systemd 254 to 256, and newer."""
LARGEST_PACKED: Final = 1 << 20
LARGEST_PADDING: Final = 1 << 20
_DIRECTORY = b".extra"
_DIRECTORY_MODE, _FILE_MODE = 0o040555, 0o100444
# Its digits are upper case, those of all other entries lower case.
_END = b"070701" + b"0" * 32 + b"00000001" + b"0" * 48 + b"0000000B" + b"0" * 8 + b"TRAILER!!!" + bytes(4)


def initrd_digest(uki: Artefact, image: PeImage, packed: dict[str, bytes], algorithm: str) -> bytes | None:
    """Return the digest of the initrd that the kernel gets; None when it gets none.

    Args:
        uki: The image.
        image: Where things are in it.
        packed: ``BEFORE_257`` or ``SINCE_257``.
        algorithm: A name that ``hashlib`` knows.

    Raises:
        ReferenceValueError: ``reference.artefact.truncated``, ``reference.pe.section``,
            ``reference.uki.section``.
    """
    pieces = list(_pieces(uki, image, packed))
    state = hashlib.new(algorithm)
    for content, zeros in pieces:
        for offset in range(0, content.size, CHUNK_BYTES):
            state.update(content.read(offset, min(CHUNK_BYTES, content.size - offset)))
        aligning = -(content.size + zeros) % 4 if len(pieces) > 1 else 0
        state.update(bytes(zeros + aligning))
    return state.digest() if pieces else None


def in_memory(uki: Artefact, section: PeSection) -> tuple[Artefact, int]:
    """Return a section as it lies in memory: what is in the file, and how many zeros follow.

    Raises:
        ReferenceValueError: ``reference.uki.section`` when that is more than 1 MiB of zeros.
    """
    zeros = max(section.size - section.raw_size, 0)
    if zeros > LARGEST_PADDING:
        _too_large(section)
    return uki.part(section.offset if section.raw_size else 0, section.size - zeros, section.name), zeros


def _pieces(uki: Artefact, image: PeImage, packed: dict[str, bytes]) -> Iterator[tuple[Artefact, int]]:
    for name in (".ucode", ".initrd", *packed):
        section = image.section(name)
        if section is None or not section.size:
            continue
        content, zeros = in_memory(uki, section)
        if name in packed:
            if section.size > LARGEST_PACKED:
                _too_large(section)
            yield Artefact.of(_archive(packed[name], content.whole(LARGEST_PACKED) + bytes(zeros))), 0
        else:
            yield content, zeros


def _archive(name: bytes, content: bytes) -> bytes:
    """Return the archive of one file."""
    directory = _entry(1, _DIRECTORY_MODE, _DIRECTORY, b"")
    return directory + _entry(2, _FILE_MODE, _DIRECTORY + b"/" + name, content) + _END


def _entry(number: int, mode: int, path: bytes, content: bytes) -> bytes:
    """Return an entry: owned by root, of no time, on no device."""
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def _too_large(section: PeSection) -> NoReturn:
    raise ReferenceValueError("reference.uki.section", f"The section {section.name!a} is too large.")
