"""Every single bit of real reports, flipped: what is still accepted lies in declared regions."""

from __future__ import annotations

import random

import pytest

from assay.evidence.facts import FactCache
from assay.evidence.snp import SnpEndorsements
from support import vectors
from support.snp_vectors import endorsed, judge, with_crl

REPORTS = {
    "Milan version 2": ("snp/virtee-sev/report_milan.bin", "snp/virtee-sev/vcek_milan.der"),
    "Genoa version 3": (
        "snp/ms-scitt/css-20260302.report.bin",
        "snp/ms-scitt/css-20260302.snp_endorsements.pem",
    ),
    "Genoa version 5": ("snp/project-oak/genoa_oc.report.bin", "snp/project-oak/genoa_oc.vcek.der"),
}


def flip(evidence: bytes, given, at, choose) -> tuple[int, int, int]:
    """Flip chosen bits one by one; return how many were tried, accepted, and accepted where declared."""
    facts = FactCache()
    original = judge(evidence, given, at, facts)
    assert original.authentic
    tried = accepted = declared = 0
    for position in range(8 * len(evidence)):
        if not choose(position):
            continue
        offset, bit = divmod(position, 8)
        changed = evidence[:offset] + bytes([evidence[offset] ^ 1 << bit]) + evidence[offset + 1 :]
        result = judge(changed, given, at, facts)
        tried += 1
        if result.authentic:
            accepted += 1
            declared += any(region.start <= offset < region.end for region in result.unsigned)
            assert result.signed_digest == original.signed_digest
        else:
            assert result.ledger.unmet()
    return tried, accepted, declared


def report(name: str, counts: tuple[int, int, int]) -> None:
    tried, accepted, declared = counts
    vectors.note(
        f"bit flips of a real SNP report ({name}): {tried} tried, {accepted} accepted,"
        f" {declared} of these in regions declared unsigned"
    )
    assert accepted == declared


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", REPORTS)
def test_every_single_bit_of_a_report(name):
    evidence, signer = (vectors.read(file) for file in REPORTS[name])
    given, at = with_crl(endorsed(signer))
    report(name, flip(evidence, given, at, lambda position: True))


@pytest.mark.parametrize("name", REPORTS)
def test_a_sample_of_bits_of_a_report(name):
    """About 400 of 9,472 bits, for every run; the slow test flips all."""
    evidence, signer = (vectors.read(file) for file in REPORTS[name])
    given, at = with_crl(endorsed(signer))
    chosen = random.Random(name)  # a sample that is the same in every run
    counts = flip(evidence, given, at, lambda position: chosen.random() < 0.04)
    report(name, counts)
    assert counts[1] == 0


def extended() -> tuple[bytes, SnpEndorsements, object]:
    """Return a real extended report, whose table brings all but the CRL."""
    data = vectors.read("snp/veraison-services/tsm.extended.bin")
    given, at = with_crl(SnpEndorsements.from_table(data[1184:]))
    return data, SnpEndorsements(crl=given.crl), at


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_single_bit_of_an_extended_report():
    report("Genoa version 3, extended", flip(*extended(), lambda position: True))


def test_a_sample_of_bits_of_an_extended_report():
    chosen = random.Random("extended")
    report("Genoa version 3, extended", flip(*extended(), lambda position: chosen.random() < 0.01))
