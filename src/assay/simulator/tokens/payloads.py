"""What the simulated services say: claims with the names and shapes of the real ones."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HOUR = 3600


def _times(at: int, issuer: str, lifetime: int = HOUR) -> dict[str, Any]:
    return {"iss": issuer, "iat": at, "nbf": at, "exp": at + lifetime}


def confidential_space_claims(at: int, issuer: str, audience: str, nonces: Sequence[str]) -> dict[str, Any]:
    """Return the claims of a production image on TDX."""
    machine = "projects/simulated/zones/simulated-a/instances/workload"
    claims = _times(at, issuer) | {
        "aud": audience,
        "sub": f"https://www.googleapis.com/compute/v1/{machine}",
        "eat_profile": "https://cloud.google.com/confidential-computing/confidential-space/docs/reference/token-claims",
        "secboot": True,
        "oemid": 11129,
        "hwmodel": "GCP_INTEL_TDX",
        "swname": "CONFIDENTIAL_SPACE",
        "swversion": ["251001"],
        "attester_tcb": ["INTEL"],
        "dbgstat": "disabled-since-boot",
        "submods": {
            "confidential_space": {
                "support_attributes": ["LATEST", "STABLE", "USABLE"],
                "monitoring_enabled": {"memory": False},
            },
            "container": {
                "image_reference": "registry.example/workload@sha256:" + "1a" * 32,
                "image_digest": "sha256:" + "1a" * 32,
                "restart_policy": "Never",
                "image_id": "sha256:" + "2b" * 32,
                "env": {"HOSTNAME": "workload", "PATH": "/usr/bin:/bin"},
                "args": ["/usr/bin/agent"],
            },
            "gce": {
                "zone": "simulated-a",
                "project_id": "simulated",
                "project_number": "1",
                "instance_name": "workload",
                "instance_id": "2",
            },
        },
        "tdx": {"gcp_attester_tcb_status": "UpToDate", "gcp_attester_tcb_date": "2025-11-12T00:00:00Z"},
        "google_service_accounts": ["1-compute@developer.example"],
    }
    if nonces:
        claims["eat_nonce"] = nonces[0] if len(nonces) == 1 else list(nonces)
    return claims


def maa_claims(at: int, issuer: str, nonce: bytes, report_data: bytes | None) -> dict[str, Any]:
    """Return the claims of an SEV-SNP guest of Azure's, or of the SNP machine itself."""
    machine: dict[str, Any] = {
        "x-ms-attestation-type": "sevsnpvm",
        "x-ms-compliance-status": "azure-compliant-cvm",
        "x-ms-sevsnpvm-is-debuggable": False,
        "x-ms-sevsnpvm-launchmeasurement": "3c" * 48,
        "x-ms-sevsnpvm-migration-allowed": False,
        "x-ms-sevsnpvm-reportdata": ("4d" * 32 + "00" * 32) if report_data is None else report_data.hex(),
        "x-ms-sevsnpvm-vmpl": 0,
    }
    claims = _times(at, issuer, 8 * HOUR) | {
        "jti": "5e" * 32,
        "x-ms-ver": "1.0",
        "x-ms-policy-hash": "simulated",
    }
    if report_data is not None:
        return claims | machine
    return claims | {
        "secureboot": True,
        "x-ms-attestation-type": "azurevm",
        "x-ms-azurevm-attestation-protocol-ver": "2.0",
        "x-ms-azurevm-vmid": "00000000-0000-0000-0000-000000000000",
        "x-ms-isolation-tee": machine,
        "x-ms-runtime": {"client-payload": {"nonce": base64.b64encode(nonce).decode()}, "keys": []},
    }


def trust_authority_claims(at: int, issuer: str, held: bytes, version: int) -> dict[str, Any]:
    """Return the claims of a trust domain."""
    nonce, stamp = b"simulated nonce", b"2026-11-21 00:00:00 +0000 UTC"
    report_data = hashlib.sha512(nonce + stamp + held).hexdigest()
    machine: dict[str, Any] = {
        "tdx_mrtd": "6f" * 48,
        "tdx_mrseam": "70" * 48,
        "tdx_rtmr0": "00" * 48,
        "tdx_rtmr1": "00" * 48,
        "tdx_rtmr2": "00" * 48,
        "tdx_rtmr3": "00" * 48,
        "tdx_report_data": report_data,
        "tdx_seamsvn": 6,
        "tdx_td_attributes": "0000001000000000",
        "tdx_td_attributes_debug": False,
        "tdx_is_debuggable": False,
        "verifier_nonce": {
            "val": base64.b64encode(nonce).decode(),
            "iat": base64.b64encode(stamp).decode(),
            "signature": base64.b64encode(b"simulated").decode(),
        },
        "attester_tcb_status": "UpToDate",
        "attester_tcb_date": "2025-11-12T00:00:00Z",
        "attester_type": "TDX",
    }
    if held:
        machine["attester_held_data"] = base64.b64encode(held).decode()
    claims = _times(at, issuer, 300) | {
        "eat_profile": f"{issuer}/eat_profile.html",
        "dbgstat": "disabled",
        "intuse": "generic",
        "jti": "00000000-0000-0000-0000-000000000000",
        "ver": f"{version}.0.0",
    }
    return claims | (machine if version == 1 else {"tdx": machine})


def nras_claims(at: int, issuer: str, nonce: bytes) -> dict[str, Any]:
    """Return the claims of an overall token, without its digests."""
    return _times(at, issuer) | {
        "sub": "NVIDIA-PLATFORM-ATTESTATION",
        "x-nvidia-ver": "3.0",
        "x-nvidia-overall-att-result": True,
        "eat_nonce": nonce.hex(),
        "jti": "00000000-0000-0000-0000-000000000000",
    }


def nras_device_claims(at: int, issuer: str, nonce: bytes, index: int) -> dict[str, Any]:
    """Return the claims of one GPU."""
    parts = ("arch-check", "attestation-report-nonce-match", "attestation-report-signature-verified")
    return _times(at, issuer) | {
        "eat_nonce": nonce.hex(),
        "hwmodel": "GH100 A01 GSP BROM",
        "oemid": "5703",
        "ueid": str(478176379286082186618948445787393647364802107249 + index),
        "measres": "success",
        "dbgstat": "disabled",
        "secboot": True,
        "x-nvidia-gpu-driver-version": "580.159.03",
        "x-nvidia-gpu-vbios-version": "96.00.D9.00.01",
        "x-nvidia-attestation-warning": None,
        **{f"x-nvidia-gpu-{part}": True for part in parts},
    }
