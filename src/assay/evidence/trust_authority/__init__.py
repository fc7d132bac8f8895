"""Intel Trust Authority: tokens of Intel's appraisal service, under the keys that it publishes.

As with every service's token, the result rests on the service and on who gave its keys, not on hardware that
was verified here.
"""

from __future__ import annotations

from assay.evidence.trust_authority.claims import TrustAuthorityClaims
from assay.evidence.trust_authority.verify import verify_trust_authority

__all__ = ["TrustAuthorityClaims", "verify_trust_authority"]
