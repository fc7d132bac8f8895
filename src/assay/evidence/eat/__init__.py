"""Entity Attestation Tokens (RFC 9711) and Conceptual Message Wrappers (draft-ietf-rats-msg-wrap).

These are containers that strangers exchange: claims under standard names, and messages under a type. Reading
one authenticates nothing; ``tokens`` verifies signatures with keys that the caller gives.
"""

from __future__ import annotations

from assay.evidence.eat.claims import Eat
from assay.evidence.eat.cmw import Collection, Record, decode_cmw
from assay.evidence.eat.errors import EatError
from assay.evidence.eat.tokens import open_cwt, open_jwt
from assay.evidence.eat.values import DebugStatus, IntendedUse

__all__ = [
    "Collection",
    "DebugStatus",
    "Eat",
    "EatError",
    "IntendedUse",
    "Record",
    "decode_cmw",
    "open_cwt",
    "open_jwt",
]
