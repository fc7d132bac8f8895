"""What reading standard claims and wrappers can fail with."""

from __future__ import annotations

from assay.errors import EvidenceError


class EatError(EvidenceError):
    """Bytes are not the claims or the wrapper that was expected.

    Codes: ``eat.malformed``, ``eat.claim``, ``eat.signature``, ``cmw.malformed``, ``cmw.oversized``.
    """
