"""JSON Web Signatures and key sets (RFC 7515, 7517, 7518, 7519), verified strictly or not at all.

``open_token`` makes the steps that all token formats share. Not here, on purpose: ``alg`` none, HMAC, keys or
addresses of keys from a header, a fallback when the key id is unknown, extensions (``crit``), encryption.
"""

from __future__ import annotations

from assay.evidence.jose.claims import TokenLimits
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.keys import JwksEndorsements

__all__ = ["JoseError", "JwksEndorsements", "TokenLimits"]
