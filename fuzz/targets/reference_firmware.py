"""Firmware images: their table, SEV and TDX metadata, and what is measured of them."""

from __future__ import annotations

from assay.errors import ReferenceValueError
from assay.reference.ovmf import parse_firmware, sev_sections
from support.reference_firmware import sev_firmware, sev_metadata, tdx_firmware, tdx_metadata

SEEDS = [
    sev_firmware(),
    sev_firmware(sev_metadata([])),
    tdx_firmware(tdx_metadata([(0, 0x1000, 0xFFFFC000, 0x1000, 0, 1), (0, 0, 0x800000, 0x1000, 3, 0)])),
]


def target(data: bytes) -> None:
    """Take the input as the last pages of an image."""
    try:
        firmware = parse_firmware(data[-8192:].rjust(8192, b"\0"))
        sev_sections(firmware)
    except ReferenceValueError:
        return
