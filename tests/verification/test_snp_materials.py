"""What vouches for an SNP report is found among loose files, whatever the report itself brought along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay import Expected, Policy, verify
from assay.evidence.snp import Product
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.simulator.amd.scene import SnpScene
from assay.verification.materials import Materials
from support.snp_scenes import AMD, DAY, NOW, REPORT_DATA, roots_of


def evidence_of(without):
    """Return a scene's evidence, and the report with a table that lacks some parts."""
    found = SnpScene(AMD, Product.GENOA, 3, "vcek", NOW, REPORT_DATA).finish()
    stripped = replace(found, endorsements=replace(found.endorsements, **dict.fromkeys(without)))
    return found, stripped.extended()


def judged(found, evidence, *names, others=None):
    parts = {name: getattr(found.endorsements, name) for name in names}
    return verify(
        evidence,
        policy=Policy.load(b'version = 1\nplatforms = ["snp"]\n', name="p"),
        binding=Expected(REPORT_DATA),
        roots=roots_of(found),
        now=NOW,
        materials=Materials.of({**parts, **(others or {})}),
    ).evidence


@pytest.mark.parametrize("without", [("crl",), ("crl", "root"), ("crl", "root", "authority", "vek")])
def test_a_crl_is_found_by_the_root_that_is_trusted(without):
    found, evidence = evidence_of(without)
    given = [name for name in without if name != "root"]
    assert judged(found, evidence, *given).authentic
    others = [name for name in given if name != "crl"]
    assert {need.kind for need in judged(found, evidence, *others).needs} == {"snp-crl"}


def test_a_report_that_names_no_product_gets_the_issuer_of_its_own_certificate():
    """Version 2 states no CPUID: among the chains of all products, its VCEK says which one is meant."""
    found = SnpScene(AMD, Product.GENOA, 2, "vcek", NOW, REPORT_DATA).finish()
    alone = replace(found, endorsements=replace(found.endorsements, authority=None, root=None, crl=None))
    milan = SnpScene(AMD, Product.MILAN, 2, "vcek", NOW, REPORT_DATA).finish().endorsements
    others = {"a": milan.authority, "b": milan.root, "c": milan.crl}
    result = judged(found, alone.extended(), "authority", "crl", others=others)
    assert result.authentic, result.ledger.unmet()
    asked = {need.kind: need.key["product"] for need in judged(found, alone.extended()).needs}
    assert asked == {"snp-chain": "Genoa", "snp-crl": "Genoa"}


def test_a_certificate_that_cannot_be_read_names_no_product():
    found = SnpScene(AMD, Product.GENOA, 2, "vcek", NOW, REPORT_DATA).finish()
    spoilt = replace(found, endorsements=SnpEndorsements(vek=b"\x30\x00"))
    asked = {need.kind: need.key["product"] for need in judged(found, spoilt.extended()).needs}
    assert asked == {"snp-chain": "", "snp-crl": ""}


@pytest.mark.parametrize("kind", ["vcek", "vlek"])
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_several_certificates_of_a_key_one_that_is_valid_is_taken(kind, names):
    """A VLEK is certified anew each year, and whoever keeps a directory keeps the old one too."""
    found = SnpScene(AMD, Product.GENOA, 3, kind, NOW, REPORT_DATA).finish()
    other = SnpScene(AMD, Product.GENOA, 3, kind, NOW - 400 * DAY, REPORT_DATA)
    other.vek.not_after = NOW - DAY
    veks = dict(zip(names, (other.vek.sign(), found.endorsements.vek), strict=True))
    result = judged(found, found.report, "authority", "crl", others=veks)
    assert result.authentic, result.ledger.unmet()
    lone = judged(found, found.report, "authority", "crl", others={"a": other.vek.sign()})
    assert {check.code for check in lone.ledger.failed()} == {"snp.chain.validity"}
