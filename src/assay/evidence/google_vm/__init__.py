"""Google Cloud VMs: the quote of their virtual TPM under a certified key, alone or beside a TEE's report.

``verify_google_vm`` is the one entry; ``VTPM_CHECKS``, ``TDX_CHECKS`` and ``SNP_CHECKS`` are the checks that
it makes, in order.
"""

from __future__ import annotations

from assay.evidence.google_vm.checks import CHECKS, SNP_CHECKS, TDX_CHECKS, VTPM_CHECKS
from assay.evidence.google_vm.claims import CertifiedKey, GoogleVmClaims, Instance
from assay.evidence.google_vm.container import BankQuote, GoogleVmEvidence, StatedInstance, read_container
from assay.evidence.google_vm.verify import GoogleVmEndorsements, verify_google_vm

__all__ = [
    "CHECKS",
    "SNP_CHECKS",
    "TDX_CHECKS",
    "VTPM_CHECKS",
    "BankQuote",
    "CertifiedKey",
    "GoogleVmClaims",
    "GoogleVmEndorsements",
    "GoogleVmEvidence",
    "Instance",
    "StatedInstance",
    "read_container",
    "verify_google_vm",
]
