"""GCP Confidential Space: attestation tokens, under a published key (OIDC) or Google's root (PKI)."""

from __future__ import annotations

from assay.evidence.confidential_space.claims import ConfidentialSpaceClaims, ContainerClaims, GceClaims
from assay.evidence.confidential_space.verify import verify_confidential_space

__all__ = ["ConfidentialSpaceClaims", "ContainerClaims", "GceClaims", "verify_confidential_space"]
