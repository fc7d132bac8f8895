"""Every single bit of two real reports and a real container: what is still accepted lies in declared regions.

No published sample has OCSP answers; accepted means that nothing failed and no other check is unmade than in
the sample itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.evidence.facts import FactCache
from assay.evidence.nvidia import NvidiaEndorsements
from support import bit_flips, vectors
from support.bit_flips import every, sample
from support.nvidia_vectors import judge, moment

if TYPE_CHECKING:
    from support.bit_flips import Choose, Counts

SAMPLES = {
    "GPU report": (
        "nvidia/coco-trustee/hopper_coco_report1.bin",
        "nvidia/coco-trustee/hopper_coco_certs1.pem",
    ),
    "switch report": (
        "nvidia/nv-attestation-sdk/switch_report.bin",
        "nvidia/nv-attestation-sdk/switch_chain.pem",
    ),
    "GPU container": ("nvidia/nv-attestation-sdk/evidence_hopper_590_12.json", ""),
}
AT = moment("2025-10-01T00:00:00Z")


def flip(name: str, choose: Choose) -> Counts:
    evidence_name, chain_name = SAMPLES[name]
    evidence, facts = vectors.read(evidence_name), FactCache()
    given = NvidiaEndorsements(chain=vectors.read(chain_name) if chain_name else b"")
    unmade = {check.id for check in judge(evidence, AT, given=given, facts=facts).ledger.unmet()}
    return bit_flips.flip(
        evidence,
        lambda data: judge(data, AT, given=given, facts=facts),
        choose,
        lambda found: not found.ledger.failed() and {check.id for check in found.ledger.unmet()} == unmade,
    )


def report(name: str, counts: Counts) -> None:
    bit_flips.report(f"a real NVIDIA {name}", counts)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_single_bit(name):
    report(name, flip(name, every))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_bits(name):
    """A few hundred bits of each, for every run; the slow test flips all."""
    report(name, flip(name, sample(name, 0.012)))
