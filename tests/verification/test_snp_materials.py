"""What vouches for an SNP report is found among loose files, whatever the report itself brought along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay import Expected, Policy, verify
from assay.evidence.snp import Product
from assay.simulator.amd.scene import SnpScene
from assay.verification.materials import Materials
from support.snp_scenes import AMD, NOW, REPORT_DATA, roots_of


def evidence_of(without):
    """Return a scene's evidence, and the report with a table that lacks some parts."""
    found = SnpScene(AMD, Product.GENOA, 3, "vcek", NOW, REPORT_DATA).finish()
    stripped = replace(found, endorsements=replace(found.endorsements, **dict.fromkeys(without)))
    return found, stripped.extended()


def judged(found, evidence, *names):
    parts = {name: getattr(found.endorsements, name) for name in names}
    return verify(
        evidence,
        policy=Policy.load(b'version = 1\nplatforms = ["snp"]\n', name="p"),
        binding=Expected(REPORT_DATA),
        roots=roots_of(found),
        now=NOW,
        materials=Materials.of(parts),
    ).evidence


@pytest.mark.parametrize("without", [("crl",), ("crl", "root"), ("crl", "root", "authority", "vek")])
def test_a_crl_is_found_by_the_root_that_is_trusted(without):
    found, evidence = evidence_of(without)
    given = [name for name in without if name != "root"]
    assert judged(found, evidence, *given).authentic
    others = [name for name in given if name != "crl"]
    assert {need.kind for need in judged(found, evidence, *others).needs} == {"snp-crl"}
