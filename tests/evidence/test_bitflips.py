"""Every single bit of three real quotes, flipped: what is still accepted lies in declared regions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.evidence.facts import FactCache
from support import bit_flips, vectors
from support.bit_flips import every, sample
from support.dcap_vectors import collateral_of, judge, moment

if TYPE_CHECKING:
    from support.bit_flips import Choose, Counts

QUOTES = {
    "TDX format 4": ("tdx/phala-dcap-qvl/quote_v4.bin", "tdx/phala-dcap-qvl/quote_v4.collateral.json"),
    "TDX 1.5 format 5": (
        "tdx/go-tdx-guest/quote_v5_sample.dat",
        "tdx/assembled/90c06f000000-2026-01-12-eval18-b4493d.collateral.json",
    ),
    "SGX format 3": (
        "sgx/azure-maa-samples/intel_sdk_release.quote.bin",
        "sgx/assembled/00906ed50000-2025-05-27-eval17-1ea405.collateral.json",
    ),
}
TIMES = {
    "TDX format 4": "2025-07-04T10:16:31Z",
    "TDX 1.5 format 5": "2026-02-04T03:11:36Z",
    "SGX format 3": "2025-06-23T02:57:12Z",
}


def flip(name: str, choose: Choose) -> Counts:
    quote_name, collateral_name = QUOTES[name]
    collateral, platform = collateral_of(collateral_name), quote_name[:3]
    at, facts = moment(TIMES[name]), FactCache()
    return bit_flips.flip(
        vectors.read(quote_name), lambda data: judge(data, platform, at, collateral, facts), choose
    )


def report(name: str, counts: Counts) -> None:
    bit_flips.report(f"a real {name} quote", counts)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", QUOTES)
def test_every_single_bit(name):
    report(name, flip(name, every))


@pytest.mark.parametrize("name", QUOTES)
def test_a_sample_of_bits(name):
    """About 1,500 of 40,000 bits, for every run; the slow test flips all."""
    report(name, flip(name, sample(name, 0.04)))
