"""NVIDIA Remote Attestation Service: an overall token and one detached token for each GPU or switch.

The service appraised the devices' reports; the reports are not in its answer. Where the reports themselves
can be had, verify those: their chain ends in a pinned root, this one's keys are published on a web server.
"""

from __future__ import annotations

from assay.evidence.nras.claims import DeviceClaims, NrasClaims
from assay.evidence.nras.verify import verify_nras

__all__ = ["DeviceClaims", "NrasClaims", "verify_nras"]
