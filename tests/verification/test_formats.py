"""Every platform by the one call: recognised by its bytes, endorsed from what is at hand, appraised."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import Policy, Roots, Unchecked, Verdict, verify
from assay.appraisal.vocabulary import PLATFORMS
from assay.evidence.ledger import Outcome
from assay.verification.formats import format_of, platforms
from assay.verification.materials import Materials
from assay.verification.opening import open_evidence
from assay.verification.recognition import recognise
from support import vectors

NOT_BOUND = Unchecked("a test")


@cache
def materials(*folders: str) -> Materials:
    found = {}
    for folder in folders:
        root = vectors.ROOT / folder
        paths = [root] if root.is_file() else sorted(root.rglob("*"))
        found |= {str(path): path.read_bytes() for path in paths if path.is_file()}
    return Materials.of(found)


def judged(evidence: str, at: str, *given: str, policy: Policy | None = None) -> Any:
    opened = open_evidence(vectors.read(evidence))
    return verify(
        opened.evidence,
        policy=policy or Policy.shipped("genuine"),
        binding=NOT_BOUND,
        roots=Roots.vendor(),
        now=datetime.fromisoformat(at),
        materials=materials(*given),
    )


def test_appraisal_and_formats_know_the_same_platforms() -> None:
    assert set(platforms()) == set(PLATFORMS)
    assert len({format_of(name).title for name in platforms()}) == len(platforms())


def test_a_format_is_shown_by_its_words_alone() -> None:
    assert repr(format_of("tdx")) == "Format(title='TDX quote', binding_bytes=64)"


# Evidence, a time at which all of it is valid, where to look for what vouches for it, the platform, what the
# policy genuine says.
REAL = [
    (
        "azure/coco-trustee/az-snp-evidence-genoa.json",
        "2026-06-01T00:00Z",
        ["snp"],
        "azure-snp",
        None,
    ),
    ("tdx/phala-dcap-qvl/quote_v4.bin", "2025-06-25T12:00Z", ["tdx/phala-dcap-qvl"], "tdx", None),
    ("snp/routex/genoa-v3.report.bin", "2026-06-01T00:00Z", ["snp"], "snp", None),
    ("snp/routex/genoa-v5.report.bin", "2026-06-01T00:00Z", ["snp"], "snp", None),
    (
        "snp/virtee-sev/report_milan.bin",
        "2026-03-10T00:00Z",
        ["snp"],
        "snp",
        "policy.accept_forgeable.milan",
    ),
    ("nitro/evervault/valid-attestation.cbor", "2022-10-13T10:00Z", [], "nitro", None),
    (
        "nitro/evervault/debug-mode-attestation.cbor",
        "2022-10-12T15:00Z",
        [],
        "nitro",
        "policy.attributes.debug.weak",
    ),
    (
        "gcp-cs/flare-vtpm/pki.jwt",
        "2024-11-04T00:23:32Z",
        [],
        "confidential-space",
        "policy.attributes.debug.weak",
    ),
    (
        "gcp-cs/flare-vtpm/oidc.jwt",
        "2024-11-04T00:23:32Z",
        ["gcp-cs/flare-vtpm/flare_oidc_jwks_reduced.json"],
        "confidential-space",
        "policy.simulated.published_keys",
    ),
]


@pytest.mark.parametrize(("evidence", "at", "given", "platform", "code"), REAL, ids=[row[0] for row in REAL])
def test_real_evidence(evidence: str, at: str, given: list[str], platform: str, code: str | None) -> None:
    assert recognise(open_evidence(vectors.read(evidence)).evidence) == platform
    result = judged(evidence, at, *given)
    unmet = [check for check in result.evidence.ledger.unmet() if check.outcome is Outcome.FAILED]
    assert result.evidence.platform == platform
    codes = [check.code for check in result.ledger.failed()]
    if code is None:
        assert result.verdict is Verdict.GENUINE_NOT_BOUND, (codes, unmet, result.evidence.needs)
    else:
        assert result.evidence.authentic, (codes, result.evidence.needs)
        assert code in codes


def test_without_materials_the_result_says_what_to_get() -> None:
    result = judged("snp/routex/genoa-v3.report.bin", "2026-06-01T00:00Z")
    assert result.indeterminate
    assert {need.kind for need in result.evidence.needs} >= {"snp-vek", "snp-chain", "snp-crl"}


def test_a_policy_for_another_platform_refuses_whatever_is_recognised() -> None:
    only = Policy.load(b'version = 1\nplatforms = ["tdx"]\n', name="only tdx")
    result = judged("snp/routex/genoa-v3.report.bin", "2026-06-01T00:00Z", "snp", policy=only)
    assert "policy.platforms.other" in [check.code for check in result.ledger.failed()]


@pytest.mark.parametrize(
    ("file", "platform"),
    [
        ("azure/coco-trustee/az-snp-evidence-genoa.json", "azure-snp"),
        ("gcp-vtpm/go-tpm-tools/gce-cos-85-no-nonce.pb", "gcp-vtpm"),
        ("tpm-ima/coco-trustee/tpm_evidence.json", "tpm"),
        ("nvidia/nvtrust/gpu_evidence.json", "nvidia-gpu"),
        ("nvidia/nvtrust/hopper_report.bin", "nvidia-gpu"),
        ("azure/azure-cvm-guest-attestation/maa_azurevm_token.jwt", "maa"),
        ("azure/coco-trustee/az-tdx-evidence-v1.json", "azure-tdx"),
        ("nvidia/nv-attestation-sdk/hopperClaimsv3_detached_eat.json", "nras"),
    ],
)
def test_what_other_evidence_looks_like(file: str, platform: str) -> None:
    assert recognise(vectors.read(file)) == platform


@given(st.binary(max_size=3000))
def test_recognising_never_fails(data: bytes) -> None:
    assert recognise(data) in (None, *platforms())


@given(
    st.recursive(
        st.none() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    )
)
def test_recognising_json_never_fails(value: Any) -> None:
    assert recognise(json.dumps(value).encode()) in (None, *platforms())


@pytest.mark.parametrize("platform", platforms())
@pytest.mark.parametrize("data", [b"", b"\0", b"{}", b"eyJ.e30.", b"\x84" * 40, bytes(5000)])
def test_garbage_is_refused_by_every_format(platform: str, data: bytes) -> None:
    result = verify(
        data,
        policy=Policy.load(f'version = 1\nplatforms = ["{platform}"]\n'.encode(), name="test"),
        binding=NOT_BOUND,
        roots=Roots.vendor(),
        now=datetime.fromisoformat("2026-06-01T00:00Z"),
        platform=platform,
    )
    assert result.verdict is Verdict.REFUSED
    assert not result.evidence.authentic
    assert result.ledger.failed()
