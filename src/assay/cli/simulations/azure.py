"""Evidence of Azure confidential VMs: hardware, paravisor and virtual TPM in one container."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.azure import AzureScene, SimulatedAzure
from assay.simulator.azure.attacks import ATTACKS, stage
from assay.simulator.azure.cloud import PARAVISOR
from assay.simulator.scene import FIRMWARE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.azure.hcl import AzurePlatform
    from assay.simulator.azure import AzureScenario

NONCE_BYTES: Final = 32


def simulation(platform: str) -> Simulation:
    """Return how evidence of ``azure-snp`` or ``azure-tdx`` is made."""
    kind = cast("AzurePlatform", platform)
    attacks = tuple(
        Wrong(entry.name, entry.description, entry.code)
        for entry in ATTACKS.values()
        if kind in entry.platforms
    )
    title = f"evidence of an Azure VM on {platform.rpartition('-')[2].upper()}"
    return Simulation(title, attacks, partial(_make, kind))


def _make(platform: AzurePlatform, order: Order) -> Made:
    # The nonce is the quote's; the rest was handed to the paravisor, so that both layers are fresh.
    nonce, user_data = order.binding[:NONCE_BYTES], order.binding[NONCE_BYTES:]
    azure = SimulatedAzure(SimulatedAmd.of(order.installation), order.installation)
    scene = AzureScene(azure, platform, order.now, nonce, user_data)
    scene.certify()
    scenario = stage(order.attack, scene) if order.attack else scene.finish()
    snp = platform == "azure-snp"
    code = (
        ("[snp]", f'measurement = ["{hashlib.sha384(PARAVISOR).hexdigest()}"]')
        if snp
        else ("[tdx]", f'mr_td = ["{FIRMWARE.hex()}"]')
    )
    return Made(
        name="evidence.json",
        evidence=scenario.container,
        options=("--nonce", nonce.hex(), "--user-data", user_data.hex()),
        roots=tuple(der for _, der in scenario.anchors),
        holds="what vouches for its hardware is valid for 30 days at least",
        tables=(*code, "", "[azure]", "user_data = true", "secure_boot = true"),
        accept=("unjudged-tcb",) if snp else (),
        # The certificate that the lists are about travels in a bundle alone.
        endorsements={**_endorsements(scenario), **(_lists(scenario) if scene.form == "bundle" else {})},
    )


def _lists(scenario: AzureScenario) -> Mapping[str, bytes]:
    return {f"authority-{index}.crl": crl for index, crl in enumerate(scenario.endorsements.ak_crls)}


def _endorsements(scenario: AzureScenario) -> Mapping[str, bytes]:
    own = scenario.endorsements
    if own.collateral is not None:
        return {"collateral.json": own.collateral.to_bundle_json()}
    if own.snp is None:
        return {}
    parts = {
        "vcek.der": own.snp.vek,
        "ask.der": own.snp.authority,
        "ark.der": own.snp.root,
        "ark.crl": own.snp.crl,
    }
    return {name: part for name, part in parts.items() if part is not None}
