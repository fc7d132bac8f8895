"""The initial state of a virtual CPU, a page of its own that the launch digest covers.

Hypervisors disagree on it: the same firmware measures differently under QEMU, at Amazon and at Google.

Source: AMD64 Architecture Programmer's Manual, volume 2, table B-4 (layout of the save area); initial values
as KVM, QEMU, EC2 and Google's hypervisor set them, compared with sev-snp-measure.
"""

from __future__ import annotations

from enum import StrEnum
from struct import pack_into
from typing import Final

from assay.errors import ReferenceValueError
from assay.reference.ovmf import PAGE_BYTES

RESET_ADDRESS: Final = 0xFFFFFFF0
_MASK_32: Final = 0xFFFFFFFF
_PAT = 0x0007040600070406
_GOOGLE_PAT = 0x00070106
_NOT_QEMU_RDX = 0x600
_MXCSR = 0x1F80
_X87_CONTROL = 0x37F
# The segments in the order of the save area, 16 bytes each: selector, attributes, limit, base.
_SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "gdtr", "ldtr", "idtr", "tr")
# Offsets of the registers that are not zero, eight bytes each unless noted.
_EFER, _CR4, _CR0, _DR7, _DR6, _RFLAGS, _RIP = 0x0D0, 0x148, 0x158, 0x160, 0x168, 0x170, 0x178
_G_PAT, _RDX, _SEV_FEATURES, _XCR0 = 0x268, 0x310, 0x3B0, 0x3E8
_MXCSR_AT, _X87_CONTROL_AT = 0x408, 0x410  # four bytes; two bytes


class Hypervisor(StrEnum):
    """Whose initial state it is."""

    QEMU = "qemu"
    EC2 = "ec2"
    GCE = "gce"


def signature(family: int, model: int, stepping: int) -> int:
    """Return the processor signature (EAX of CPUID leaf 1) of a family, model and stepping.

    Raises:
        ReferenceValueError: ``reference.snp.vcpu`` when one of them does not fit.
    """
    if not (0 <= family <= 0xF + 0xFF and 0 <= model <= 0xFF and 0 <= stepping <= 0xF):
        raise ReferenceValueError("reference.snp.vcpu", "No processor has this family, model and stepping.")
    low, high = min(family, 0xF), max(family - 0xF, 0)
    return high << 20 | (model >> 4) << 16 | low << 8 | (model & 0xF) << 4 | stepping


_MODELS = {
    "EPYC": (signature(0x17, 0x01, 2), ("", "-v1", "-v2", "-IBPB", "-v3", "-v4", "-v5")),
    "EPYC-Rome": (signature(0x17, 0x31, 0), ("", "-v1", "-v2", "-v3", "-v4", "-v5")),
    "EPYC-Milan": (signature(0x19, 0x01, 1), ("", "-v1", "-v2", "-v3")),
    "EPYC-Genoa": (signature(0x19, 0x11, 0), ("", "-v1", "-v2")),
    "EPYC-Turin": (signature(0x1A, 0x00, 0), ("", "-v1")),
}
VCPU_TYPES: Final = {
    model + version: value for model, (value, versions) in _MODELS.items() for version in versions
}
"""Processor signature of each CPU model that QEMU knows of AMD's servers, all versions of it."""


def vcpu_signature(name: str) -> int:
    """Return the signature of a CPU model by QEMU's name for it.

    Raises:
        ReferenceValueError: ``reference.snp.vcpu``.
    """
    found = VCPU_TYPES.get(name)
    if found is None:
        raise ReferenceValueError(
            "reference.snp.vcpu",
            f"The CPU model {name!a} is not known.",
            action=f"Use one of {', '.join(VCPU_TYPES)}, or the signature itself.",
        )
    return found


def vmsa_page(hypervisor: Hypervisor, eip: int, vcpu: int, features: int) -> bytes:
    """Return the page of a virtual CPU that starts in real mode, 4096 bytes.

    Args:
        hypervisor: Whose values.
        eip: Where it starts: ``RESET_ADDRESS`` for the first one, the image's reset block for others.
        vcpu: Processor signature; only QEMU puts it into a register.
        features: SEV_FEATURES of the guest.
    """
    qemu, amazon = hypervisor is Hypervisor.QEMU, hypervisor is Hypervisor.EC2
    segments = _real_mode(
        cs=(0xF000, 0x9A if amazon and eip == RESET_ADDRESS else 0x9B, 0xFFFF, eip & 0xFFFF0000),
        ss=(0, 0x92 if amazon else 0x93, 0xFFFF, 0),
        tr=(0, 0x83 if amazon else 0x8B, 0xFFFF, 0),
    )
    page = _page(segments, features)
    pack_into("<Q", page, _CR0, 0x10)
    pack_into("<Q", page, _RIP, eip & 0xFFFF)
    pack_into("<Q", page, _G_PAT, _GOOGLE_PAT if hypervisor is Hypervisor.GCE else _PAT)
    pack_into("<Q", page, _RDX, vcpu if qemu else _NOT_QEMU_RDX)
    if qemu:
        pack_into("<I", page, _MXCSR_AT, _MXCSR)
        pack_into("<H", page, _X87_CONTROL_AT, _X87_CONTROL)
    return bytes(page)


def svsm_page(eip: int, vcpu: int) -> bytes:
    """Return the page of a virtual CPU that starts a service module in protected mode under QEMU, 4096 bytes.

    Args:
        eip: Where the module says that it starts.
        vcpu: Processor signature.
    """
    flat = (16, 0xC93, _MASK_32, 0)
    segments = _real_mode(cs=(8, 0xC9B, _MASK_32, 0), ss=flat, tr=(0, 0x8B, 0xFFFF, 0))
    segments.update(dict.fromkeys(("es", "ds", "fs"), flat))
    page = _page(segments, features=1)
    pack_into("<Q", page, _CR0, 0x11)
    pack_into("<Q", page, _RIP, eip)
    pack_into("<Q", page, _G_PAT, _PAT)
    pack_into("<Q", page, _RDX, vcpu)
    pack_into("<I", page, _MXCSR_AT, _MXCSR)
    return bytes(page)


def _real_mode(
    *, cs: tuple[int, int, int, int], ss: tuple[int, int, int, int], tr: tuple[int, int, int, int]
) -> dict[str, tuple[int, int, int, int]]:
    data, table = (0, 0x93, 0xFFFF, 0), (0, 0, 0xFFFF, 0)
    return {
        **dict.fromkeys(("es", "ds", "fs", "gs"), data),
        **dict.fromkeys(("gdtr", "idtr"), table),
        "ldtr": (0, 0x82, 0xFFFF, 0),
        "cs": cs,
        "ss": ss,
        "tr": tr,
    }


def _page(segments: dict[str, tuple[int, int, int, int]], features: int) -> bytearray:
    page = bytearray(PAGE_BYTES)
    for index, name in enumerate(_SEGMENTS):
        pack_into("<HHIQ", page, 16 * index, *segments[name])
    pack_into("<Q", page, _EFER, 0x1000)
    pack_into("<Q", page, _CR4, 0x40)
    pack_into("<Q", page, _DR7, 0x400)
    pack_into("<Q", page, _DR6, 0xFFFF0FF0)
    pack_into("<Q", page, _RFLAGS, 2)
    pack_into("<Q", page, _SEV_FEATURES, features)
    pack_into("<Q", page, _XCR0, 1)
    return page
