"""Simulated Azure evidence with one defect each, signed all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from assay.evidence.azure import verify_azure
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.azure import AzureScenario, AzureScene, SimulatedAzure
from support.dcap_scenes import INTEL
from support.snp_scenes import AMD

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
NONCE = bytes(range(32))
USER_DATA = bytes(range(64, 112))
# One for each worker: its RSA keys are made at their first use.
AZURE = SimulatedAzure(AMD, INTEL)
PLATFORMS = ("azure-snp", "azure-tdx")

Spoil = Callable[[AzureScene], None]


def scene(platform="azure-snp", *, at: datetime = NOW, user_data: bytes | None = USER_DATA) -> AzureScene:
    """Return a scene in which nothing is wrong."""
    return AzureScene(AZURE, platform, at, NONCE, user_data)


def roots_of(scenario: AzureScenario) -> Roots:
    """Return the vendors' roots and the simulated ones of this evidence."""
    roots = Roots.vendor()
    for family, der in scenario.anchors:
        roots = roots.with_anchor(f"simulated {family}", der, vendor=family)
    return roots


def judge(
    scenario: AzureScenario,
    *,
    evidence=None,
    platform=None,
    binding=None,
    user_data=None,
    facts=None,
    roots=None,
    at=None,
    endorsements=...,
):
    """Verify evidence; what is given replaces what belongs to it."""
    own = Unchecked("none was asked for") if scenario.user_data is None else Expected(scenario.user_data)
    return verify_azure(
        scenario.container if evidence is None else evidence,
        platform=platform or scenario.platform,
        endorsements=scenario.endorsements if endorsements is ... else endorsements,
        roots=roots or roots_of(scenario),
        now=at or scenario.at,
        binding=binding or Expected(scenario.nonce),
        user_data=user_data or own,
        facts=facts or FactCache(),
    )


def spoilt(spoil: Spoil, platform="azure-snp"):
    """Verify a scene with one defect."""
    stage = scene(platform)
    spoil(stage)
    return judge(stage.finish())


def changed(data: bytes, at: int, value: bytes) -> bytes:
    """Return bytes with some of them overwritten."""
    return data[:at] + value + data[at + len(value) :]


def without(scenario: AzureScenario, **fields) -> AzureScenario:
    """Return a scenario whose endorsements lack something."""
    return replace(scenario, endorsements=replace(scenario.endorsements, **fields))
