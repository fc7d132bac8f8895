"""Every single bit of real reports, flipped: what is still accepted lies in declared regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.evidence.facts import FactCache
from assay.evidence.snp import SnpEndorsements
from support import bit_flips, vectors
from support.bit_flips import every, sample
from support.snp_vectors import endorsed, judge, with_crl

if TYPE_CHECKING:
    from datetime import datetime

    from support.bit_flips import Choose, Counts

REPORTS = {
    "Milan version 2": ("snp/virtee-sev/report_milan.bin", "snp/virtee-sev/vcek_milan.der"),
    "Genoa version 3": (
        "snp/ms-scitt/css-20260302.report.bin",
        "snp/ms-scitt/css-20260302.snp_endorsements.pem",
    ),
    "Genoa version 5": ("snp/project-oak/genoa_oc.report.bin", "snp/project-oak/genoa_oc.vcek.der"),
}


def flip(evidence: bytes, given: SnpEndorsements, at: datetime, choose: Choose) -> Counts:
    facts = FactCache()
    return bit_flips.flip(evidence, lambda data: judge(data, given, at, facts), choose)


def report(name: str, counts: Counts) -> None:
    bit_flips.report(f"a real SNP report ({name})", counts)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", REPORTS)
def test_every_single_bit_of_a_report(name):
    evidence, signer = (vectors.read(file) for file in REPORTS[name])
    given, at = with_crl(endorsed(signer))
    report(name, flip(evidence, given, at, every))


@pytest.mark.parametrize("name", REPORTS)
def test_a_sample_of_bits_of_a_report(name):
    """About 400 of 9,472 bits, for every run; the slow test flips all."""
    evidence, signer = (vectors.read(file) for file in REPORTS[name])
    given, at = with_crl(endorsed(signer))
    counts = flip(evidence, given, at, sample(name, 0.04))
    report(name, counts)
    assert counts.accepted == 0


def extended() -> tuple[bytes, SnpEndorsements, datetime]:
    """Return a real extended report, whose table brings all but the CRL."""
    data = vectors.read("snp/veraison-services/tsm.extended.bin")
    given, at = with_crl(SnpEndorsements.from_table(data[1184:]))
    return data, SnpEndorsements(crl=given.crl), at


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_single_bit_of_an_extended_report():
    report("Genoa version 3, extended", flip(*extended(), every))


def test_a_sample_of_bits_of_an_extended_report():
    report("Genoa version 3, extended", flip(*extended(), sample("extended", 0.01)))
