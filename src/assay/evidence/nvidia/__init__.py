"""NVIDIA GPUs and NVLink switches in confidential computing: SPDM reports, verified by role.

``verify_nvidia`` is the one entry; ``NVIDIA_CHECKS`` are the checks it makes, in order.
"""

from __future__ import annotations

from assay.evidence.nvidia.checks import NVIDIA_CHECKS
from assay.evidence.nvidia.claims import Architecture, DeviceClaims, DeviceKind, Mode, NvidiaClaims
from assay.evidence.nvidia.endorsements import NvidiaEndorsements
from assay.evidence.nvidia.golden import GoldenMeasurements
from assay.evidence.nvidia.verify import verify_nvidia

__all__ = [
    "NVIDIA_CHECKS",
    "Architecture",
    "DeviceClaims",
    "DeviceKind",
    "GoldenMeasurements",
    "Mode",
    "NvidiaClaims",
    "NvidiaEndorsements",
    "verify_nvidia",
]
