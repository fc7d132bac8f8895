"""Firmware images: their table, SEV and TDX metadata, and what is measured of them."""

from __future__ import annotations

from assay.errors import ReferenceValueError
from assay.reference.ovmf import parse_firmware, sev_sections
from assay.reference.tdvf import tdvf_sections
from support.reference_firmware import sev_firmware, sev_metadata, tdx_firmware, tdx_metadata

SEEDS = [
    sev_firmware(),
    sev_firmware(sev_metadata([])),
    tdx_firmware(tdx_metadata([(0, 0x1000, 0xFFFFC000, 0x1000, 0, 1), (0, 0, 0x800000, 0x1000, 3, 0)])),
]


def target(data: bytes) -> None:
    """Take the input as the last pages of an image."""
    firmware = None
    for work in (sev_sections, tdvf_sections):
        try:
            firmware = firmware or parse_firmware(data[-16384:].rjust(16384, b"\0"))
            work(firmware)
        except ReferenceValueError:
            continue
