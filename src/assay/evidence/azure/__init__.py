"""Azure confidential VMs: hardware report, paravisor and virtual TPM, verified as one.

``verify_azure`` is the one entry; ``SNP_CHECKS`` and ``TDX_CHECKS`` are the checks it makes, in order.
"""

from __future__ import annotations

from assay.evidence.azure.checks import CHECKS, SNP_CHECKS, TDX_CHECKS
from assay.evidence.azure.claims import AkCertificate, AzureClaims
from assay.evidence.azure.forms import AzureEvidence, VtpmQuote, read_bincode_quote, read_container
from assay.evidence.azure.hcl import AzurePlatform
from assay.evidence.azure.runtime import RuntimeClaims
from assay.evidence.azure.verify import AzureEndorsements, verify_azure

__all__ = [
    "CHECKS",
    "SNP_CHECKS",
    "TDX_CHECKS",
    "AkCertificate",
    "AzureClaims",
    "AzureEndorsements",
    "AzureEvidence",
    "AzurePlatform",
    "RuntimeClaims",
    "VtpmQuote",
    "read_bincode_quote",
    "read_container",
    "verify_azure",
]
