"""Extended SEV-SNP reports: certificates and CRL stand in the table behind the report."""

from __future__ import annotations

from typing import Final

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.evidence.snp.products import Product
from assay.simulator.amd.attacks import ATTACKS, stage
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.amd.scene import SnpScene

VERSIONS: Final = (2, 3, 4, 5)
_USUAL: Final = 3


def simulation(_platform: str) -> Simulation:
    """Return how reports of Genoa are made."""
    attacks = tuple(
        Wrong(entry.name, entry.description, entry.unrouted or entry.code) for entry in ATTACKS.values()
    )
    return Simulation("SEV-SNP evidence", attacks, _make, VERSIONS)


def _make(order: Order) -> Made:
    amd = SimulatedAmd.of(order.installation)
    scene = SnpScene(amd, Product.GENOA, order.version or _USUAL, "vcek", order.now, order.binding)
    evidence = stage(order.attack, scene) if order.attack else scene.finish()
    return Made(
        name="report.bin",
        evidence=evidence.extended(),
        options=("--report-data", order.binding.hex()),
        roots=(evidence.root,),
        holds="its CRL is valid for eleven months more",
        tables=("[snp]", f'measurement = ["{scene.report.measurement.hex()}"]'),
        accept=("unjudged-tcb",),
    )
