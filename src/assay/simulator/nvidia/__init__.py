"""Simulated NVIDIA: GPUs and switches, their certificates, manifests and revocation service.

    nvidia = SimulatedNvidia.of(installation)
    scene = Scene(nvidia, now, nonce)                   # one Hopper GPU, its manifests, OCSP answers
    evidence = scene.finish()

Everything is signed by keys derived from the installation's secret, with NVIDIA's names, extensions and
layouts. An attack changes a draft before it is signed, or the encoded bytes after.
"""

from __future__ import annotations

from assay.simulator.nvidia.authority import SimulatedNvidia
from assay.simulator.nvidia.scene import Evidence, Scene

__all__ = ["Evidence", "Scene", "SimulatedNvidia"]
