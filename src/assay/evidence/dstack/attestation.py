"""dstack's VersionedAttestation, in so far as it carries TDX evidence and nothing else.

Source: dstack 0.6.0, ``dstack-attest/src/attestation.rs`` (LegacyVersionedAttestation) and
``dstack-attest/src/v1.rs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.evidence.dstack.versioned import MAX_ATTESTATION_BYTES, open_attestation

if TYPE_CHECKING:
    from assay.evidence.dstack.events import DstackEvent

__all__ = ["MAX_ATTESTATION_BYTES", "TdxAttestation", "parse_attestation"]


@dataclass(frozen=True, slots=True)
class TdxAttestation:
    """The TDX evidence of an attestation; nothing in it is authenticated.

    Attributes:
        quote: The TDX quote.
        events: The event log; firmware events are usually stripped from it.
        report_data: 64 bytes that the quote should hold.
        config: JSON: the VM configuration, or a system configuration that embeds it.
    """

    quote: bytes
    events: tuple[DstackEvent, ...]
    report_data: bytes
    config: str


def parse_attestation(data: bytes) -> TdxAttestation:
    """Parse an attestation of version 0 or 1.

    Raises:
        EvidenceError: As ``open_attestation`` does; ``dstack.attestation.variant`` for other platforms.
    """
    found = open_attestation(data, variants=("tdx",))
    return TdxAttestation(found.evidence, found.log, found.report_data, found.config)
