"""Several pieces of evidence as one: each check between them has an input that it alone rejects."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.appraisal import Context, Policy, Verdict
from assay.appraisal.appraiser import appraise
from assay.appraisal.composite import SCHEMA, appraise_together
from assay.appraisal.pieces import Carried, Held, Shared, expected
from assay.appraisal.rules import composite as checks
from assay.errors import EvidenceError, PolicyError
from assay.evidence.ledger import Outcome
from assay.evidence.nvidia.composite import GPU_NONCE
from assay.evidence.verification import Anchor, Expected, Unchecked
from support.appraisal_evidence import NOW
from support.appraisal_tokens import DEVICE, NRAS
from support.composite_scenes import (
    ALL,
    CARRIED,
    SESSION,
    SIMULATED,
    Made,
    Whole,
    bare_tpm,
    demanding,
    gpus,
    machine,
    policy,
    snp,
    unmet,
    vtpm,
)

NONCE = bytes(range(1, 33))
PADDED = NONCE + bytes(32)
OTHER = b"\x5a" * 32


def shared(*pieces, by=None) -> Whole:
    found = list(pieces) or [machine(PADDED), gpus(NONCE), vtpm(NONCE)]
    return Whole(found, by or policy(), Shared(NONCE))


@pytest.mark.parametrize("whole", [Whole(), shared(), Whole(by=demanding(*ALL))])
def test_what_belongs_together_is_accepted(whole):
    result = whole.judge()
    assert unmet(result) == []
    assert result.verdict is Verdict.ACCEPTED
    assert result.require() is result
    assert [check.id for check in result.ledger] == [spec.id for spec in checks.CHECKS]


CASES = {
    "composite.parts.number": lambda: Whole(
        [machine(), *(vtpm(key=at, instance=at) for at in range(16))],
        demanding("tdx", *["gcp-vtpm"] * 16),
    ),
    "composite.distinct.evidence": lambda: Whole([machine(digest=b"d" * 32), gpus(digest=b"d" * 32), vtpm()]),
    "composite.distinct.device": lambda: Whole(
        [machine(), gpus(digest=b"1" * 32), gpus(digest=b"2" * 32)], demanding("nvidia-gpu", "nvidia-gpu")
    ),
    "composite.together.repeated": lambda: Whole([machine(), gpus(), gpus(device="02")]),
    "composite.appraised.policy": lambda: Whole([machine(by=policy("name = 'lax'\n")), gpus(), vtpm()]),
    "composite.appraised.refused": lambda: Whole([machine(anchor=SIMULATED), gpus(anchor=SIMULATED)]),
    "composite.time.other": lambda: Whole([machine(now=NOW + timedelta(days=1)), gpus(), vtpm()]),
    "composite.machine.number": lambda: Whole([machine(), snp(), vtpm()]),
    "composite.session.other": lambda: Whole([machine(bytes(64)), vtpm()]),
    "composite.session.unchecked": lambda: Whole(tie=Unchecked("a test")),
    "nvidia.composite.nonce.mismatch": lambda: Whole([machine(), gpus(OTHER), vtpm()]),
    "composite.tpm.mismatch": lambda: Whole([machine(), gpus(), vtpm(OTHER)]),
}


@pytest.mark.parametrize("code", CASES)
def test_each_check_rejects_what_no_other_does(code):
    result = CASES[code]().judge()
    found = dict(unmet(result))
    if code == "composite.session.unchecked":
        # Without the session's encoding nothing says what the GPU and the TPM were to answer.
        assert found.pop(GPU_NONCE.id) == "nvidia.composite.nonce.unchecked"
        assert found.pop(checks.TPM_NONCE.id) == "composite.tpm.unchecked"
        assert list(found.values()) == [code]
        assert result.verdict is Verdict.GENUINE_NOT_BOUND
        return
    assert list(found.values()) == [code]
    assert result.verdict is Verdict.REFUSED
    with pytest.raises(EvidenceError) as refused:
        result.require()
    assert refused.value.code == next(iter(found.values()))


def test_simulated_and_real_hardware_do_not_mix():
    """composite.anchors.mixed: a genuine GPU beside a simulated CPU, under a policy that admits each."""
    local = Policy.load(
        b'version = 1\nplatforms = ["tdx", "nvidia-gpu"]\nsimulated = "only"\naccept = ["simulated"]\n',
        name="l",
    )
    pieces = [machine(anchor=SIMULATED), gpus()]
    found = Whole(pieces, local).judge()
    assert found.ledger[checks.ANCHORS.id].code == "composite.anchors.mixed"
    assert found.verdict is Verdict.REFUSED
    pieces = [machine(), gpus(anchor=SIMULATED)]
    assert Whole(pieces).judge().ledger[checks.ANCHORS.id].code == "composite.anchors.mixed"


def test_a_token_under_published_keys_is_of_neither_kind():
    published = Anchor(bytes(32), "a service", simulated=True, published_keys=True)
    result = Whole([machine(), gpus(anchor=published)]).judge()
    assert result.ledger[checks.ANCHORS.id].outcome is Outcome.PASSED
    assert result.simulated
    assert not result.accepted


# --- attacks


def test_the_gpu_of_another_session_is_refused():
    other = replace(SESSION, lease="another")
    result = Whole([machine(), gpus(other.carried("gpu"))]).judge()
    assert unmet(result) == [(GPU_NONCE.id, "nvidia.composite.nonce.mismatch")]
    assert unmet(shared(machine(PADDED), gpus(OTHER)).judge()) == [
        (GPU_NONCE.id, "nvidia.composite.nonce.mismatch")
    ]


@pytest.mark.parametrize("left_out", range(3))
def test_a_piece_that_is_demanded_cannot_be_left_out(left_out):
    pieces = [machine(), gpus(), vtpm()]
    del pieces[left_out]
    result = Whole(pieces, demanding(*ALL)).judge()
    assert result.ledger[checks.TOGETHER.id].code == "composite.together.missing"
    assert result.verdict is Verdict.REFUSED
    assert not any(piece.result.accepted for piece in result.pieces)


def test_a_piece_cannot_stand_for_two():
    one = gpus()
    result = Whole([machine(), one, one], demanding("tdx", "nvidia-gpu", "nvidia-gpu")).judge()
    assert unmet(result) == [(checks.DISTINCT.id, "composite.distinct.evidence")]
    two = Whole([machine(), gpus(), gpus(device="02")], demanding("tdx", "nvidia-gpu", "nvidia-gpu")).judge()
    assert two.accepted
    three = Whole([machine(), gpus(), gpus(device="02")], demanding("tdx", "nvidia-gpu")).judge()
    assert three.ledger[checks.TOGETHER.id].code == "composite.together.repeated"


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ("a", "a", "composite.distinct.device"),
        ("a", "b", ""),
        ("a", "", ""),
        ("", "", "composite.distinct.device"),
    ],
)
def test_a_device_that_a_service_vouched_for_twice_is_one(first, second, code):
    """What the service gives no name may be the other one without a name."""
    answers = [
        Made("nras", replace(NRAS, devices=(replace(DEVICE, ueid=each),)), digest=bytes([at]) * 32)
        for at, each in enumerate((first, second))
    ]
    assert Whole([machine(), *answers]).judge().ledger[checks.DISTINCT.id].code == code


def test_devices_without_names_in_one_answer_are_not_two_pieces():
    nameless = replace(NRAS, devices=(replace(DEVICE, ueid=""), replace(DEVICE, name="GPU-1", ueid="")))
    result = Whole([machine(), Made("nras", nameless)]).judge()
    assert result.ledger[checks.DISTINCT.id].outcome is Outcome.PASSED


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (vtpm(digest=b"2" * 32), "composite.distinct.device"),
        (vtpm(key=2), "composite.distinct.device"),
        (vtpm(instance=2), "composite.distinct.device"),
        (bare_tpm(), "composite.distinct.device"),
        (vtpm(key=2, instance=2), ""),
        (bare_tpm(key=2), ""),
    ],
)
def test_a_tpm_that_answered_twice_is_one(second, code):
    result = Whole([machine(), vtpm(), second], demanding("tdx", "gcp-vtpm", second.platform)).judge()
    assert result.ledger[checks.DISTINCT.id].code == code
    assert result.accepted is (not code)


@pytest.mark.parametrize("make", [vtpm, bare_tpm])
def test_the_tpm_of_another_machine_is_refused(make):
    other = replace(SESSION, platform="another machine")
    result = Whole([machine(), make(other.carried("tpm"))]).judge()
    assert result.ledger[checks.TPM_NONCE.id].code == "composite.tpm.mismatch"
    assert result.verdict is Verdict.REFUSED


def test_a_piece_alone_is_not_enough_where_several_are_demanded():
    by = demanding("tdx", "nvidia-gpu")
    result = appraise(machine().evidence(), by, now=NOW, references={}, context=Context(), workload_log=None)
    assert [check.code for check in result.ledger.failed()] == ["policy.together.alone"]
    assert result.verdict is Verdict.REFUSED
    both = Context(company=("tdx", "nvidia-gpu"))
    assert appraise(
        machine().evidence(), by, now=NOW, references={}, context=both, workload_log=None
    ).accepted


def test_a_policy_applied_as_well_can_demand_company():
    by = policy().tighten(demanding("tdx", "nvidia-gpu"))
    assert Whole([machine(), gpus()], by).judge().accepted
    result = Whole([machine(), vtpm()], by).judge()
    assert result.ledger[checks.TOGETHER.id].code == "composite.together.missing"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('together = ["tdx"]', "policy.list"),
        ('together = ["tdx", "nitro"]', "policy.contradiction"),
        ('together = ["tdx", "toaster"]', "policy.value"),
    ],
)
def test_company_that_makes_no_sense_is_refused(text, code):
    with pytest.raises(PolicyError) as refused:
        policy(text)
    assert refused.value.code == code


# --- ties


@pytest.mark.parametrize("platform", ["tdx", "sgx", "snp", "nitro", "nitro-tpm"])
def test_report_data_hold_the_sessions_hash(platform):
    assert expected(CARRIED, platform, 64) == Expected(SESSION.report_data())


@pytest.mark.parametrize(
    ("platform", "carrier"),
    [
        ("tpm", "tpm"),
        ("gcp-vtpm", "tpm"),
        ("azure-snp", "tpm"),
        ("azure-tdx", "tpm"),
        ("nvidia-gpu", "gpu"),
        ("nras", "gpu"),
    ],
)
def test_small_carriers_hold_their_own_hash(platform, carrier):
    assert expected(CARRIED, platform, None) == Expected(SESSION.carried(carrier))


@pytest.mark.parametrize("platform", ["confidential-space", "maa", "trust-authority"])
def test_tokens_hold_text(platform):
    assert expected(CARRIED, platform, None) == Expected(SESSION.eat_nonce().encode())
    assert base64.urlsafe_b64decode(SESSION.eat_nonce() + "=") == SESSION.carried("eat_nonce")


@given(st.binary(min_size=1, max_size=200))
def test_a_tie_carries_what_the_channel_carries(encoding):
    tie = Carried(encoding)
    assert len(tie.report_data) == 64
    assert len({tie.digest("gpu"), tie.digest("tpm"), tie.digest("eat_nonce"), tie.report_data[:32]}) == 4


def test_report_data_that_are_a_nonce_say_what_the_others_answered():
    whole = Whole([machine(PADDED), gpus(NONCE), vtpm(NONCE)], tie=Held(PADDED))
    assert whole.judge().accepted
    assert expected(Held(PADDED), "nvidia-gpu", None) == Expected(NONCE)
    whole.pieces[1] = gpus(OTHER)
    assert unmet(whole.judge()) == [(GPU_NONCE.id, "nvidia.composite.nonce.mismatch")]
    assert isinstance(expected(Held(b"r" * 64), "nvidia-gpu", None), Unchecked)


def test_a_nonce_behind_a_key_is_the_relying_partys_word():
    """nvidia.composite.nonce.mismatch"""
    behind = b"k" * 32 + NONCE
    whole = Whole([machine(behind), gpus(NONCE), vtpm(NONCE)], tie=Held(behind, NONCE))
    assert whole.judge().accepted
    assert expected(Held(behind, NONCE), "nvidia-gpu", None) == Expected(NONCE)
    assert expected(Held(behind, NONCE), "tdx", 64) == Expected(behind)
    whole.pieces[1] = gpus(OTHER)
    assert unmet(whole.judge()) == [(GPU_NONCE.id, "nvidia.composite.nonce.mismatch")]
    # Report data that do not end with the nonce commit to nothing that a device answered.
    apart = Whole([machine(b"k" * 64), gpus(NONCE), vtpm(NONCE)], tie=Held(b"k" * 64, NONCE))
    assert (GPU_NONCE.id, "nvidia.composite.nonce.mismatch") in unmet(apart.judge())
    assert ("composite.tpm", "composite.tpm.unchecked") in unmet(apart.judge())
    # A nonce with zeros behind it is what the devices answered, whatever else is said.
    padded = Whole([machine(PADDED), gpus(OTHER)], tie=Held(PADDED, OTHER))
    assert unmet(padded.judge()) == [(GPU_NONCE.id, "nvidia.composite.nonce.mismatch")]
    # A constant at the end is no nonce by being there: without the word nothing is compared.
    silent = Whole([machine(behind), gpus(NONCE)], tie=Held(behind))
    assert not silent.judge().accepted


@pytest.mark.parametrize("make", [lambda: Shared(b""), lambda: Shared(bytes(65)), lambda: Carried(b"")])
def test_nothing_ties_pieces_to_no_session(make):
    with pytest.raises(EvidenceError) as refused:
        make()
    assert refused.value.code == "evidence.call.nonce"


def test_the_longest_and_the_shortest_nonce_tie():
    assert Shared(b"\1").nonce == b"\1"
    assert len(Shared(bytes(64)).nonce) == 64


def test_without_a_tie_the_pieces_are_still_compared_with_each_other():
    whole = Whole([machine(PADDED), gpus(NONCE), vtpm(NONCE)], tie=Unchecked("a test"))
    result = whole.judge()
    assert result.verdict is Verdict.GENUINE_NOT_BOUND
    assert result.ledger[GPU_NONCE.id].outcome is Outcome.PASSED
    assert result.ledger[checks.TPM_NONCE.id].outcome is Outcome.PASSED
    with pytest.raises(EvidenceError) as refused:
        result.require()
    assert refused.value.code == "evidence.not_bound"
    whole.pieces[1] = gpus(OTHER)
    assert whole.judge().verdict is Verdict.REFUSED


def test_a_piece_that_lacks_endorsements_leaves_the_whole_open():
    result = Whole([machine(), gpus(signature=Outcome.NOT_CHECKED)]).judge()
    assert result.verdict is Verdict.REFUSED
    assert result.indeterminate
    assert result.ledger[checks.APPRAISED.id].code == "composite.appraised.unchecked"
    assert not Whole([machine(), gpus(signature=Outcome.FAILED)]).judge().indeterminate


def test_a_single_piece_is_a_whole_of_one():
    result = Whole([machine()]).judge()
    assert result.accepted
    assert result.ledger[checks.MACHINE.id].outcome is Outcome.NOT_APPLICABLE
    assert Whole([vtpm()]).judge().ledger[checks.TPM_NONCE.id].outcome is Outcome.NOT_APPLICABLE


def test_the_whole_says_what_it_does_not_prove():
    result = Whole().judge()
    said = "\n".join(result.not_proven)
    assert "GPUs are in this machine" in said
    assert "virtual TPM is this machine's" in said
    assert len(set(result.not_proven)) == len(result.not_proven)
    assert Whole([]).judge().not_proven
    opened = Whole(tie=Unchecked("a test")).judge().not_proven
    assert "not all of it is bound" in opened[0]


def test_the_whole_as_json():
    shown = json.loads(json.dumps(Whole().judge().to_json()))
    assert shown["schema"] == SCHEMA
    assert shown["verdict"] == "accepted"
    assert [part["platform"] for part in shown["parts"]] == list(ALL)
    assert [check["id"] for check in shown["checks"]] == [spec.id for spec in checks.CHECKS]


@given(st.permutations(range(3)), st.sets(st.sampled_from(["gpu", "tpm", "session"])))
def test_no_order_of_pieces_changes_the_verdict(order, wrong):
    pieces = [
        machine(bytes(64)) if "session" in wrong else machine(),
        gpus(OTHER) if "gpu" in wrong else gpus(),
        vtpm(OTHER) if "tpm" in wrong else vtpm(),
    ]
    result = Whole([pieces[at] for at in order]).judge()
    assert result.accepted is not bool(wrong)


def test_a_whole_needs_a_time():
    with pytest.raises(PolicyError) as refused:
        Whole([machine(now=NOW.replace(tzinfo=None))]).judge()
    assert refused.value.code == "appraisal.time.naive"
    assert appraise_together([], policy(), tie=CARRIED, now=NOW).verdict is Verdict.REFUSED
