"""Documents of Nitro Enclaves and of NitroTPM, which bring their own chain."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.simulator.nitro.attacks import ATTACKS, IMAGE, stage
from assay.simulator.nitro.hypervisor import SimulatedAws

if TYPE_CHECKING:
    from assay.simulator.nitro.attacks import NitroAttack, Platform


def simulation(platform: str) -> Simulation:
    """Return how documents of ``nitro`` or ``nitro-tpm`` are made."""
    attacks = tuple(
        Wrong(entry.name, entry.description, _refused_with(entry))
        for entry in ATTACKS.values()
        if platform in entry.platforms
    )
    return Simulation(f"evidence of {platform}", attacks, partial(_make, cast("Platform", platform)))


def _refused_with(entry: NitroAttack) -> str:
    """Return the code with which ``assay verify`` refuses it; a claim is refused by the policy."""
    kind, _, claim = entry.code.rpartition(":")
    return entry.unrouted or (f"policy.attributes.{claim}.weak" if kind else claim)


def _make(platform: Platform, order: Order) -> Made:
    aws = SimulatedAws(order.installation)
    evidence = stage(order.attack or "none", aws, platform=platform, at=order.now, binding=order.binding)
    registers = {"pcr0": IMAGE[0], "pcr1": IMAGE[1], "pcr2": IMAGE[2]}
    if platform == "nitro-tpm":
        registers = {"pcr4": IMAGE[0], "pcr7": IMAGE[1]}
    return Made(
        name="document.cbor",
        evidence=evidence.document,
        options=("--report-data", order.binding.hex()),
        roots=(evidence.root,),
        holds="its chain is valid for hours",
        tables=("[nitro]", *(f'{name} = ["{value.hex()}"]' for name, value in registers.items())),
        accept=("host-tpm",) if platform == "nitro-tpm" else (),
    )
