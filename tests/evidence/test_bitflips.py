"""Every single bit of three real quotes, flipped: what is still accepted lies in declared regions."""

from __future__ import annotations

import random

import pytest

from assay.evidence.facts import FactCache
from support import vectors
from support.dcap_vectors import collateral_of, judge, moment

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


def flip(name: str, choose) -> tuple[int, int, int]:
    """Flip chosen bits one by one; return how many were tried, accepted, and accepted where declared."""
    quote_name, collateral_name = QUOTES[name]
    quote, collateral = vectors.read(quote_name), collateral_of(collateral_name)
    platform, at, facts = quote_name[:3], moment(TIMES[name]), FactCache()
    original = judge(quote, platform, at, collateral, facts)
    assert original.authentic
    tried = accepted = declared = 0
    for position in range(8 * len(quote)):
        if not choose(position):
            continue
        offset, bit = divmod(position, 8)
        changed = quote[:offset] + bytes([quote[offset] ^ (1 << bit)]) + quote[offset + 1 :]
        result = judge(changed, platform, at, collateral, facts)
        tried += 1
        if result.authentic:
            accepted += 1
            declared += any(region.start <= offset < region.end for region in result.unsigned)
            assert result.signed_digest == original.signed_digest
        else:
            assert result.ledger.failed()
    return tried, accepted, declared


def report(name: str, counts: tuple[int, int, int]) -> None:
    tried, accepted, declared = counts
    vectors.note(
        f"bit flips of a real {name} quote: {tried} tried, {accepted} accepted,"
        f" {declared} of these in regions declared unsigned"
    )
    assert accepted == declared


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", QUOTES)
def test_every_single_bit(name):
    report(name, flip(name, lambda position: True))


@pytest.mark.parametrize("name", QUOTES)
def test_a_sample_of_bits(name):
    """About 1,500 of 40,000 bits, for every run; the slow test flips all."""
    chosen = random.Random(name)  # a sample that is the same in every run
    report(name, flip(name, lambda position: chosen.random() < 0.04))
