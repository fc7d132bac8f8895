"""Simulated Azure: confidential VMs with a paravisor and a virtual TPM, on simulated AMD or Intel hardware.

    azure = SimulatedAzure(amd, intel)
    scene = AzureScene(azure, "azure-snp", now, nonce)
    evidence = scene.finish()

An attack changes any part of a scene before it is signed, or the bytes after.
"""

from __future__ import annotations

from assay.simulator.azure.cloud import SimulatedAzure
from assay.simulator.azure.scene import AzureScenario, AzureScene

__all__ = ["AzureScenario", "AzureScene", "SimulatedAzure"]
