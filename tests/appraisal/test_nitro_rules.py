"""Rules about Nitro Enclaves and NitroTPM instances: for each, the evidence that it alone refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.appraisal import AttestationResult, Policy
from assay.errors import PolicyError
from assay.evidence.ledger import Outcome
from support.appraisal_evidence import NOW, authentic, failures
from support.appraisal_evidence import judged as appraised
from support.appraisal_nitro import AWS, CLAIMS, PCRS


def policy(body: str = "", *, accept: str = "[]", platform: str = "nitro", top: str = "") -> Policy:
    text = f'version = 1\nplatforms = ["{platform}"]\naccept = {accept}\n{top}[nitro]\n{body}\n'
    return Policy.load(text.encode(), name="test")


def judged(by: Policy, platform: str = "nitro", **changed: Any) -> AttestationResult:
    return appraised(authentic(platform, replace(CLAIMS, **changed), AWS), by)


@pytest.mark.parametrize(
    ("changed", "code", "word"),
    [
        ({"debug": True}, "policy.attributes.debug.weak", "debug"),
        ({"validity": "document"}, "policy.nitro.validity.weak", "archived-chain"),
    ],
)
def test_weaknesses(changed, code, word):
    assert judged(policy()).accepted
    assert failures(judged(policy(), **changed)) == [code]
    admitted = judged(policy(accept=f'["{word}"]'), **changed)
    assert admitted.accepted
    assert admitted.admitted == (word,)


@pytest.mark.parametrize("platform", ["nitro", "nitro-tpm"])
def test_a_public_key_shows_nothing_about_when(platform):
    by = policy(platform=platform, accept='["host-tpm"]' if platform == "nitro-tpm" else "[]")
    for carrier, said in (("user_data", 0), ("nonce", 0), ("public_key", 1)):
        result = judged(by, platform, carrier=carrier)
        assert result.accepted
        assert sum("That the document is new" in sentence for sentence in result.not_proven) == said


def test_debug_can_be_forbidden_whatever_is_admitted():
    forbidden = policy(top="[attributes]\ndebug = false\n", accept='["debug"]')
    assert failures(judged(forbidden, debug=True)) == ["policy.attributes.debug.weak"]


@pytest.mark.parametrize("index", sorted(PCRS))
def test_registers(index):
    by = policy(f'pcr{index} = ["{PCRS[index].hex()}"]')
    assert judged(by).accepted
    other = {"pcrs": PCRS | {index: b"x" * 48}}
    assert failures(judged(by, **other)) == [f"policy.nitro.pcr{index}.mismatch"]


def test_a_register_that_the_document_does_not_hold_is_not_the_named_one():
    assert failures(judged(policy(f'pcr31 = ["{bytes(48).hex()}"]'))) == ["policy.nitro.pcr31.mismatch"]


@pytest.mark.parametrize(
    ("body", "changed", "code"),
    [
        ('instance_ids = ["i-0123456789abcdef0"]', {"instance_id": "i-1"}, "instance_ids.not_listed"),
        ('regions = ["eu-central-1"]', {"region": "us-east-1"}, "regions.not_listed"),
        ("max_age_seconds = 60", {"timestamp": NOW - timedelta(seconds=61)}, "max_age_seconds.too_old"),
        ("max_age_seconds = 60", {"timestamp": NOW + timedelta(seconds=61)}, "max_age_seconds.too_old"),
    ],
)
def test_requirements(body, changed, code):
    assert judged(policy(body)).accepted
    assert failures(judged(policy(body), **changed)) == [f"policy.nitro.{code}"]


def test_what_is_not_listed_is_told_at_most_80_characters_of():
    found = judged(policy('regions = ["eu-central-1"]'), region="x" * 90)
    assert f"It is '{'x' * 79}; the policy names" in found.ledger["policy.nitro.regions"].reason


def test_clocks_that_differ_by_a_minute_age_no_document():
    by = policy("max_age_seconds = 1")
    for ahead in (timedelta(milliseconds=1), timedelta(seconds=60)):
        assert judged(by, timestamp=NOW + ahead).accepted
    early = judged(by, timestamp=NOW - timedelta(seconds=2))
    assert "2 seconds before now" in early.ledger["policy.nitro.max_age_seconds"].reason
    late = judged(by, timestamp=NOW + timedelta(seconds=60, milliseconds=1))
    assert "60 seconds after now" in late.ledger["policy.nitro.max_age_seconds"].reason
    assert failures(late) == ["policy.nitro.max_age_seconds.too_old"]


@pytest.mark.parametrize("platform", ["nitro", "nitro-tpm"])
def test_the_age_of_the_collateral_has_no_meaning_for_a_document(platform):
    age = "[freshness]\ncollateral_max_age_hours = 1\n"
    with pytest.raises(PolicyError) as caught:
        policy(top=age, platform=platform)
    assert caught.value.code == "policy.contradiction"
    assert caught.value.detail == {"path": "freshness.collateral_max_age_hours"}
    # Beside a platform that has collateral the line means something; of a document the ledger says otherwise.
    both = Policy.load(b'version = 1\nplatforms = ["nitro", "tdx"]\n' + age.encode(), name="both")
    result = judged(both)
    assert result.accepted
    assert result.ledger["policy.freshness.collateral_max_age_hours"].outcome is Outcome.NOT_APPLICABLE


def test_an_instance_is_no_tee():
    by = policy(platform="nitro-tpm")
    assert failures(judged(by, "nitro-tpm")) == ["policy.nitro.host_tpm.weak"]
    admitted = judged(policy(platform="nitro-tpm", accept='["host-tpm"]'), "nitro-tpm")
    assert admitted.accepted
    assert admitted.trust_vector["hardware"] == 32
    assert failures(judged(policy(), "nitro-tpm")) == ["policy.platforms.other"]


@pytest.mark.parametrize(
    ("platform", "keys", "gate"),
    [
        ("nitro", (), False),
        ("nitro", (0,), True),
        ("nitro", (1,), False),
        ("nitro", (1, 2), True),
        ("nitro-tpm", (0,), False),
        ("nitro-tpm", (4,), False),
        ("nitro-tpm", (4, 7), True),
    ],
)
def test_which_registers_name_the_code(platform, keys, gate):
    body = "\n".join(f'pcr{index} = ["{PCRS[index].hex()}"]' for index in keys)
    by = policy(body, platform=platform, accept='["host-tpm"]' if platform == "nitro-tpm" else "[]")
    assert by.gate is gate
    assert judged(by, platform).trust_vector["executables"] == (3 if gate else 0)


def test_a_register_that_the_document_lacks_is_not_there():
    one, two = "11" * 48, "22" * 48
    for values, said in ((f'"{one}"', f"the policy has {one}."), (f'"{one}", "{two}"', "which is none")):
        (failed,) = judged(policy(f"pcr9 = [{values}]")).ledger.failed()
        assert failed.reason.startswith("It is not there")
        assert said in failed.reason
