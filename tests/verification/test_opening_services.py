"""What attestation services are asked with, and answer: simulated evidence, wrapped again."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from assay import Policy, Verdict
from assay.appraisal import Context
from assay.appraisal.pieces import Shared
from assay.errors import EvidenceError
from assay.evidence.verification import fingerprint
from assay.simulator.nvidia import Scene as GpuScene
from assay.simulator.scene import Scene as TdxScene
from assay.verification.composite import Part, verify_together
from assay.verification.opened import MAX_PARTS
from assay.verification.opening import MAX_DEPTH, open_bundle, open_evidence
from support import vectors
from support.dcap_scenes import INTEL
from support.nvidia_scenes import NVIDIA, endorsements
from support.nvidia_scenes import roots as gpu_roots
from support.token_scenes import scene as token_scene

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NONCE = bytes(range(1, 33))
POLICY = Policy.load(
    b'version = 1\nplatforms = ["tdx", "nvidia-gpu"]\nsimulated = "only"\naccept = ["simulated"]\n'
    b'together = ["tdx", "nvidia-gpu"]\n',
    name="t",
)
OWN = Context(
    installation_roots=frozenset(
        {fingerprint(INTEL.root_der), *(fingerprint(der) for _, der, _ in NVIDIA.anchors)}
    )
)
TDX = bytes.fromhex("0400020081000000") + bytes(range(256)) * 4
SGX = bytes.fromhex("0300020000000000") + bytes(range(256)) * 4


@cache
def machine():
    return TdxScene(INTEL, "tdx", 4, NOW, NONCE + bytes(32)).finish()


@cache
def gpus():
    return GpuScene(NVIDIA, NOW, NONCE).finish()


def text(data: bytes) -> str:
    return b64encode(data).decode()


def written(document: Any) -> str:
    """Return JSON as the verifier of Trustee is given it."""
    return urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def attested(quote: bytes = TDX) -> dict[str, Any]:
    return {"quote": text(quote), "cc_eventlog": None}


def devices() -> dict[str, Any]:
    return {"device_evidence_list": json.loads(gpus().evidence)}


def opened(document: Any):
    return open_bundle(json.dumps(document).encode())


def only(document: Any):
    return open_evidence(json.dumps(document).encode())


def code(document: Any) -> str:
    with pytest.raises(EvidenceError) as refused:
        opened(document)
    return refused.value.code


def judged(bundle) -> tuple[Verdict, list[str]]:
    """Verify a machine and its GPUs, each with what vouches for it, as one; name what failed of the GPUs."""
    vouching = {"tdx": machine().collateral, "nvidia-gpu": endorsements(gpus())}
    result = verify_together(
        [Part(part.name, part.evidence, part.platform, vouching[part.platform]) for part in bundle.parts],
        policy=POLICY,
        tie=Shared(NONCE),
        roots=gpu_roots().with_anchor("simulated Intel", INTEL.root_der),
        now=NOW,
        context=OWN,
    )
    (devices,) = (piece.result for piece in result.pieces if piece.result.platform == "nvidia-gpu")
    return result.verdict, [check.code for check in devices.ledger.failed()]


# --- Trustee


def brokered(primary: Any, additional: Any = "") -> dict[str, Any]:
    return {
        "init-data": None,
        "runtime-data": {"nonce": "", "tee-pubkey": {}},
        "tee-evidence": {"primary_evidence": primary, "additional_evidence": additional},
    }


@pytest.mark.parametrize("additional", ["", None, "{}"])
def test_what_a_key_broker_is_asked_with(additional):
    whole = brokered(attested(), additional)
    found = only(whole)
    assert (found.evidence, found.platform) == (TDX, "tdx")
    assert found.unverified == ("init-data", "runtime-data")
    assert only(whole["tee-evidence"]).evidence == TDX


def test_what_a_key_broker_is_asked_with_about_a_real_machine():
    trustee = vectors.read("trustee/trustee/attestation-service/tests/e2e/evidence.json")
    (snp,) = opened(brokered(json.loads(trustee))).parts
    assert (snp.platform, snp.evidence) == ("snp", open_evidence(trustee).evidence)


@pytest.mark.parametrize("inner", [attested(), json.dumps(attested())])
def test_what_a_key_broker_was_asked_with_before_there_were_composites(inner):
    found = only({"tee-pubkey": {}, "tee-evidence": inner})
    assert (found.evidence, found.unverified) == (TDX, ("tee-pubkey",))


def test_a_machine_and_its_gpus_in_one_request_are_verified_together():
    primary = attested(machine().quote)
    requests = [
        {"tee": "tdx", "evidence": written(primary)},
        {"tee": "nvidia", "evidence": written(devices())},
    ]
    asked = {"gpu_nonce": NONCE.hex(), "arch": "HOPPER", "evidence_list": devices()["device_evidence_list"]}
    for document, names in (
        (brokered(primary, json.dumps({"nvidia": devices()})), ["tdx", "nvidia"]),
        ({"verification_requests": requests, "policy_ids": []}, ["tdx", "nvidia"]),
        ({"tdx": {"quote": text(machine().quote)}, "nvgpu": asked, "policy_ids": []}, ["tdx", "nvgpu"]),
    ):
        bundle = opened(document)
        assert [part.name for part in bundle.parts] == names
        assert judged(bundle) == (Verdict.ACCEPTED, [])
    (other,) = json.loads(GpuScene(NVIDIA, NOW, bytes(32)).finish().evidence)
    stale = opened(brokered(primary, json.dumps({"nvidia": {"device_evidence_list": [other]}})))
    assert judged(stale) == (Verdict.REFUSED, ["nvidia.binding.mismatch"])


@pytest.mark.parametrize(
    ("additional", "expected"),
    [
        (7, "verification.service.member"),
        ({"nvidia": {}}, "verification.service.member"),
        ("7", "json.type"),
        ("{", "json.malformed"),
        ("\ud800", "json.malformed"),
        (json.dumps({"nvidia": attested()}), "verification.envelope.platform"),
        (json.dumps({"snp": attested()}), "verification.envelope.platform"),
        (json.dumps({"nvidia": {}}), "verification.answer.unrecognised"),
    ],
)
def test_additional_evidence_that_is_none(additional, expected):
    assert code(brokered(attested(), additional)) == expected


def test_a_name_that_is_none_of_a_platform_is_listed_and_names_no_piece():
    bundle = opened(brokered(attested(), json.dumps({"x" * 99: attested(SGX)})))
    assert [part.name for part in bundle.parts] == ["tdx", "sgx"]
    assert bundle.unverified[0] == f"additional_evidence.{'x' * 44}..."


def test_what_the_verifier_of_trustee_is_asked_with():
    request = {"tee": "tdx", "evidence": written(attested()), "runtime_data": {"raw": ""}, "init_data": None}
    for document, left in (
        (request, ("runtime_data",)),
        ({"verification_requests": [request], "policy_ids": []}, ("runtime_data", "policy_ids")),
        ({"tee": "tdx", "evidence": attested()}, ()),
        ({"tee": "sample", "evidence": attested()}, ("tee",)),
    ):
        found = only(document)
        assert (found.evidence, found.platform, found.unverified) == (TDX, "tdx", left)


@pytest.mark.parametrize("requests", [[], [7], [{}], [{"tee": 7, "evidence": {}}], [{"tee": "tdx"}]])
def test_requests_without_evidence_are_refused(requests):
    assert code({"verification_requests": requests}) == "verification.service.member"


def test_text_that_no_file_can_hold_is_no_evidence():
    assert code(brokered("\ud800")) == "verification.evidence.unrecognised"


def test_a_name_of_another_platform_is_refused():
    for document in (
        {"tee": "snp", "evidence": attested()},
        {"verification_requests": [{"tee": "sgx", "evidence": attested()}]},
        {"tdx": attested(SGX), "policy_ids": []},
        {"nvgpu": {"evidence_list": [["JWT", ""]]}, "sgx": attested(TDX)},
    ):
        assert code(document) == "verification.envelope.platform"


# --- Trust Authority


@pytest.mark.parametrize(("word", "quote"), [("tdx", TDX), ("sgx", SGX)])
def test_what_trust_authority_is_asked_with(word, quote):
    asked = {"quote": text(quote), "verifier_nonce": {"val": ""}, "runtime_data": ""}
    found = only({word: asked, "policy_ids": [], "token_signing_alg": "PS384", "policy_must_match": None})
    assert (found.evidence, found.platform) == (quote, word)
    assert found.unverified == ("runtime_data", "verifier_nonce", "policy_ids", "token_signing_alg")


def test_what_trust_authority_is_asked_about_gpus_alone():
    evidence = devices()["device_evidence_list"]
    asked = {"gpu_nonce": NONCE.hex(), "arch": "HOPPER", "evidence_list": evidence, "verifier_nonce": {}}
    found = only({"nvgpu": asked, "policy_ids": []})
    assert (found.platform, found.unverified) == ("nvidia-gpu", ("nvgpu.verifier_nonce", "policy_ids"))
    inner = json.loads(found.evidence)
    assert inner == {"nonce": NONCE.hex(), "arch": "HOPPER", "evidence_list": evidence}


@pytest.mark.parametrize(
    "document",
    [
        {"tdx": [text(TDX)], "policy_ids": []},
        {"tdx": {"report": text(TDX)}, "policy_ids": []},
        {"nvgpu": {"evidence_list": []}},
        {"nvgpu": {"arch": "HOPPER"}},
        {"tdx": {}, "nvgpu": 7},
    ],
)
def test_requests_that_trust_authority_would_not_take(document):
    assert code(document) == "verification.answer.unrecognised"


# --- Answers


@pytest.mark.parametrize("platform", ["maa", "trust-authority", "confidential-space"])
def test_the_token_in_a_services_answer(platform):
    token = token_scene(platform).evidence()
    found = only({"token": token.decode(), "expires": 7})
    assert (found.evidence, found.platform, found.unverified) == (token, platform, ("expires",))


@pytest.mark.parametrize("token", [7, None, "", "\ud800", "a.b.c", text(TDX), "eyJ.e3.AA", "ASSAYTPM"])
def test_an_answer_without_a_token_that_is_known(token):
    assert code({"token": token}) == "verification.answer.unrecognised"


# --- Bounds


def test_how_many_and_how_deep():
    request = {"tee": "tdx", "evidence": attested()}
    most = {"verification_requests": [request] * MAX_PARTS}
    assert len(opened(most).parts) == MAX_PARTS
    assert code({"verification_requests": [request] * (MAX_PARTS + 1)}) == "verification.evidence.several"
    assert code(brokered(most, json.dumps({"tdx": attested()}))) == "verification.evidence.several"
    document: Any = attested()
    for _ in range(MAX_DEPTH):
        document = {"tee": "tdx", "evidence": document}
    assert only(document).evidence == TDX
    assert code({"tee": "tdx", "evidence": document}) == "verification.evidence.unrecognised"
