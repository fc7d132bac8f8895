"""Evidence of a machine with a TPM, with what its firmware and kernel logged."""

from __future__ import annotations

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.simulator.tpm.attacks import ATTACKS, Scene, root_der, stage


def simulation(_platform: str) -> Simulation:
    """Return how a machine's evidence is made."""
    attacks = tuple(Wrong(entry.name, entry.description, entry.code) for entry in ATTACKS.values())
    return Simulation("evidence of a machine with a TPM", attacks, _make)


def _make(order: Order) -> Made:
    scene = Scene.of(order.installation.secret, order.binding)
    return Made(
        name="evidence.bin",
        evidence=stage(order.attack, scene) if order.attack else scene.draft.encode(),
        options=("--report-data", order.binding.hex()),
        roots=(root_der(order.installation.secret),),
        holds="its certificates are valid for years",
        tables=("[vtpm]", "event_log = true", "", "[tpm]", "ak_certified = true", "ima = true"),
        accept=("host-tpm",),
    )
