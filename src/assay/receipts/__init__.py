"""What was executed, signed by the guest; worth nothing without its Evidence."""

from __future__ import annotations

from assay.receipts.receipt import Artefacts, Outcome, Receipt, Stream

__all__ = ["Artefacts", "Outcome", "Receipt", "Stream"]
