"""Attestations of Google's VMs: a certified virtual TPM, alone or beside a TEE's report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Literal

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
_TEES: Final[dict[str, Literal["", "tdx", "snp"]]] = {"gcp-vtpm": "", "gcp-tdx": "tdx", "gcp-snp": "snp"}
_ACCEPT: Final = {"": ("host-tpm",), "tdx": (), "snp": ("unjudged-tcb",)}


def simulation(platform: str) -> Simulation:
    """Return how attestations of ``gcp-vtpm``, ``gcp-tdx`` or ``gcp-snp`` are made."""
    tee = _TEES[platform]
    attacks = tuple(
        Wrong(entry.name, entry.description, entry.code)
        for entry in ATTACKS.values()
        if entry.tee in ("", tee)
    )
    title = "evidence of a Google VM" + (f" with {tee.upper()}" if tee else "")
    return Simulation(title, attacks, partial(_make, tee=tee))


def _make(order: Order, *, tee: Literal["", "tdx", "snp"]) -> Made:
    nonce = order.binding[:NONCE_BYTES]
    google = SimulatedGoogle(SimulatedAmd.of(order.installation), order.installation)
    whole = nonce.ljust(REPORT_DATA_BYTES, b"\0")
    scene = GoogleVmScene(google, order.now, nonce, whole if tee else None, tee or "tdx")
    scenario = stage(order.attack, scene) if order.attack else scene.finish()
    code: tuple[str, ...] = ()
    if tee == "tdx":
        code = ("[tdx]", f'mr_td = ["{FIRMWARE.hex()}"]', "")
    elif scene.snp is not None:
        code = ("[snp]", f'measurement = ["{scene.snp.report.measurement.hex()}"]', "")
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
            'revocation = "every-issuer"',
        ),
        accept=_ACCEPT[tee],
        endorsements=_endorsements(scenario, scene),
    )


def _endorsements(scenario: GoogleVmScenario, scene: GoogleVmScene) -> dict[str, bytes]:
    own = scenario.endorsements
    found = {f"authority-{index}.crl": crl for index, crl in enumerate(own.crls)}
    found["authority.der"] = scene.authority.sign()
    if own.collateral is not None:
        found["collateral.json"] = own.collateral.to_bundle_json()
    if own.snp is not None and own.snp.crl is not None:
        found["snp.crl"] = own.snp.crl
    return found
