"""A TPM's evidence for the eye: fields as decoded, unauthenticated, made only when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.evidence.shown import ShownFields

if TYPE_CHECKING:
    from assay.evidence.tpm.attest import Attest
    from assay.evidence.tpm.container import TpmEvidence


class DecodedTpm(ShownFields):
    """The fields of a quote, and which PCRs were presented with it.

    Args:
        pieces: The container, taken apart.
        quote: Its quote; None when it cannot be read.
    """

    __slots__ = ("_pieces", "_quote")

    def __init__(self, pieces: TpmEvidence, quote: Attest | None) -> None:
        self._pieces = pieces
        self._quote = quote

    def _make(self) -> dict[str, Any]:
        found = {"bank": self._pieces.bank.name.lower(), "pcrs": sorted(self._pieces.pcrs)}
        return found if self._quote is None else found | quote_fields(self._quote)


def quote_fields(quote: Attest) -> dict[str, Any]:
    """Return what a quote says of itself, JSON-ready."""
    return {
        "extra_data": quote.extra_data.hex(),
        "clock": quote.clock,
        "reset_count": quote.reset_count,
        "restart_count": quote.restart_count,
        "safe": quote.safe,
        "firmware_version": f"{quote.firmware_version:016x}",
    }
