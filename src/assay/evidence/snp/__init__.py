"""AMD SEV-SNP: attestation reports of guests, verified with the certificates and the CRL of AMD's KDS.

``verify_snp`` is the one entry; ``CHECKS`` are the checks it makes, in order.
"""

from __future__ import annotations

from assay.evidence.snp.checks import CHECKS
from assay.evidence.snp.claims import (
    FirmwareVersion,
    GuestPolicy,
    PlatformInfo,
    SnpClaims,
    TcbVersion,
)
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.products import Product
from assay.evidence.snp.verify import verify_snp

__all__ = [
    "CHECKS",
    "FirmwareVersion",
    "GuestPolicy",
    "PlatformInfo",
    "Product",
    "SnpClaims",
    "SnpEndorsements",
    "TcbVersion",
    "verify_snp",
]
