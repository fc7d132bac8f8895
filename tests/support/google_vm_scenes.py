"""Simulated Google Cloud evidence with one defect each, signed all the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from assay.evidence.facts import FactCache
from assay.evidence.google_vm import verify_google_vm
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.google_vm import GoogleVmScenario, GoogleVmScene, SimulatedGoogle
from assay.simulator.google_vm.scene import EXPLAINED
from support.dcap_scenes import INTEL
from support.snp_scenes import AMD

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
NONCE = bytes(range(32))
REPORT_DATA = bytes(range(64))
# One for each worker: its RSA keys are made at their first use.
GOOGLE = SimulatedGoogle(AMD, INTEL)
TEES = ("none", "tdx", "snp")

Spoil = Callable[[GoogleVmScene], None]


def scene(tee="none", *, at: datetime = NOW) -> GoogleVmScene:
    """Return a scene in which nothing is wrong."""
    return GoogleVmScene(
        GOOGLE, at, NONCE, None if tee == "none" else REPORT_DATA, "snp" if tee == "snp" else "tdx"
    )


def roots_of(scenario: GoogleVmScenario) -> Roots:
    """Return the vendors' roots and the simulated ones of this evidence."""
    roots = Roots.vendor()
    for family, der in scenario.anchors:
        roots = roots.with_anchor(f"simulated {family}", der, vendor=family)
    return roots


def judge(
    scenario: GoogleVmScenario,
    *,
    evidence=None,
    tee=None,
    binding=None,
    report_data=None,
    explained=EXPLAINED,
    facts=None,
    roots=None,
    at=None,
    endorsements=...,
):
    """Verify evidence; what is given replaces what belongs to it."""
    whole = scenario.report_data is not None
    own = Expected(scenario.report_data) if whole else Unchecked("there is no TD")
    kind = "none" if not whole else "snp" if scenario.parts.snp is not None else "tdx"
    return verify_google_vm(
        scenario.container if evidence is None else evidence,
        tee=tee or kind,
        endorsements=scenario.endorsements if endorsements is ... else endorsements,
        roots=roots or roots_of(scenario),
        now=at or scenario.at,
        binding=binding or Expected(scenario.nonce),
        report_data=report_data or own,
        explained=explained,
        facts=facts or FactCache(),
    )


def spoilt(spoil: Spoil, tee="none"):
    """Verify a scene with one defect."""
    stage = scene(tee)
    spoil(stage)
    return judge(stage.finish())
