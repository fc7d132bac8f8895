"""OCSP (RFC 6960): what a revocation service answered about one certificate, verified over given bytes.

``verify_reply`` is the one entry. There is no request, no network and no clock here.
"""

from __future__ import annotations

from assay.evidence.ocsp.reply import OcspReply
from assay.evidence.ocsp.verify import HoldPolicy, OcspAnswer, OcspDefect, OcspQuestion, verify_reply

__all__ = ["HoldPolicy", "OcspAnswer", "OcspDefect", "OcspQuestion", "OcspReply", "verify_reply"]
