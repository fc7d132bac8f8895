"""Evidence of a Google Cloud VM for the eye: decoded, unauthenticated, made only when somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.evidence.shown import ShownFields
from assay.evidence.tpm.decoded import quote_fields

if TYPE_CHECKING:
    from assay.evidence.tpm.attest import Attest
    from assay.evidence.verification import EvidenceResult


class DecodedGoogleVm(ShownFields):
    """The fields of the quote, and those of the TEE's report.

    Args:
        quote: The quote of the SHA-256 bank; None when it cannot be read.
        tee: What became of the TEE's report; None when none was asked for.
    """

    __slots__ = ("_quote", "_tee")

    def __init__(self, quote: Attest | None, tee: EvidenceResult[Any] | None) -> None:
        self._quote = quote
        self._tee = tee

    def _make(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self._quote is not None:
            found["quote"] = quote_fields(self._quote)
        if self._tee is not None:
            found["snp" if self._tee.platform == "snp" else "td"] = self._tee.decoded
        return found
