"""Bounds and choices of Azure's containers that a mutation run found untested."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from assay.evidence.azure.forms import MAX_EVENT_LOG_BYTES, AzureError, read_container
from assay.evidence.facts import FactCache
from assay.evidence.ledger import Outcome
from assay.evidence.roots import Roots
from assay.simulator.azure import AzureScene, SimulatedAzure
from support.azure_scenes import AMD, INTEL, NONCE, NOW, judge, roots_of, scene


def members(form: str) -> dict:
    stage = scene("azure-tdx")
    stage.form = form
    return json.loads(stage.finish().container)


def test_the_bound_of_an_event_log():
    bundle = members("bundle")
    for size in (MAX_EVENT_LOG_BYTES, MAX_EVENT_LOG_BYTES + 1):
        bundle["tpm_attestation"]["event_log"] = [0] * size
        data = json.dumps(bundle, separators=(",", ":")).encode()
        if size == 160 * 1024:
            assert read_container(data).event_log == bytes(size)
        else:
            with pytest.raises(AzureError, match="at most 163840 numbers"):
                read_container(data)


@pytest.mark.parametrize("size", [1020, 1021, 1022])
@pytest.mark.parametrize("padded", [True, False])
def test_base64url_with_and_without_padding(size, padded):
    text = base64.urlsafe_b64encode(b"\xfb" * size).decode()
    data = members("v1") | {"td_quote": text if padded else text.rstrip("=")}
    assert read_container(json.dumps(data).encode()).td_quote == b"\xfb" * size


def test_of_several_roots_of_one_name_the_one_with_the_key_is_taken():
    stage = scene("azure-tdx")
    stage.certify()
    stage.form = "bundle"
    scenario = stage.finish()
    cloud = SimulatedAzure(replace(AMD, secret=b"another", directory=None, bits=2048, _keys={}), INTEL)
    theirs = dict(AzureScene(cloud, "azure-snp", NOW, NONCE, None).finish().anchors)["azure-vtpm"]
    roots = Roots.vendor().with_anchor("another", theirs, vendor="azure-vtpm")
    for family, der in scenario.anchors:
        roots = roots.with_anchor(f"simulated {family}", der, vendor=family)
    result = judge(scenario, roots=roots)
    assert result.authentic
    assert result.ledger["azure.ak.chain"].outcome is Outcome.PASSED
    assert len(roots.of("azure-vtpm")) == len(roots_of(scenario).of("azure-vtpm")) + 1


def test_a_modulus_that_is_half_a_character():
    stage = scene()
    stage.claims["keys"][0]["n"] = "\ud800"
    codes = {check.code for check in judge(stage.finish()).ledger.failed()}
    assert "azure.runtime.attestation_key.malformed" in codes


def test_only_authentic_evidence_is_remembered():
    facts = FactCache()
    genuine = scene().finish()
    assert not judge(genuine, facts=facts, endorsements=None).authentic
    assert len(facts.shelf("azure.runtime")) == 0
    for _ in range(2):
        assert judge(genuine, facts=facts).authentic
        assert len(facts.shelf("azure.runtime")) == 1


@pytest.mark.parametrize(
    ("number", "name"), [(1, "VBS"), (2, "SNP"), (3, "no TEE"), (5, "CCA"), (6, "unknown (6)")]
)
def test_a_report_for_something_else_is_named(number, name):
    stage = scene("azure-tdx")
    stage.after_hcl = lambda data: data[:1224] + number.to_bytes(4, "little") + data[1228:]
    (failed,) = judge(stage.finish()).ledger.failed()
    assert failed.code == "azure.hcl.platform"
    assert failed.reason == f"The HCL report is of type {name}, not azure-tdx."


def test_a_certificate_is_a_text_of_at_most_twice_its_bytes():
    bundle = members("bundle")
    for size in (16384, 16385):
        bundle["tpm_attestation"]["ak_certificate_pem"] = "x" * size
        with pytest.raises(AzureError) as error:
            read_container(json.dumps(bundle).encode())
        assert ("at most 16384 characters" in error.value.message) is (size == 16385)
