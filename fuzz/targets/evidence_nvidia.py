"""Containers, reports and chains of NVIDIA devices, from outside."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from assay.evidence.facts import FactCache
from assay.evidence.nvidia import NvidiaEndorsements, verify_nvidia
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.nvidia import Scene, SimulatedNvidia
from assay.simulator.nvidia.device import SimulatedDevice

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NONCE = bytes(32)
NVIDIA = SimulatedNvidia(b"\x0f" * 32)
FACTS = FactCache(max_entries=64)
FAMILIES = ("HOPPER", "BLACKWELL", "LS10")


@cache
def _scene(family: str) -> Scene:
    return Scene(NVIDIA, NOW, NONCE, [SimulatedDevice(NVIDIA, family, "0")])


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return evidence of each family as a container, bare, and padded."""
    scenes = [_scene(family) for family in FAMILIES]
    bare = [scene.report.sign() for scene in scenes]
    return [*(scene.finish().evidence for scene in scenes), *bare, bare[0] + bytes(16)]


@cache
def _roots() -> Roots:
    found = Roots.vendor()
    for name, der, vendor in NVIDIA.anchors:
        found = found.with_anchor(name, der, vendor=vendor)
    return found


@cache
def _given() -> tuple[NvidiaEndorsements, ...]:
    scene = _scene("HOPPER")
    return NvidiaEndorsements(chain=scene.report.pem()), NvidiaEndorsements(ocsp=scene.finish().ocsp)


def target(data: bytes) -> None:
    """Verify devices; nothing may be raised, nothing is authentic without manifests, all can be shown."""
    for given in (None, *_given()):
        result = verify_nvidia(
            data, endorsements=given, roots=_roots(), now=NOW, binding=Expected(NONCE), facts=FACTS
        )
        if result.authentic:
            raise AssertionError("authentic without manifests")
        for check in result.ledger:
            if not check.reason.isprintable() or len(check.reason) > 600:
                raise AssertionError("a reason that a terminal would obey")
        dict(result.decoded)
        for region in result.unsigned:
            if not 0 <= region.start < max(region.end, 1) <= max(len(data), 1):
                raise AssertionError("an unsigned region outside the input")
