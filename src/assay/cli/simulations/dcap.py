"""Quotes of TDX and SGX with their collateral; a TD's with the log of its boot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.simulator.attacks import catalogue, stage
from assay.simulator.scene import ENCLAVE, FIRMWARE, Scene

if TYPE_CHECKING:
    from assay.simulator.endorsements import Tee

VERSIONS: Final[dict[Tee, tuple[int, ...]]] = {"tdx": (4, 5), "sgx": (3, 4, 5)}
# What the command line refuses before a verifier of quotes sees it, or routes to another one.
_UNROUTED: Final = {
    "unknown-version": "verification.evidence.unrecognised",
    "wrong-tee": "policy.platforms.other",
}


def simulation(platform: str) -> Simulation:
    """Return how quotes of ``tdx`` or ``sgx`` are made."""
    tee = cast("Tee", platform)
    attacks = tuple(
        Wrong(
            entry.name,
            entry.description,
            _UNROUTED.get(entry.name) or entry.refused_with(tee),
            entry.versions or VERSIONS[tee],
        )
        for entry in catalogue()
        if tee in entry.platforms
    )
    return Simulation(f"{platform.upper()} evidence", attacks, partial(_make, tee), VERSIONS[tee])


def _make(tee: Tee, order: Order) -> Made:
    version = order.version or _usual_version(tee, order.attack)
    scene = Scene(order.installation, tee, version, order.now, order.binding)
    evidence = stage(order.attack, scene) if order.attack else scene.finish()
    code = f'mr_td = ["{FIRMWARE.hex()}"]' if tee == "tdx" else f'mr_enclave = ["{ENCLAVE.hex()}"]'
    return Made(
        name="quote.bin",
        evidence=evidence.quote,
        options=("--report-data", order.binding.hex()),
        roots=(evidence.root,),
        holds="its collateral is valid for 30 days",
        tables=(f"[{tee}]", code),
        endorsements={"collateral.json": evidence.collateral.to_bundle_json()},
        event_log=evidence.event_log,
    )


def _usual_version(tee: Tee, attack: str | None) -> int:
    found = next((entry for entry in catalogue() if entry.name == attack), None)
    return found.versions[0] if found and found.versions else VERSIONS[tee][0]
