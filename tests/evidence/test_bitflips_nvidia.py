"""Every single bit of two real reports and a real container: what is still accepted lies in declared regions.

No published sample has OCSP answers; accepted means that nothing failed and no other check is unmade than in
the sample itself.
"""

from __future__ import annotations

import random

import pytest

from assay.evidence.facts import FactCache
from assay.evidence.nvidia import NvidiaEndorsements
from support import vectors
from support.nvidia_vectors import judge, moment

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


def flip(name: str, choose) -> tuple[int, int, int]:
    """Flip chosen bits one by one; return how many were tried, accepted, and accepted where declared."""
    evidence_name, chain_name = SAMPLES[name]
    evidence, facts = vectors.read(evidence_name), FactCache()
    given = NvidiaEndorsements(chain=vectors.read(chain_name) if chain_name else b"")
    original = judge(evidence, AT, given=given, facts=facts)
    assert not original.ledger.failed()
    unmade = {check.id for check in original.ledger.unmet()}
    tried = accepted = declared = 0
    for position in range(8 * len(evidence)):
        if not choose(position):
            continue
        offset, bit = divmod(position, 8)
        spoilt = evidence[:offset] + bytes([evidence[offset] ^ (1 << bit)]) + evidence[offset + 1 :]
        result = judge(spoilt, AT, given=given, facts=facts)
        tried += 1
        if result.ledger.failed() or {check.id for check in result.ledger.unmet()} != unmade:
            continue
        accepted += 1
        declared += any(region.start <= offset < region.end for region in result.unsigned)
        assert result.signed_digest == original.signed_digest
    return tried, accepted, declared


def report(name: str, counts: tuple[int, int, int]) -> None:
    tried, accepted, declared = counts
    vectors.note(
        f"bit flips of a real NVIDIA {name}: {tried} tried, {accepted} accepted,"
        f" {declared} of these in regions declared unsigned"
    )
    assert accepted == declared


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_single_bit(name):
    report(name, flip(name, lambda position: True))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_bits(name):
    """A few hundred bits of each, for every run; the slow test flips all."""
    chosen = random.Random(name)  # a sample that is the same in every run
    report(name, flip(name, lambda position: chosen.random() < 0.012))
