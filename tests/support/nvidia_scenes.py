"""Simulated NVIDIA devices for tests: one authority, one time, and everything verified in one call."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from assay.evidence.facts import FactCache
from assay.evidence.nvidia import NvidiaClaims, NvidiaEndorsements, verify_nvidia
from assay.evidence.nvidia.golden import GoldenMeasurements
from assay.evidence.ocsp import HoldPolicy
from assay.evidence.roots import Roots
from assay.evidence.verification import Binding, EvidenceResult, Expected
from assay.reference.rim import RimResult, verify_rim
from assay.simulator.nvidia import Evidence, Scene, SimulatedNvidia
from assay.simulator.nvidia.device import SimulatedDevice
from assay.simulator.nvidia.scene import SignedManifest

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NONCE = bytes(range(32))
NVIDIA = SimulatedNvidia(b"\x21" * 32)
STRANGER = SimulatedNvidia(b"\x22" * 32)
ARCHITECTURES = ("HOPPER", "BLACKWELL", "LS10")
KNOWN_MANIFESTS = FactCache()  # the genuine ones are the same in every scene


@cache
def roots(nvidia: SimulatedNvidia = NVIDIA) -> Roots:
    found = Roots.vendor()
    for name, der, vendor in nvidia.anchors:
        found = found.with_anchor(name, der, vendor=vendor)
    return found


def scene(architecture: str = "HOPPER", **fields) -> Scene:
    return Scene(NVIDIA, NOW, NONCE, [SimulatedDevice(NVIDIA, architecture, "0", **fields)])


def protected(gpus: int = 2, switches: int = 2) -> Scene:
    """GPUs under protected PCIe and the switches between them."""
    ids = tuple(SimulatedDevice(NVIDIA, "HOPPER", f"g{n}").pdi for n in range(gpus))
    behind = [SimulatedDevice(NVIDIA, "LS10", f"s{n}", gpus=ids) for n in range(switches)]
    links = tuple(switch.pdi for switch in behind)
    front = [SimulatedDevice(NVIDIA, "HOPPER", f"g{n}", switches=links) for n in range(gpus)]
    return Scene(NVIDIA, NOW, NONCE, [*front, *behind])


def rim(signed: SignedManifest, *, hold: HoldPolicy = HoldPolicy.REFUSE, facts=None, now=NOW) -> RimResult:
    return verify_rim(
        signed.document,
        ocsp=signed.ocsp,
        roots=roots(),
        now=now,
        hold=hold,
        facts=facts or FactCache(),
    )


def endorsements(evidence: Evidence, *, facts=None) -> NvidiaEndorsements:
    """Verify the manifests; the ones that do not verify are left out, as a caller would."""

    def golden(signed: tuple[SignedManifest, ...]) -> tuple[GoldenMeasurements, ...]:
        results = [rim(item, facts=facts or KNOWN_MANIFESTS) for item in signed]
        return tuple(result.golden for result in results if result.verified)

    return NvidiaEndorsements(
        ocsp=evidence.ocsp, drivers=golden(evidence.drivers), firmware=golden(evidence.firmware)
    )


def judge(
    evidence: Evidence,
    *,
    binding: Binding | None = None,
    facts: FactCache | None = None,
    given: NvidiaEndorsements | None = None,
    now: datetime = NOW,
) -> EvidenceResult[NvidiaClaims]:
    return verify_nvidia(
        evidence.evidence,
        endorsements=given or endorsements(evidence),
        roots=roots(),
        now=now,
        binding=binding or Expected(NONCE),
        facts=facts or FactCache(),
    )
