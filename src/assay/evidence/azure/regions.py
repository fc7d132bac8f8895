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
_TDREPORT_PART: Final = UnsignedRegion(*TDREPORT, _TDREPORT_NAME)
_TDREPORT_ALONE: Final = (_TDREPORT_PART,)
_CERTIFICATES: Final = ("ak_certificate_pem", "ak_intermediate_certificates_pem")
_LOG: Final = "event_log"
_HCL: Final = ("hcl_report", "hcl_report_base64")


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
        if not (certificate_open or log):
            return _TDREPORT_ALONE if td else ()
        found = [_TDREPORT_PART] if td else []
        if certificate_open:
            found += [UnsignedRegion(0, 0, f"{name}: the whole part") for name in _CERTIFICATES]
        return (*found, *(UnsignedRegion(one.start, one.end, f"{_LOG}: {one.name}") for one in log))
    found = [UnsignedRegion(*_td_report(evidence, parts.hcl), _TDREPORT_NAME)] if td else []
    if certificate_open or log:
        members = _places(evidence, *_places(evidence, 0, len(evidence))["tpm_attestation"])
        if certificate_open:
            found += [UnsignedRegion(*members[name], name) for name in _CERTIFICATES if name in members]
        if log:
            found += _of_items(evidence, members[_LOG], log)
    return tuple(found)


def _td_report(container: bytes, hcl: bytes) -> tuple[int, int]:
    """Return where the TDREPORT of an HCL report stands in the text of a container.

    A report that is written with escapes is named whole: nobody signed how it is written.
    """
    first, last = TDREPORT
    aligned = first - first % 3
    # No other text of a container begins as the report does. What stands inside of one may be its writer's.
    start = container.find(b'"' + base64.urlsafe_b64encode(hcl[: aligned + 48]))
    if start < 0 or b"\\" in container[start : start + 4 * len(hcl) // 3]:
        places = _places(container, 0, len(container))
        start, end = next(places[name] for name in _HCL if name in places)
        if container[start] == ord("["):
            (region,) = _of_items(container, (start, end), [UnsignedRegion(first, last, "")])
            return region.start, region.end
        return start, end
    at = start + 1 + aligned // 3 * 4
    return at + (first - aligned) * 8 // 6, at + -(-(last - aligned) * 8 // 6)


def _places(container: bytes, start: int, end: int) -> dict[str, tuple[int, int]]:
    """Return where the value of each member of an object stands: each behind the one before it.

    Args:
        container: The text.
        start: Where the object begins in it.
        end: Where it ends.
    """
    text = container[start:end]
    found: dict[str, tuple[int, int]] = {}
    at = 0
    for name, value in raw_members(text, max_bytes=len(text)).items():
        at = text.index(value, at)
        found[name] = start + at, start + at + len(value)
        at += len(value)
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
