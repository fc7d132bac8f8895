"""Single bits of real Azure and Google evidence, flipped: what is still accepted lies in declared regions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from assay.evidence.azure import AzureEndorsements
from assay.evidence.facts import FactCache
from assay.evidence.google_vm import GoogleVmEndorsements, verify_google_vm
from assay.evidence.roots import GOOGLE_VTPM, Roots
from assay.evidence.tpm.attest import Attest
from assay.evidence.verification import Expected, Unchecked
from support import bit_flips, vectors
from support.azure_vectors import SNP_TIME, collateral_of, container, judge, parts, snp_endorsements
from support.bit_flips import every, sample

if TYPE_CHECKING:
    from support.bit_flips import Choose

GOOGLE = "gcp-vtpm/go-tpm-tools/gce-cos-85-no-nonce.pb"
NOW = datetime(2026, 8, 1, tzinfo=UTC)


def _snp():
    name = "azure/coco-trustee/az-snp-evidence-v2.json"
    given = AzureEndorsements(snp=snp_endorsements("milan"))
    nonce = Expected(Attest.parse(parts(name).quote.message).extra_data)
    facts = FactCache()
    return container(name), lambda data: judge(
        data, "azure-snp", SNP_TIME, given, binding=nonce, user_data=nonce, facts=facts
    )


def _tdx():
    name = "azure/coco-trustee/az-tdx-evidence-v1.json"
    collateral, at = collateral_of("00806f050000", near=NOW)
    given = AzureEndorsements(collateral=collateral)
    nonce, facts = Expected(b"challenge"), FactCache()
    return container(name), lambda data: judge(data, "azure-tdx", at, given, binding=nonce, facts=facts)


def _bundle():
    name = "azure/flashbots-attested-tls/azure-1780922561.evidence.yaml"
    collateral, at = collateral_of("90c06f000000", near=datetime(2026, 6, 23, tzinfo=UTC))
    given = AzureEndorsements(collateral=collateral)
    nonce, facts = Expected(bytes(32)), FactCache()
    return container(name), lambda data: judge(data, "azure-tdx", at, given, binding=nonce, facts=facts)


def _google():
    tools = "gcp-vtpm/go-tpm-tools"
    root = vectors.read(f"{tools}/tpm_ek_root_1.cer")
    roots = Roots.vendor().with_anchor("older EK root", root, vendor=GOOGLE_VTPM)
    given = GoogleVmEndorsements(ak_intermediates=(vectors.read(f"{tools}/tpm_ek_intermediate_2.crt"),))
    unchecked, facts = Unchecked("a captured quote has no session"), FactCache()
    return vectors.read(GOOGLE), lambda data: verify_google_vm(
        data,
        tee="none",
        endorsements=given,
        roots=roots,
        now=NOW,
        binding=unchecked,
        report_data=unchecked,
        explained=frozenset(range(10)),
        facts=facts,
    )


SAMPLES = {"Azure SNP": _snp, "Azure TDX": _tdx, "Azure bundle": _bundle, "Google vTPM": _google}


def report(name: str, choose: Choose) -> None:
    bit_flips.report(f"real {name} evidence", bit_flips.flip(*SAMPLES[name](), choose))


# Three quotes and two logs make one verification of this container take milliseconds: a bit of every byte.
EVERY = {"Google vTPM": lambda position: position % 8 == position // 8 % 8}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_single_bit(name):
    report(name, EVERY.get(name, every))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_bits(name):
    """One bit in two hundred, for every run; the slow test flips all."""
    report(name, sample(name, 0.005))


def test_the_zeros_around_an_hcl_report_carry_nothing():
    """Every byte of the NV index that no field uses is refused when it is not zero."""
    name = "azure/coco-trustee/az-snp-evidence-v2.json"
    evidence = parts(name)
    used = evidence.hcl.rstrip(b"\0")
    for offset in range(len(used), len(evidence.hcl), 17):
        spoilt = evidence.hcl[:offset] + b"\1" + evidence.hcl[offset + 1 :]
        result = judge(replace(evidence, hcl=spoilt), "azure-snp", SNP_TIME)
        assert [check.code for check in result.ledger.failed()] == ["azure.hcl.trailing"]
