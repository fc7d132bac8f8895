"""Attestations of Google's VMs: a certified virtual TPM, alone or beside a TD."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.google_vm import GoogleVmScene, SimulatedGoogle
from assay.simulator.google_vm.attacks import ATTACKS, stage
from assay.simulator.google_vm.scene import INSTANCE
from assay.simulator.scene import FIRMWARE

if TYPE_CHECKING:
    from assay.simulator.google_vm import GoogleVmScenario

NONCE_BYTES: Final = 32
REPORT_DATA_BYTES: Final = 64


def simulation(platform: str) -> Simulation:
    """Return how attestations of ``gcp-vtpm`` or ``gcp-tdx`` are made."""
    tdx = platform == "gcp-tdx"
    attacks = tuple(
        Wrong(entry.name, entry.description, entry.code) for entry in ATTACKS.values() if tdx or not entry.tdx
    )
    title = "evidence of a Google VM" + (" with TDX" if tdx else "")
    return Simulation(title, attacks, partial(_make, tdx=tdx))


def _make(order: Order, *, tdx: bool) -> Made:
    nonce = order.binding[:NONCE_BYTES]
    google = SimulatedGoogle(SimulatedAmd.of(order.installation), order.installation)
    scene = GoogleVmScene(google, order.now, nonce, nonce.ljust(REPORT_DATA_BYTES, b"\0") if tdx else None)
    scenario = stage(order.attack, scene) if order.attack else scene.finish()
    code = ("[tdx]", f'mr_td = ["{FIRMWARE.hex()}"]', "") if tdx else ()
    return Made(
        name="attestation.pb",
        evidence=scenario.container,
        options=("--nonce", nonce.hex()),
        roots=tuple(der for _, der in scenario.anchors),
        holds="its revocation lists are valid for a month",
        tables=(
            *code,
            "[vtpm]",
            "event_log = true",
            "",
            "[google]",
            f'project_ids = ["{INSTANCE.project_id}"]',
            "production = true",
            "revocation = true",
        ),
        accept=() if tdx else ("host-tpm",),
        endorsements=_endorsements(scenario, scene),
    )


def _endorsements(scenario: GoogleVmScenario, scene: GoogleVmScene) -> dict[str, bytes]:
    own = scenario.endorsements
    found = {f"authority-{index}.crl": crl for index, crl in enumerate(own.crls)}
    found["authority.der"] = scene.authority.sign()
    if own.collateral is not None:
        found["collateral.json"] = own.collateral.to_bundle_json()
    return found
