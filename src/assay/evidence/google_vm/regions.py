"""Which bytes of a Google Cloud VM's evidence nothing covers, as offsets in its container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.google_vm.container import log_spans, tee_span
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from collections.abc import Sequence


def unsigned_regions(
    container: bytes,
    logs: Sequence[Sequence[UnsignedRegion]],
    *,
    tee_unread: bool,
    beside_report: Sequence[tuple[int, int]],
) -> tuple[UnsignedRegion, ...]:
    """Return what nothing covers: offsets in the container; in the log itself where there is none.

    Args:
        container: The container; empty where the evidence was given in parts.
        logs: The regions that no quoted PCR covers, of the firmware's log and of the canonical one.
        tee_unread: Whether the container holds evidence of a TEE that was not asked for.
        beside_report: Start and end, in the TEE's evidence, of what stands beside the SNP report.
    """
    found: list[UnsignedRegion] = []
    spans = log_spans(container) if container and any(logs) else ((0, 0), (0, 0))
    for (base, _), regions in zip(spans, logs, strict=False):
        found += [UnsignedRegion(base + one.start, base + one.end, one.name) for one in regions]
    if container and tee_unread:
        found.append(UnsignedRegion(*tee_span(container), "TEE's evidence that was not asked for"))
    if container and beside_report:
        base, _ = tee_span(container)
        found += [
            UnsignedRegion(base + start, base + end, "what stands beside the SNP report")
            for start, end in beside_report
        ]
    return tuple(found)
