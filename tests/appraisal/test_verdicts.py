"""Three verdicts; Claims of evidence that is not authentic decide nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from assay.appraisal import Policy, Verdict
from assay.errors import EvidenceError, PolicyError
from assay.evidence.ledger import Check, CheckSpec, Ledger, Outcome
from support.appraisal_evidence import (
    BINDING,
    NOW,
    SGX,
    SIGNATURE,
    TDX,
    evidence,
    failures,
    judged,
    policy,
    tdx,
)


def test_accepted_needs_everything() -> None:
    result = judged(evidence(), policy())
    assert result.verdict is Verdict.ACCEPTED
    assert result.require() is result
    assert not result.indeterminate


def test_an_unchecked_binding_is_never_accepted() -> None:
    result = judged(evidence(binding=Outcome.NOT_CHECKED), policy())
    assert result.verdict is Verdict.GENUINE_NOT_BOUND
    assert not result.accepted
    assert "said so" in result.not_proven[0]
    with pytest.raises(EvidenceError) as caught:
        result.require()
    assert caught.value.code == "evidence.not_bound"


@pytest.mark.parametrize("binding", [Outcome.FAILED, Outcome.NOT_APPLICABLE])
def test_any_other_binding_is_refused(binding: Outcome) -> None:
    result = judged(evidence(binding=binding), policy())
    assert result.verdict is Verdict.REFUSED
    with pytest.raises(EvidenceError):
        result.require()


def test_genuine_but_outside_policy_is_refused() -> None:
    result = judged(evidence(tdx(debug=True), binding=Outcome.NOT_CHECKED), policy())
    assert result.verdict is Verdict.REFUSED
    assert not result.indeterminate


@pytest.mark.parametrize("signature", [Outcome.FAILED, Outcome.NOT_CHECKED])
def test_claims_of_unauthentic_evidence_are_not_reached(signature: Outcome) -> None:
    broken = evidence(signature=signature)
    result = judged(broken, Policy.shipped("strict"))
    assert result.verdict is Verdict.REFUSED
    policy_checks = [check for check in result.ledger if check.id.startswith("policy.")]
    assert policy_checks[0].id == "policy.platforms"
    assert {check.outcome for check in policy_checks[1:]} == {Outcome.NOT_CHECKED}
    assert {check.code for check in policy_checks[1:]} == {"policy.unauthenticated"}
    assert result.to_json()["claims"] is None
    assert result.to_json()["unauthenticated"] == {"mr_td": "unauthenticated"}
    assert result.admitted == ()
    assert len(result.not_proven) == 1
    with pytest.raises(EvidenceError):
        _ = broken.claims


def test_rules_cannot_touch_claims_of_unauthentic_evidence() -> None:
    class Trap:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"{name} was read")

    trapped = replace(evidence(signature=Outcome.FAILED), _claims=Trap())
    assert judged(trapped, Policy.shipped("genuine")).verdict is Verdict.REFUSED


def test_evidence_without_an_anchor_is_refused() -> None:
    result = judged(evidence(anchor=None), policy())
    assert result.verdict is Verdict.REFUSED
    assert result.simulated


def test_what_could_not_be_checked_is_told_from_what_failed() -> None:
    assert judged(evidence(signature=Outcome.NOT_CHECKED), policy()).indeterminate
    assert not judged(evidence(signature=Outcome.FAILED), policy()).indeterminate


def test_evidence_of_a_platform_that_was_not_chosen_is_refused_whatever_else() -> None:
    only_sgx = policy(platforms='["sgx"]')
    for signature in Outcome.PASSED, Outcome.NOT_CHECKED:
        result = judged(evidence(TDX, signature=signature), only_sgx)
        assert result.verdict is Verdict.REFUSED
        assert not result.indeterminate
        assert "policy.platforms.other" in failures(result)
    assert judged(evidence(SGX), only_sgx).accepted


def test_the_first_failure_is_what_require_raises() -> None:
    with pytest.raises(EvidenceError) as caught:
        judged(tdx(debug=True), policy()).require()
    assert caught.value.code == "policy.attributes.debug.enabled"


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        judged(evidence(), policy(), now=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
    assert caught.value.code == "appraisal.time.naive"


def test_the_result_names_policy_and_time() -> None:
    by = policy()
    found = judged(evidence(), by).to_json()
    assert found["schema"] == "assay/attestation-result/v1"
    assert found["policy"]["sha256"] == by.digest.hex()
    assert found["appraised_at"] == NOW.isoformat()


def test_the_result_is_plain_json() -> None:
    import json

    for claims in TDX, SGX:
        text = json.dumps(judged(claims, policy()).to_json(), allow_nan=False)
        assert json.loads(text)["claims"]["tcb"]["status"] == "UpToDate"
        assert json.loads(text)["claims"]["tcb"]["sgx_type"] == "scalable-with-integrity"


# --- gates


def test_no_gate_may_load_genuine() -> None:
    genuine = Policy.shipped("genuine")
    assert not genuine.gate
    with pytest.raises(PolicyError) as caught:
        genuine.for_gate()
    assert caught.value.code == "policy.gate.no_measurements"


@pytest.mark.parametrize("name", ["strict", "local"])
def test_shipped_policies_that_name_code_may_open_gates(name: str) -> None:
    found = Policy.shipped(name)
    assert found.for_gate() is found


@pytest.mark.parametrize(
    ("text", "platforms", "gate"),
    [
        ("", '["tdx"]', False),
        ('[tdx]\nmr_config_id = "reference"', '["tdx"]', False),
        ('[tdx]\nmr_td = "reference"', '["tdx"]', True),
        ('[tdx]\nmr_td = "reference"', '["tdx", "sgx"]', False),
        ('[sgx]\nmr_enclave = "reference"', '["tdx", "sgx"]', False),
        ('[sgx]\nmr_enclave = "reference"', '["sgx"]', True),
        ('[sgx]\nmr_signer = "reference"\nisv_prod_id = [1]\nmin_isv_svn = 1', '["sgx"]', True),
        ('[sgx]\nconfig_id = "reference"', '["sgx"]', False),
    ],
)
def test_a_gate_needs_the_code_named_on_every_platform(text: str, platforms: str, gate: bool) -> None:
    assert policy(text, platforms=platforms).gate is gate


def test_tightening_does_not_make_a_gate() -> None:
    strict = Policy.shipped("strict")
    assert not Policy.shipped("genuine").tighten(strict).gate
    assert strict.tighten(Policy.shipped("genuine")).gate


def test_checks_that_others_add_to_the_ledger_are_not_the_policys() -> None:
    result = judged(tdx(platform_status="OutOfDate"), policy())
    own = Ledger(
        (SIGNATURE.passed, Check(BINDING, Outcome.FAILED, "policy.attributes.debug.enabled", "not ours"))
    )
    longer = replace(result, ledger=result.ledger + own)
    assert longer.policy_checks == result.policy_checks
    assert longer.trust_vector == result.trust_vector
    assert longer.not_proven == result.not_proven


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 1, 0)])
@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (Outcome.PASSED, Verdict.ACCEPTED),
        (Outcome.NOT_CHECKED, Verdict.GENUINE_NOT_BOUND),
        (Outcome.FAILED, Verdict.REFUSED),
    ],
)
def test_the_binding_is_found_wherever_it_stands(
    order: tuple[int, ...], outcome: Outcome, verdict: Verdict
) -> None:
    made = evidence(binding=outcome)
    checks = (*made.ledger.checks, CheckSpec("test.other", "something else", "none").passed)
    shuffled = replace(made, ledger=Ledger(tuple(checks[index] for index in order)))
    assert judged(shuffled, policy()).verdict is verdict
