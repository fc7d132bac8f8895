"""Verified evidence made by hand, for the rules about it."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from datetime import timedelta
from typing import Any

from assay.evidence.confidential_space.claims import ConfidentialSpaceClaims, ContainerClaims, GceClaims
from assay.evidence.maa.claims import MaaClaims
from assay.evidence.nras.claims import DeviceClaims, NrasClaims
from assay.evidence.trust_authority.claims import TrustAuthorityClaims
from assay.evidence.verification import Anchor
from support.appraisal_evidence import NOW


def changed(claims: Any, **how: Any) -> Any:
    """Return Claims with some of them changed, whether they are a dataclass or a named tuple."""
    return replace(claims, **how) if is_dataclass(claims) else claims._replace(**how)


PUBLISHED = Anchor(b"\x01" * 32, "published keys", simulated=True, published_keys=True)
PINNED = Anchor(bytes(32), "Google Confidential Space Root CA", simulated=False)
DIGEST = "sha256:" + "ab" * 32
ISSUED = NOW - timedelta(minutes=5)
DATES: dict[str, Any] = {"issued_at": ISSUED, "not_before": ISSUED, "expires_at": NOW + timedelta(hours=1)}
CONTAINER = ContainerClaims("an image", DIGEST, DIGEST, "Never", (), {}, (), {}, ())
SPACE = ConfidentialSpaceClaims(
    **DATES,
    kind="pki",
    issuer="https://confidentialcomputing.googleapis.com",
    audience="us",
    subject="a machine",
    nonces=("n",),
    bound_nonce=0,
    debug_status="disabled-since-boot",
    debug=False,
    software_name="CONFIDENTIAL_SPACE",
    software_version=("250301",),
    hardware="GCP_INTEL_TDX",
    secure_boot=True,
    oem=11129,
    attester_tcb=("INTEL",),
    profile="",
    support_attributes=("LATEST", "STABLE", "USABLE"),
    monitoring={"memory": False},
    container=CONTAINER,
    gce=GceClaims("us-central1-a", "a-project", "12", "a-name", "34"),
    gpu=None,
    gpu_mode="ON",
    tcb_status="UpToDate",
    tcb_date="",
    service_accounts=("one@a-project",),
    token={},
    revocation_checked=False,
    named_lists_checked=False,
)
MAA = MaaClaims(
    **DATES,
    issuer="https://shared.attest.azure.net",
    attestation_type="azurevm",
    tee="sevsnpvm",
    debug=False,
    secure_boot=True,
    compliance="azure-compliant-cvm",
    policy_hash="hash",
    measurement=b"m" * 48,
    report_data=bytes(64),
    client_nonce=b"n",
    bound_slot=0,
    isolation={},
    runtime={},
    token={},
)
TRUST = TrustAuthorityClaims(
    **DATES,
    issuer="https://portal.trustauthority.intel.com",
    version="2.0.0",
    attester="TDX",
    debug=False,
    debug_status="disabled",
    tcb_status="UpToDate",
    tcb_date="",
    advisories=(),
    measurements={
        name: name.encode().ljust(48, b"\0") for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")
    }
    | {name: name.encode().ljust(32, b"\0") for name in ("mrenclave", "mrsigner")},
    held_data=None,
    nonces=(),
    bound_slot=0,
    policies_matched=("one", "two"),
    policies_unmatched=(),
    token={},
)
DEVICE = DeviceClaims(
    "GPU-0",
    "GH100",
    "ueid-0",
    "550.90",
    "96.00",
    "disabled",
    secure_boot=True,
    flags={},
    warning="",
    token={},
)
NRAS = NrasClaims(
    issuer="https://nras.attestation.nvidia.com",
    version="3.0",
    issued_at=ISSUED,
    expires_at=NOW + timedelta(hours=1),
    nonce=b"n" * 32,
    devices=(DEVICE, changed(DEVICE, name="GPU-1", ueid="ueid-1")),
    token={},
)
GOOD: dict[str, Any] = {
    "confidential-space": SPACE,
    "maa": MAA,
    "trust-authority": TRUST,
    "nras": NRAS,
}
