"""An OCSP answer as it was received, with the nonce of its question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.evidence.verification import Binding


@dataclass(frozen=True, slots=True)
class OcspReply:
    """One answer.

    Attributes:
        response: The OCSPResponse, DER, as received.
        nonce: The nonce that was sent with the question, or the word that it was asked without one; its
            freshness then rests on its dates alone.
    """

    response: bytes
    nonce: Binding
