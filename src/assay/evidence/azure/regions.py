"""Which bytes of an Azure VM's evidence nothing covers, as offsets in its container."""

from __future__ import annotations

import base64
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from assay.evidence.azure.forms import AzureEvidence
from assay.evidence.decoding.strictjson import raw_members
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from collections.abc import Sequence

TDREPORT: Final = (32, 32 + 1024)
"""Where the TDREPORT stands in an HCL report: its MAC can be checked by the same machine alone."""
_TDREPORT_NAME: Final = "TDREPORT of the HCL report"
_CERTIFICATES: Final = ("ak_certificate_pem", "ak_intermediate_certificates_pem")
_LOG: Final = "event_log"


def unsigned_regions(
    evidence: bytes | AzureEvidence,
    parts: AzureEvidence,
    log: Sequence[UnsignedRegion],
    *,
    td: bool,
    certificate_open: bool,
) -> tuple[UnsignedRegion, ...]:
    """Return what nothing covers: offsets in the container, or in the part that the name says.

    Args:
        evidence: The container, or its parts where there is none.
        parts: Its parts.
        log: Regions of the event log that no quoted PCR covers.
        td: Whether the HCL report holds a TDREPORT.
        certificate_open: Whether certificates came along that lead nowhere.
    """
    if isinstance(evidence, AzureEvidence):
        found = [UnsignedRegion(*TDREPORT, _TDREPORT_NAME)] if td else []
        if certificate_open:
            found += [UnsignedRegion(0, 0, f"{name}: the whole part") for name in _CERTIFICATES]
        return (*found, *(UnsignedRegion(one.start, one.end, f"{_LOG}: {one.name}") for one in log))
    found = [UnsignedRegion(*_td_report(evidence, parts.hcl), _TDREPORT_NAME)] if td else []
    if certificate_open or log:
        members = _tpm_members(evidence)
        if certificate_open:
            found += [UnsignedRegion(*members[name], name) for name in _CERTIFICATES if name in members]
        if log:
            found += _of_items(evidence, members[_LOG], log)
    return tuple(found)


def _td_report(container: bytes, hcl: bytes) -> tuple[int, int]:
    """Return where the TDREPORT of an HCL report stands in the text of a container."""
    first, last = TDREPORT
    aligned = first - first % 3
    at = container.find(base64.urlsafe_b64encode(hcl[aligned : aligned + 48]))
    if at >= 0:
        return at + (first - aligned) * 8 // 6, at + -(-(last - aligned) * 8 // 6)
    text = raw_members(container, max_bytes=len(container)).get("hcl_report", b"")
    start = container.find(text)
    (region,) = _of_items(container, (start, start + len(text)), [UnsignedRegion(first, last, "")])
    return region.start, region.end


def _tpm_members(container: bytes) -> dict[str, tuple[int, int]]:
    """Return where the members of a bundle's TPM part stand."""
    text = raw_members(container, max_bytes=len(container)).get("tpm_attestation", b"{}")
    base = container.find(text)
    found = {}
    for name, value in raw_members(text, max_bytes=len(text)).items():
        start = base + text.find(value)
        found[name] = start, start + len(value)
    return found


def _of_items(
    container: bytes, span: tuple[int, int], regions: Sequence[UnsignedRegion]
) -> list[UnsignedRegion]:
    """Return regions of bytes that are written as an array of numbers, as regions of its text.

    Args:
        container: The text.
        span: Where the array stands in it.
        regions: Regions of the bytes; each number goes with the comma behind it.
    """
    start, end = span
    sizes = (len(item) + 1 for item in container[start:end].split(b","))
    at = list(accumulate(sizes, initial=start))
    return [UnsignedRegion(at[one.start], min(at[one.end], end), one.name) for one in regions]
