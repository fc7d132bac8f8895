from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from assay.channel import runtime
from assay.channel.binding import Purpose
from assay.errors import GateError
from assay.leases import gate, refusals
from support.lease_gate import MEASURED_ONLY, NOW, Scene


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("intel")


@pytest.fixture
def scene(home):
    return Scene.at(home / "one")


def refusal(result, purpose=Purpose.ADMISSION) -> GateError:
    with pytest.raises(GateError) as caught:
        refusals.require(result, purpose)
    return caught.value


def test_a_machine_that_proves_everything_is_admitted(scene):
    result = scene.judge()
    refusals.require(result, Purpose.ADMISSION)
    assert result.simulated
    assert {check.id for check in result.ledger} >= {spec.id for spec in gate.CHECKS}


def test_evidence_for_another_nonce_is_refused(scene):
    stale = scene.offered(scene.binding(nonce=b"o" * 32))
    error = refusal(scene.judge(offered=stale))
    assert (error.code, error.detail["cause"]) == ("gate.refused", "tdx.binding.mismatch")
    assert "another session" in error.message
    assert "Nothing was sent" in error.message


@pytest.mark.parametrize(
    "other",
    [
        {"owner_key": b"another"},
        {"channel_key": b"another"},
        {"receipt_key": b"another"},
        {"manifest": b"x" * 32},
        {"lease": "asy-000000000000"},
        {"purpose": Purpose.START},
    ],
)
def test_every_slot_of_the_binding_counts(scene, other):
    theirs = scene.offered(scene.binding(**other))
    assert refusal(scene.judge(offered=theirs)).detail["cause"] == "tdx.binding.mismatch"


def test_another_agent_is_refused(scene):
    theirs = scene.offered(scene.binding(), mr_td=b"\x01" * 48)
    assert refusal(scene.judge(offered=theirs)).detail["cause"] == "policy.tdx.mr_td.mismatch"


def test_debug_is_refused(scene):
    scene.debug = True
    assert refusal(scene.judge()).detail["cause"] == "policy.attributes.debug.enabled"


def test_another_launch_configuration_is_refused_whatever_the_policy_leaves_out(scene):
    own = scene.gate(MEASURED_ONLY)
    assert scene.judge(own).accepted
    theirs = scene.offered(scene.binding(), mr_config_id=replace(scene.config, owner_key=b"x").digest())
    assert refusal(scene.judge(own, offered=theirs)).detail["cause"] == "gate.launch_config.mismatch"


def test_another_history_is_refused_whatever_the_policy_leaves_out(scene):
    own = scene.gate(MEASURED_ONLY)
    events = runtime.events_of_start("bubblewrap", b"m" * 32, b"b" * 32)
    scene.history = events
    assert scene.judge(own, history=events).accepted
    error = refusal(scene.judge(own, history=events[:-1]), Purpose.START)
    assert error.detail["cause"] == "gate.runtime_register.mismatch"
    assert "The workload was not started" in error.message
    other = runtime.events_of_start("none", b"m" * 32, b"b" * 32)
    assert refusal(scene.judge(own, history=other)).detail["cause"] == "gate.runtime_register.mismatch"


def test_what_could_not_be_checked_is_neither_passed_nor_failed(scene):
    result = scene.judge(scene.gate(collateral=None))
    assert result.indeterminate
    error = refusal(result)
    assert error.code == "gate.unverifiable"
    assert "collateral" in error.message


def test_collateral_of_another_time_refuses(scene):
    result = scene.judge(now=NOW + timedelta(days=400))
    assert refusal(result).code == "gate.refused"
    result = scene.judge(now=NOW - timedelta(days=400))
    assert refusal(result).code == "gate.refused"


def test_required_checks_must_have_passed(scene):
    assert scene.judge(scene.gate(required=("dcap.quote.signature",))).accepted
    error = refusal(scene.judge(scene.gate(required=("dcap.quote.signature", "no.such.check"))))
    assert error.detail["cause"] == "gate.required_checks.missing"
    # A check that does not apply did not pass.
    error = refusal(scene.judge(scene.gate(required=("policy.dstack.development_image",))))
    assert error.detail["cause"] == "gate.required_checks.missing"


def test_a_required_check_that_could_not_be_made_is_no_failure(scene):
    result = scene.judge(scene.gate(required=("dcap.tcb_info.time",), collateral=None))
    assert refusal(result).code == "gate.unverifiable"


def test_an_added_policy_refuses_as_well(scene):
    own = scene.gate()
    from assay.appraisal.policy import Policy

    stricter = Policy.load(MEASURED_ONLY + b'[isolation]\nmin = "firecracker"\n', name="theirs")
    both = replace(own, policy=own.policy.tighten(stricter))
    assert refusal(scene.judge(both)).detail["cause"] == "policy.isolation.min.too_weak"


def test_another_installations_machine_is_refused(home, scene):
    other = Scene.at(home / "two")
    theirs = other.offered(scene.binding())
    assert refusal(scene.judge(offered=theirs)).detail["cause"].startswith("dcap.")
    both = scene.trust().roots.with_anchor("other", other.intel.root_der)
    error = refusal(scene.judge(scene.gate(roots=both)))
    assert error.detail["cause"] == "policy.simulated.no_root"


def test_real_policies_do_not_admit_simulated_hardware(scene):
    strict = MEASURED_ONLY.replace(b'simulated = "only"\naccept = ["simulated"]\n', b"")
    assert refusal(scene.judge(scene.gate(strict))).detail["cause"] == "policy.simulated.refused"


def test_bytes_that_are_no_quote_are_refused(scene):
    for evidence in (b"", b"\0" * 5000, b"garbage"):
        theirs = replace(scene.offered(scene.binding()), evidence=evidence)
        assert refusal(scene.judge(offered=theirs)).code == "gate.refused"


def test_every_sentence_is_a_clause():
    for sentence in refusals.SENTENCES.values():
        assert sentence[0].islower()
        assert not sentence.endswith(".")
