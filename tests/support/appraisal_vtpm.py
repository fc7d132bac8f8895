"""Verified evidence made by hand, for the rules about it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from assay.evidence.azure.claims import AkCertificate, AzureClaims
from assay.evidence.azure.runtime import RuntimeClaims
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.google_vm.claims import CertifiedKey, GoogleVmClaims, Instance
from assay.evidence.tpm.claims import TpmClaims, TpmQuoteClaims
from assay.evidence.verification import Anchor
from support.appraisal_evidence import TDX
from support.appraisal_ima import measured
from support.appraisal_snp import SNP

VENDOR = Anchor(bytes(32), "a vendor's root", simulated=False)
OWN = Anchor(b"\xaa" * 32, "a root of the caller's", simulated=True)
PCRS = {index: bytes([index]) * 32 for index in (0, 4, 7, 9, 10, 11)}
QUOTE = TpmQuoteClaims(
    qualified_signer=b"name",
    extra_data=b"nonce",
    clock=1,
    reset_count=1,
    restart_count=0,
    safe=True,
    firmware_version=7,
    bank=Algorithm.SHA256,
    selection=tuple(PCRS),
    pcr_digest=bytes(32),
    pcrs=PCRS,
    signature_hash=Algorithm.SHA256,
    ak_digest=b"k" * 32,
    ak_name=None,
)
RUNTIME = RuntimeClaims(
    key_ids=("HCLAkPub",),
    attestation_key_use=("sign",),
    vm_configuration={
        "secure-boot": True,
        "tpm-enabled": True,
        "console-enabled": False,
        "vmUniqueId": "a VM",
    },
    user_data=None,
)
AK = AkCertificate(
    "x.ConfidentialVM.Azure.windows.net",
    "an authority",
    bytes(32),
    VENDOR,
    revocation_checked=False,
    named_lists_checked=False,
)
LOG: Any = SimpleNamespace()
AZURE_SNP = AzureClaims(SNP, RUNTIME, QUOTE, AK, LOG, user_data_bound=True)
AZURE_TDX = replace(AZURE_SNP, hardware=TDX)
INSTANCE = Instance("us-central1-a", 12, "a-project", 34, "a-name", 1, production=True, flags={})
KEY = CertifiedKey(INSTANCE, bytes(32), VENDOR, revocation_checked=True, named_lists_checked=True)
GOOGLE = GoogleVmClaims(QUOTE, KEY, LOG, None, td_bound=False, snp=None, snp_bound=False)
GOOGLE_TDX = GoogleVmClaims(QUOTE, KEY, LOG, TDX, td_bound=True, snp=None, snp_bound=False)
TPM = TpmClaims(
    QUOTE,
    LOG,
    measured(("/usr/bin/agent", b"the agent")),
    ak_certified=True,
    ak_common_name="ak",
    ak_revocation_checked=False,
    ak_named_lists_checked=False,
)
GOOGLE_SNP = GoogleVmClaims(QUOTE, KEY, LOG, None, td_bound=False, snp=SNP, snp_bound=True)
GOOD: dict[str, Any] = {
    "azure-snp": AZURE_SNP,
    "azure-tdx": AZURE_TDX,
    "gcp-tdx": GOOGLE_TDX,
    "gcp-snp": GOOGLE_SNP,
    "gcp-vtpm": GOOGLE,
    "tpm": TPM,
}
HOST = ("gcp-vtpm", "tpm")
