"""Simulated Google Cloud: VMs with a virtual TPM whose attestation key is certified, alone or with TDX.

    google = SimulatedGoogle(amd, intel)
    scene = GoogleVmScene(google, now, nonce)
    evidence = scene.finish()

An attack changes any part of a scene before it is signed, or the bytes after.
"""

from __future__ import annotations

from assay.simulator.google_vm.scene import GoogleVmScenario, GoogleVmScene, SimulatedGoogle

__all__ = ["GoogleVmScenario", "GoogleVmScene", "SimulatedGoogle"]
