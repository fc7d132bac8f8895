"""What reading a token or a key set can fail with."""

from __future__ import annotations

from assay.errors import EvidenceError


class JoseError(EvidenceError):
    """Bytes are not the token, header or key set that was expected.

    Codes: ``jose.oversized``, ``jose.shape``, ``jose.base64``, ``jose.header``, ``jose.critical``,
        ``jose.claims``, ``jose.chain``, ``jwks.malformed``, ``jwks.too_many``, ``jwks.duplicate``,
        ``jwks.private``.
    """
