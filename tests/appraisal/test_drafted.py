"""A policy written from evidence accepts that evidence, on every platform, and says what it makes trusted."""

from __future__ import annotations

from typing import Any

import pytest

from assay.appraisal import Policy, appraise
from assay.appraisal.draft import draft
from assay.appraisal.drafted import DRAFTS
from assay.appraisal.rules.subject import Context
from assay.appraisal.vocabulary import PLATFORMS
from assay.errors import PolicyError
from assay.evidence.snp.products import Product
from assay.evidence.verification import Anchor, EvidenceResult
from support import appraisal_nitro as nitro
from support import appraisal_nvidia as nvidia
from support.appraisal_evidence import NOW, authentic
from support.appraisal_snp import SNP, snp
from support.appraisal_tokens import GOOD as TOKENS
from support.appraisal_tokens import PUBLISHED, SPACE, changed
from support.appraisal_vtpm import GOOD as VTPM

VENDOR = Anchor(bytes(32), "a vendor's root", simulated=False)
CLAIMS: dict[str, Any] = {
    "snp": SNP,
    "nitro": nitro.CLAIMS,
    "nvidia-gpu": nvidia.CLAIMS,
    **VTPM,
    **TOKENS,
}


def made(platform: str, claims: Any) -> EvidenceResult[Any]:
    return authentic(platform, claims, PUBLISHED if platform in TOKENS else VENDOR)


def drafted(platform: str, claims: Any) -> str:
    return draft(made(platform, claims), name="d", source="x", now=NOW, context=Context(), workload_log=None)


def test_every_platform_can_be_drafted():
    assert {*DRAFTS, "tdx", "sgx"} == set(PLATFORMS)


@pytest.mark.parametrize("platform", CLAIMS)
def test_a_draft_accepts_its_evidence_and_states_something(platform):
    text = drafted(platform, CLAIMS[platform])
    by = Policy.load(text.encode(), name="draft")
    result = appraise(
        made(platform, CLAIMS[platform]), by, now=NOW, references={}, context=Context(), workload_log=None
    )
    assert result.accepted, [check.code for check in result.ledger.failed()]
    # A GPU proves no code, of an Azure guest the service states the paravisor's measurement, and of an SNP
    # guest at Google the chip measured Google's firmware.
    assert by.gate is (platform not in ("nvidia-gpu", "nras", "maa", "gcp-snp"))


def test_other_evidence_is_refused_by_the_draft():
    by = Policy.load(drafted("snp", SNP).encode(), name="draft")
    for how in (
        {"measurement": b"x" * 48},
        {"host_data": b"x" * 32},
        {"vmpl": 1},
        {"product": Product.TURIN},
    ):
        other = made("snp", snp(**how))
        assert not appraise(other, by, now=NOW, references={}, context=Context(), workload_log=None).accepted


def test_milan_is_named_in_a_line_of_its_own():
    text = drafted("snp", snp(product=Product.MILAN, forgeable=True))
    assert 'accept_forgeable = [\n  "milan", #' in text


def test_what_no_policy_can_state_is_refused_by_its_key():
    with pytest.raises(PolicyError) as caught:
        drafted("confidential-space", changed(SPACE, audience='a"b\\c\n\u00e4'))
    assert caught.value.code == "policy.draft.unwritable"
    assert caught.value.detail == {"path": "confidential_space.audiences[0]"}
