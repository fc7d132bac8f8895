"""A Linux kernel as QEMU hands it to firmware: with fields of its setup header filled in.

Firmware measures what it is handed, so that the digest depends on where QEMU puts the initrd, and with it
on the initrd's size and the memory of the machine. From 2816 MiB on, and at 2 GiB exactly, the place is the
same.

Source: Linux, ``Documentation/arch/x86/boot.rst`` (the setup header); QEMU, ``hw/i386/x86-common.c``
(x86_load_linux).
"""

from __future__ import annotations

from struct import pack_into, unpack_from
from typing import TYPE_CHECKING, Final

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.pe import authenticode

if TYPE_CHECKING:
    from typing import NoReturn

LARGEST_KERNEL: Final = 256 << 20
LEAST_KERNEL: Final = 4096
HIGH_MEMORY_BYTES: Final = 0xB0000000
_SPLIT = 0x80000000
_ACPI_BYTES = 0x28000  # kept free below the end of low memory
_DEFAULT_INITRD_END = 0x37FFFFFF
_LOADER_QEMU = 0xB0
_LOADED_HIGH, _CAN_USE_HEAP = 0x01, 0x80
_ABOVE_4G = 0x40
# Offsets in the setup header.
_VERSION, _LOADER, _FLAGS = 0x206, 0x210, 0x211
_INITRD, _HEAP_END, _COMMAND_LINE = 0x218, 0x224, 0x228  # behind the first, the initrd's size
_INITRD_END, _MORE_FLAGS = 0x22C, 0x236


def patched_digest(kernel: Artefact, initrd_bytes: int, memory_bytes: int) -> bytes:
    """Return the Authenticode SHA-384 of a kernel as QEMU hands it over, 48 bytes.

    Args:
        kernel: The kernel, a PE image with a setup header of boot protocol 2.3 or newer.
        initrd_bytes: Size of the initrd.
        memory_bytes: Memory of the machine.

    Raises:
        ReferenceValueError: ``reference.artefact.*``, ``reference.pe.*``; ``reference.kernel.header`` for a
            kernel without such a header, ``reference.kernel.initrd`` for an initrd that does not fit.
    """
    data = bytearray(kernel.whole(LARGEST_KERNEL))
    (version,) = unpack_from("<H", data, _VERSION) if len(data) >= LEAST_KERNEL else (0,)
    if version < 0x203:
        _refuse("header", "The kernel has no setup header of boot protocol 2.3 or newer.")
    high = bool(data[_FLAGS] & _LOADED_HIGH)
    base, command_line = (0x10000, 0x20000) if high else (0x90000, 0x9A000)
    place = _initrd_place(data, version, initrd_bytes, memory_bytes)
    data[_LOADER] = _LOADER_QEMU
    data[_FLAGS] |= _CAN_USE_HEAP
    pack_into("<I", data, _HEAP_END, command_line - base - 0x200)
    pack_into("<I", data, _COMMAND_LINE, command_line)
    if initrd_bytes:
        pack_into("<II", data, _INITRD, place, initrd_bytes)
    return authenticode(Artefact.of(bytes(data), kernel.name), "sha384")


def _initrd_place(kernel: bytearray, version: int, initrd_bytes: int, memory_bytes: int) -> int:
    """Return the address of the initrd: as high as kernel and low memory allow, at a page."""
    if version >= 0x20C:
        (flags,) = unpack_from("<H", kernel, _MORE_FLAGS)
        end = 0xFFFFFFFF if flags & _ABOVE_4G else _DEFAULT_INITRD_END
    else:
        end = unpack_from("<I", kernel, _INITRD_END)[0] or _DEFAULT_INITRD_END
    low = _SPLIT if memory_bytes >= HIGH_MEMORY_BYTES else memory_bytes
    end = min(end, low - _ACPI_BYTES - 1)
    if initrd_bytes >= end:
        _refuse("initrd", "The initrd does not fit into the memory below 4 GiB.")
    place: int = end - initrd_bytes & ~0xFFF
    return place


def _refuse(code: str, message: str) -> NoReturn:
    raise ReferenceValueError(f"reference.kernel.{code}", message)
