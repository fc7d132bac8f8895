"""Each rule refuses what only it refuses, and says so with its own code."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assay.appraisal import Context, Policy, Verdict
from assay.evidence.dcap.tcb import SgxType, TcbStatus
from assay.evidence.ledger import Outcome
from support.appraisal_evidence import (
    NOW,
    OWN_ROOT,
    SIMULATED,
    TCB_DATE,
    TDX_WORDS,
    attributes,
    evidence,
    failures,
    judged,
    policy,
    register,
    sgx,
    tdx,
)

ALL_TDX = """
[tdx]
mr_td = ["{02}"]
rtmr0 = ["{10}"]
rtmr1 = ["{11}"]
rtmr2 = ["{12}"]
rtmr3 = ["{13}"]
mr_config_id = ["{03}"]
mr_owner = ["{04}"]
mr_owner_config = ["{05}"]
mr_seam = ["{01}"]
[attributes]
pks = false
kl = false
td_attributes = ["{attributes}"]
xfam = ["e702060000000000"]
mr_service_td = ["{00}"]
[hardware]
ppids = ["{ppid}"]
platform_instance_ids = ["{pii}"]
sgx_types = ["scalable-with-integrity"]
dynamic_platform = false
cached_keys = false
smt = false
[tcb]
min_evaluation_number = 20
rejected_advisories = ["INTEL-SA-00001"]
accepted_advisories = ["INTEL-SA-00002"]
[freshness]
collateral_max_age_hours = 200
evidence_max_age_seconds = 60
[isolation]
min = "bubblewrap"
"""


def everything() -> str:
    text = ALL_TDX
    for name in ("00", "01", "02", "03", "04", "05", "10", "11", "12", "13"):
        text = text.replace(f"{{{name}}}", name * 48)
    return (
        text.replace("{attributes}", attributes(28).hex())
        .replace("{ppid}", hashlib.sha256(bytes.fromhex("11" * 16)).hexdigest())
        .replace("{pii}", hashlib.sha256(bytes.fromhex("22" * 16)).hexdigest())
    )


CONTEXT = Context(isolation="bubblewrap", nonce_made_at=NOW - timedelta(seconds=5))
OUT = TcbStatus.OUT_OF_DATE
BIT = attributes


def test_the_good_evidence_passes_every_check() -> None:
    result = judged(tdx(), policy(everything()), context=CONTEXT)
    assert result.verdict is Verdict.ACCEPTED
    assert not result.admitted
    others = {check.id: check.outcome for check in result.ledger if check.outcome is not Outcome.PASSED}
    assert others == {"policy.dstack.development_image": Outcome.NOT_APPLICABLE}


TDX_TABLE: list[tuple[dict[str, Any], str]] = [
    ({"platform_status": OUT}, "policy.tcb.platform.weak"),
    ({"platform_status": TcbStatus.SW_HARDENING_NEEDED}, "policy.tcb.platform.weak"),
    ({"platform_status": TcbStatus.CONFIGURATION_NEEDED}, "policy.tcb.platform.weak"),
    ({"platform_status": TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED}, "policy.tcb.platform.weak"),
    ({"platform_status": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED}, "policy.tcb.platform.weak"),
    ({"platform_status": TcbStatus.REVOKED}, "policy.tcb.platform.inadmissible"),
    ({"platform_status": TcbStatus.NOT_SUPPORTED}, "policy.tcb.platform.inadmissible"),
    ({"platform_status": "Splendid"}, "policy.tcb.platform.inadmissible"),
    ({"module_status": OUT}, "policy.tcb.module.weak"),
    ({"module_status": TcbStatus.REVOKED}, "policy.tcb.module.inadmissible"),
    ({"module_status": TcbStatus.SW_HARDENING_NEEDED}, "policy.tcb.module.inadmissible"),
    ({"qe_status": OUT}, "policy.tcb.qe.weak"),
    ({"qe_status": TcbStatus.REVOKED}, "policy.tcb.qe.inadmissible"),
    ({"status": TcbStatus.REVOKED}, "policy.tcb.status.inadmissible"),
    ({"status": TcbStatus.NOT_SUPPORTED}, "policy.tcb.status.inadmissible"),
    ({"status": "Splendid"}, "policy.tcb.status.inadmissible"),
    ({"status": TcbStatus.TD_RELAUNCH_ADVISED}, "policy.tcb.status.weak"),
    ({"status": TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED}, "policy.tcb.status.weak"),
    ({"qe_evaluation_number": 21}, "policy.tcb.evaluation_numbers.weak"),
    ({"tcb_evaluation_number": 21}, "policy.tcb.evaluation_numbers.weak"),
    (
        {"tcb_evaluation_number": 19, "qe_evaluation_number": 19},
        "policy.tcb.min_evaluation_number.too_small",
    ),
    ({"advisories": ("INTEL-SA-00003",)}, "policy.tcb.accepted_advisories.not_accepted"),
    ({"ppid": register(9, 16)}, "policy.hardware.ppids.not_listed"),
    ({"ppid": bytes(16)}, "policy.hardware.ppids.unknown"),
    ({"platform_instance_id": register(9, 16)}, "policy.hardware.platform_instance_ids.not_listed"),
    ({"platform_instance_id": None}, "policy.hardware.platform_instance_ids.unknown"),
    ({"sgx_type": SgxType.SCALABLE}, "policy.hardware.sgx_types.not_listed"),
    ({"sgx_type": 9}, "policy.hardware.sgx_types.not_listed"),
    ({"dynamic_platform": True}, "policy.hardware.dynamic_platform.mismatch"),
    ({"dynamic_platform": None}, "policy.hardware.dynamic_platform.unknown"),
    ({"cached_keys": True}, "policy.hardware.cached_keys.mismatch"),
    ({"smt_enabled": True}, "policy.hardware.smt.mismatch"),
    ({"smt_enabled": None}, "policy.hardware.smt.unknown"),
    ({"mr_td": register(9)}, "policy.tdx.mr_td.mismatch"),
    ({"mr_config_id": register(9)}, "policy.tdx.mr_config_id.mismatch"),
    ({"mr_owner": register(9)}, "policy.tdx.mr_owner.mismatch"),
    ({"mr_owner_config": register(9)}, "policy.tdx.mr_owner_config.mismatch"),
    ({"mr_seam": register(9)}, "policy.tdx.mr_seam.mismatch"),
    ({"xfam": (0x602E3).to_bytes(8, "little")}, "policy.attributes.xfam.mismatch"),
    (
        {"collateral_valid_from": NOW - timedelta(hours=201)},
        "policy.freshness.collateral_max_age_hours.too_old",
    ),
]


@pytest.mark.parametrize(("changed", "code"), TDX_TABLE)
def test_one_changed_claim_fails_exactly_one_check(changed: dict[str, Any], code: str) -> None:
    result = judged(tdx(**changed), policy(everything()), context=CONTEXT)
    assert failures(result) == [code]
    assert result.verdict is Verdict.REFUSED


@pytest.mark.parametrize("index", range(4))
def test_each_rtmr_is_compared_with_its_own_values(index: int) -> None:
    registers = list(tdx().rtmrs)
    registers[index] = register(9)
    result = judged(tdx(rtmrs=tuple(registers)), policy(everything()), context=CONTEXT)
    assert failures(result) == [f"policy.tdx.rtmr{index}.mismatch"]


@pytest.mark.parametrize(
    ("bits", "debug", "code"),
    [
        ((28, 0), True, "policy.attributes.debug.enabled"),
        ((28, 4), False, "policy.attributes.debug.enabled"),
        ((28, 7), False, "policy.attributes.debug.enabled"),
        ((), False, "policy.attributes.sept_ve_disable.weak"),
        ((28, 29), False, "policy.attributes.migratable.weak"),
        ((28, 63), False, "policy.attributes.perfmon.weak"),
        ((28, 30), False, "policy.attributes.pks.mismatch"),
        ((28, 31), False, "policy.attributes.kl.mismatch"),
        ((28, 8), False, "policy.attributes.unknown.set"),
        ((28, 61), False, "policy.attributes.unknown.set"),
    ],
)
def test_each_attribute_bit_has_its_own_check(bits: tuple[int, ...], debug: bool, code: str) -> None:
    by = policy("[attributes]\npks = false\nkl = false\n")
    result = judged(tdx(td_attributes=BIT(*bits), debug=debug), by)
    assert failures(result) == [code]


def test_debug_is_seen_even_if_only_the_claim_says_so() -> None:
    assert failures(judged(tdx(debug=True), policy())) == ["policy.attributes.debug.enabled"]


def test_whole_td_attributes_can_be_pinned() -> None:
    by = policy(f'[attributes]\ntd_attributes = ["{BIT(28, 30).hex()}"]')
    assert failures(judged(tdx(), by)) == ["policy.attributes.td_attributes.mismatch"]


@pytest.mark.parametrize("bits", [(28, 16), (28, 27), (28, 62)])
def test_harmless_bits_pass(bits: tuple[int, ...]) -> None:
    assert judged(tdx(td_attributes=BIT(*bits)), policy()).accepted


@pytest.mark.parametrize("bit", [0, 1])
def test_xfam_without_what_every_td_has_is_refused_whatever_is_admitted(bit: int) -> None:
    for features in (0x602E7, 0x602E7 | 1 << 40):
        lacking = (features & ~(1 << bit)).to_bytes(8, "little")
        result = judged(tdx(xfam=lacking), policy(accept='["unknown-attributes"]'))
        assert failures(result) == ["policy.attributes.unknown.cleared"]


def test_unknown_xfam_bits_are_refused() -> None:
    result = judged(tdx(xfam=(0x602E7 | 1 << 40).to_bytes(8, "little")), policy())
    assert failures(result) == ["policy.attributes.unknown.set"]


@pytest.mark.parametrize(
    ("found", "accept", "listed", "code"),
    [
        (register(7), "[]", None, "policy.attributes.mr_service_td.bound"),
        (register(7), '["service-td"]', "08", "policy.attributes.mr_service_td.mismatch"),
        (bytes(48), '["service-td"]', "07", "policy.attributes.mr_service_td.mismatch"),
        (None, '["service-td"]', "07", "policy.attributes.mr_service_td.mismatch"),
        (register(7), '["service-td"]', None, None),
        (register(7), '["service-td"]', "07", None),
        (None, "[]", None, None),
        (None, "[]", "00", None),
    ],
)
def test_service_tds(found: bytes | None, accept: str, listed: str | None, code: str | None) -> None:
    text = f'[attributes]\nmr_service_td = ["{listed * 48}"]' if listed else ""
    result = judged(tdx(mr_service_td=found), policy(text, accept=accept))
    assert failures(result) == ([code] if code else [])
    assert result.admitted == (("service-td",) if found and any(found) and code is None else ())


def test_a_rejected_advisory_refuses_even_where_others_are_fine() -> None:
    by = policy('[tcb]\nrejected_advisories = ["INTEL-DOC-00001", "INTEL-SA-00001"]')
    result = judged(tdx(advisories=("INTEL-SA-00000", "INTEL-SA-00001")), by)
    assert failures(result) == ["policy.tcb.rejected_advisories.rejected"]
    assert judged(tdx(advisories=("INTEL-SA-00000",)), by).accepted


def test_no_advisories_at_all_can_be_demanded() -> None:
    by = policy("[tcb]\naccepted_advisories = []")
    assert failures(judged(tdx(advisories=("INTEL-SA-00000",)), by)) == [
        "policy.tcb.accepted_advisories.not_accepted"
    ]
    assert judged(tdx(), by).accepted


SGX_POLICY = f"""
[sgx]
mr_enclave = ["{"20" * 32}"]
mr_signer = ["{"21" * 32}"]
config_id = ["{"22" * 64}"]
isv_prod_id = [7]
min_isv_svn = 3
min_config_svn = 2
attributes = "{"05" + "00" * 15}"
attributes_mask = "{"ff" + "00" * 15}"
"""


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"mr_enclave": register(9, 32)}, "policy.sgx.mr_enclave.mismatch"),
        ({"mr_signer": register(9, 32)}, "policy.sgx.mr_signer.mismatch"),
        ({"config_id": register(9, 64)}, "policy.sgx.config_id.mismatch"),
        ({"isv_prod_id": 8}, "policy.sgx.isv_prod_id.mismatch"),
        ({"isv_svn": 2}, "policy.sgx.min_isv_svn.too_small"),
        ({"config_svn": 1}, "policy.sgx.min_config_svn.too_small"),
        ({"attributes": (0x07).to_bytes(16, "little")}, "policy.sgx.attributes.mismatch"),
        ({"debug": True}, "policy.attributes.debug.enabled"),
        ({"platform_status": OUT}, "policy.tcb.platform.weak"),
        ({"qe_status": OUT}, "policy.tcb.qe.weak"),
    ],
)
def test_one_changed_claim_of_an_enclave_fails_exactly_one_check(changed: dict[str, Any], code: str) -> None:
    assert judged(sgx(), policy(SGX_POLICY)).accepted
    assert failures(judged(sgx(**changed), policy(SGX_POLICY))) == [code]


def test_bits_outside_the_mask_do_not_count() -> None:
    changed = sgx(attributes=bytes.fromhex("05" + "ff" * 15))
    assert judged(changed, policy(SGX_POLICY)).accepted


ADMITTED: list[tuple[dict[str, Any], list[str]]] = [
    ({"platform_status": TcbStatus.SW_HARDENING_NEEDED}, ["sw-hardening-needed"]),
    ({"platform_status": TcbStatus.CONFIGURATION_NEEDED}, ["configuration-needed"]),
    (
        {"platform_status": TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED},
        ["configuration-needed", "sw-hardening-needed"],
    ),
    ({"platform_status": OUT}, ["out-of-date-platform"]),
    (
        {"platform_status": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED},
        ["configuration-needed", "out-of-date-platform"],
    ),
    ({"module_status": OUT}, ["out-of-date-module"]),
    ({"qe_status": OUT}, ["out-of-date-qe"]),
    ({"qe_evaluation_number": 19}, ["differing-evaluation-numbers"]),
    ({"td_attributes": BIT(28, 0), "debug": True}, ["debug"]),
    ({"td_attributes": BIT(28, 29)}, ["migratable"]),
    ({"td_attributes": BIT()}, ["sept-ve-enabled"]),
    ({"td_attributes": BIT(28, 63)}, ["perfmon"]),
    ({"td_attributes": BIT(28, 9)}, ["unknown-attributes"]),
    ({"mr_service_td": register(7)}, ["service-td"]),
    ({"status": TcbStatus.TD_RELAUNCH_ADVISED}, ["td-relaunch-advised"]),
    (
        {"status": TcbStatus.TD_RELAUNCH_ADVISED, "platform_status": OUT, "module_status": OUT},
        ["td-relaunch-advised"],
    ),
    (
        {
            "status": TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
            "platform_status": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
            "module_status": OUT,
        },
        ["configuration-needed", "td-relaunch-advised"],
    ),
]


@pytest.mark.parametrize(("changed", "words"), ADMITTED)
def test_a_weakness_passes_only_when_every_word_for_it_is_named(
    changed: dict[str, Any], words: list[str]
) -> None:
    quoted = [f'"{word}"' for word in words]
    result = judged(tdx(**changed), policy(accept=f"[{', '.join(quoted)}]"))
    assert result.accepted
    assert sorted(result.admitted) == words
    for word in words:
        assert any(word in sentence for sentence in result.not_proven)
        fewer = [other for other in quoted if other != f'"{word}"']
        assert not judged(tdx(**changed), policy(accept=f"[{', '.join(fewer)}]")).accepted


@pytest.mark.parametrize(
    ("changed", "line", "code"),
    [
        ({"td_attributes": BIT(28, 29)}, "migratable = false", "policy.attributes.migratable.weak"),
        ({"td_attributes": BIT(28)}, "migratable = true", "policy.attributes.migratable.mismatch"),
        ({"td_attributes": BIT()}, "sept_ve_disable = true", "policy.attributes.sept_ve_disable.weak"),
        ({"td_attributes": BIT(28)}, "sept_ve_disable = false", "policy.attributes.sept_ve_disable.mismatch"),
        ({"td_attributes": BIT(28, 63)}, "perfmon = false", "policy.attributes.perfmon.weak"),
        ({"td_attributes": BIT(28)}, "perfmon = true", "policy.attributes.perfmon.mismatch"),
        ({"td_attributes": BIT(28, 0), "debug": True}, "debug = false", "policy.attributes.debug.enabled"),
        ({}, "debug = true", "policy.attributes.debug.mismatch"),
        ({}, "pks = true", "policy.attributes.pks.mismatch"),
    ],
)
def test_a_stated_attribute_narrows_what_accept_admits(changed: dict[str, Any], line: str, code: str) -> None:
    accept = '["migratable", "sept-ve-enabled", "perfmon", "debug"]'
    assert judged(tdx(**changed), policy(accept=accept)).accepted
    assert failures(judged(tdx(**changed), policy(f"[attributes]\n{line}", accept=accept))) == [code]


def test_debug_of_an_enclave_can_be_admitted_narrowed_and_demanded() -> None:
    accept = '["debug"]'
    assert judged(sgx(debug=True), policy(accept=accept)).admitted == ("debug",)
    narrowed = policy("[attributes]\ndebug = false", accept=accept)
    assert failures(judged(sgx(debug=True), narrowed)) == ["policy.attributes.debug.enabled"]
    demanded = policy("[attributes]\ndebug = true", accept=accept)
    assert failures(judged(sgx(), demanded)) == ["policy.attributes.debug.mismatch"]
    assert judged(sgx(debug=True), demanded).accepted


@pytest.mark.parametrize("component", ["platform", "module", "qe"])
@pytest.mark.parametrize(("days", "passes"), [(92, True), (93, True), (91, False), (0, False)])
def test_grace_is_counted_from_the_components_own_date(component: str, days: int, passes: bool) -> None:
    # NOW is 92.5 days after TCB_DATE; the other components' dates would decide otherwise.
    old = {name: TCB_DATE - timedelta(days=1000) for name in ("platform_date", "module_date", "qe_date")}
    changed = {**old, f"{component}_date": TCB_DATE - timedelta(hours=-12), f"{component}_status": OUT}
    by = policy(f"[tcb.grace]\n{component} = {days}", accept=f'["out-of-date-{component}"]')
    result = judged(tdx(**changed), by)
    assert result.accepted is passes
    if not passes:
        assert failures(result) == [f"policy.tcb.{component}.grace_over"]


def test_a_date_at_the_end_of_time_does_not_overflow() -> None:
    by = policy("[tcb.grace]\nplatform = 3650", accept='["out-of-date-platform"]')
    end = datetime(9999, 12, 31, tzinfo=UTC)
    assert judged(tdx(platform_status=OUT, platform_date=end), by).accepted


def test_the_end_of_a_grace_period_is_named() -> None:
    by = policy("[tcb.grace]\nqe = 10", accept='["out-of-date-qe"]')
    reason = judged(tdx(qe_status=OUT), by).ledger.failed()[0].reason
    assert reason == (
        "The quoting enclave is OutOfDate."
        " Its TCB date is 2026-08-01, and the grace of 10 days ended on 2026-08-11."
    )


def test_grace_needs_a_date() -> None:
    by = policy("[tcb.grace]\nplatform = 3650", accept='["out-of-date-platform"]')
    result = judged(tdx(platform_status=OUT, platform_date=None), by)
    assert failures(result) == ["policy.tcb.platform.grace_over"]


def test_grace_holds_for_out_of_date_with_configuration_too() -> None:
    by = policy("[tcb.grace]\nplatform = 1", accept='["out-of-date-platform", "configuration-needed"]')
    result = judged(tdx(platform_status=TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED), by)
    assert failures(result) == ["policy.tcb.platform.grace_over"]


@pytest.mark.parametrize(
    ("status", "listed", "code"),
    [
        (OUT, '["UpToDate"]', "policy.tcb.platform.not_listed"),
        (TcbStatus.UP_TO_DATE, '["OutOfDate"]', "policy.tcb.platform.not_listed"),
        (OUT, '["OutOfDate"]', None),
    ],
)
def test_a_list_of_statuses_narrows_what_accept_admits(
    status: TcbStatus, listed: str, code: str | None
) -> None:
    by = policy(f"[tcb]\nplatform = {listed}", accept='["out-of-date-platform"]')
    assert failures(judged(tdx(platform_status=status), by)) == ([code] if code else [])


def test_relaunch_does_not_excuse_the_quoting_enclave() -> None:
    by = policy(accept='["td-relaunch-advised"]')
    changed = tdx(status=TcbStatus.TD_RELAUNCH_ADVISED, platform_status=OUT, module_status=OUT, qe_status=OUT)
    assert failures(judged(changed, by)) == ["policy.tcb.qe.weak"]


def test_relaunch_advice_does_not_hide_another_weakness() -> None:
    by = policy(accept='["td-relaunch-advised"]')
    changed = tdx(status=TcbStatus.TD_RELAUNCH_ADVISED, platform_status=TcbStatus.CONFIGURATION_NEEDED)
    assert failures(judged(changed, by)) == ["policy.tcb.platform.weak"]


def test_without_the_word_for_relaunch_the_components_are_judged_by_their_own() -> None:
    by = policy(accept='["out-of-date-platform", "out-of-date-module"]')
    changed = tdx(status=TcbStatus.TD_RELAUNCH_ADVISED, platform_status=OUT, module_status=OUT)
    assert failures(judged(changed, by)) == ["policy.tcb.status.weak"]


def test_relaunch_does_not_excuse_a_revoked_module() -> None:
    by = policy(accept='["td-relaunch-advised"]')
    changed = tdx(status=TcbStatus.TD_RELAUNCH_ADVISED, platform_status=OUT, module_status=TcbStatus.REVOKED)
    assert failures(judged(changed, by)) == ["policy.tcb.module.inadmissible"]


def test_relaunch_advice_is_no_word_for_a_platform_that_is_merely_out_of_date() -> None:
    by = policy(accept='["td-relaunch-advised"]')
    assert failures(judged(tdx(platform_status=OUT), by)) == ["policy.tcb.platform.weak"]


def test_first_generation_tdx_has_no_module_status() -> None:
    result = judged(tdx(module_status=None, module_date=None), policy())
    assert result.accepted
    assert result.ledger["policy.tcb.module"].outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("word", ["Revoked", "NotSupported", "Splendid", ""])
@pytest.mark.parametrize("component", ["platform_status", "module_status", "qe_status", "status"])
def test_no_policy_at_all_admits_revoked_or_unknown(word: str, component: str) -> None:
    every = [f'"{name}"' for name in TDX_WORDS if name != "simulated"]
    by = policy(accept=f"[{', '.join(every)}]", platforms='["tdx"]')
    assert not judged(tdx(**{component: word}), by).accepted


# --- context


@pytest.mark.parametrize(
    ("rung", "least", "code"),
    [
        ("none", "bubblewrap", "policy.isolation.min.too_weak"),
        ("bubblewrap", "gvisor", "policy.isolation.min.too_weak"),
        ("gvisor", "qemu", "policy.isolation.min.too_weak"),
        ("qemu", "firecracker", "policy.isolation.min.too_weak"),
        ("magic\x1b", "none", "policy.isolation.min.too_weak"),
        (None, "none", "policy.isolation.min.unknown"),
        ("none", "none", None),
        ("firecracker", "none", None),
        ("firecracker", "firecracker", None),
        ("qemu", "gvisor", None),
    ],
)
def test_rungs_of_isolation(rung: str | None, least: str, code: str | None) -> None:
    result = judged(tdx(), policy(f'[isolation]\nmin = "{least}"'), context=Context(isolation=rung))
    assert failures(result) == ([code] if code else [])
    assert all(check.reason.isprintable() for check in result.ledger)


@pytest.mark.parametrize(
    ("made", "bound", "code"),
    [
        (None, Outcome.PASSED, "unknown"),
        (NOW - timedelta(seconds=61), Outcome.PASSED, "too_old"),
        (NOW + timedelta(seconds=1), Outcome.PASSED, "too_old"),
        (NOW - timedelta(seconds=1), Outcome.NOT_CHECKED, "unknown"),
        (NOW - timedelta(seconds=60), Outcome.PASSED, None),
        (NOW, Outcome.PASSED, None),
    ],
)
def test_the_age_of_evidence_is_the_age_of_its_nonce(made: Any, bound: Outcome, code: str | None) -> None:
    by = policy("[freshness]\nevidence_max_age_seconds = 60")
    result = judged(evidence(binding=bound), by, context=Context(nonce_made_at=made))
    expected = [f"policy.freshness.evidence_max_age_seconds.{code}"] if code else []
    assert failures(result) == expected


def test_collateral_age_is_counted_to_the_hour() -> None:
    by = policy("[freshness]\ncollateral_max_age_hours = 24")
    assert judged(tdx(collateral_valid_from=NOW - timedelta(hours=24)), by).accepted
    assert not judged(tdx(collateral_valid_from=NOW - timedelta(hours=24, seconds=1)), by).accepted


def test_reasons_name_what_was_found_and_what_was_asked_for() -> None:
    one = policy(f'[tdx]\nmr_td = ["{"09" * 48}"]')
    assert judged(tdx(), one).ledger.failed()[0].reason == f"It is {'02' * 48}; the policy has {'09' * 48}."
    two = policy(f'[tdx]\nmr_td = ["{"09" * 48}", "{"08" * 48}"]')
    assert judged(tdx(), two).ledger.failed()[0].reason == (
        f"It is {'02' * 48}, which is none of the 2 values of the policy."
    )
    by = policy('[tdx]\nmr_td = "reference"')
    assert judged(tdx(), by).ledger.failed()[0].reason.endswith("(given: none at all).")
    other = judged(tdx(), by, references={"rtmr3": frozenset({b""}), "mr_seam": frozenset()})
    assert other.ledger.failed()[0].reason.endswith("(given: mr_seam, rtmr3).")


@pytest.mark.parametrize(
    ("found", "name"),
    [(0, "standard"), (1, "scalable"), (3, "3"), (-1, "-1")],
)
def test_the_sgx_type_that_was_found_is_named(found: int, name: str) -> None:
    by = policy('[hardware]\nsgx_types = ["scalable-with-integrity"]')
    reason = judged(tdx(sgx_type=found), by).ledger.failed()[0].reason
    assert reason == f"The platform's SGX type is {name}; allowed: scalable-with-integrity."


@pytest.mark.parametrize(
    ("count", "tail"),
    [(1, ": INTEL-SA-00000."), (8, "-00007."), (9, "-00007 and 1 more."), (11, "-00007 and 3 more.")],
)
def test_many_advisories_are_shown_as_few(count: int, tail: str) -> None:
    words = tuple(f"INTEL-SA-{index:05}" for index in range(count))
    for text in ("accepted_advisories = []", f"rejected_advisories = {list(words)}"):
        reason = judged(tdx(advisories=words), policy(f"[tcb]\n{text}")).ledger.failed()[0].reason
        assert reason.endswith(tail)


# --- Reference Values


def test_a_reference_accepts_what_was_given_and_nothing_else() -> None:
    by = policy('[tdx]\nmr_td = "reference"')
    good = {"mr_td": frozenset({register(9), tdx().mr_td})}
    assert judged(tdx(), by, references=good).accepted
    assert failures(judged(tdx(), by, references={"mr_td": frozenset({register(9)})})) == [
        "policy.tdx.mr_td.mismatch"
    ]


@pytest.mark.parametrize(
    "references",
    [{}, {"mr_td": frozenset()}, {"mrtd": frozenset({register(2)})}, {"rtmr3": frozenset({b""})}],
)
def test_a_missing_reference_refuses(references: dict[str, frozenset[bytes]]) -> None:
    result = judged(tdx(), policy('[tdx]\nmr_td = "reference"'), references=references)
    assert failures(result) == ["policy.tdx.mr_td.no_reference"]


def test_local_admits_only_this_installations_simulated_machines() -> None:
    local = Policy.shipped("local")
    claims = tdx()
    references = {
        "mr_td": frozenset({claims.mr_td}),
        "mr_config_id": frozenset({claims.mr_config_id}),
        "rtmr3": frozenset({claims.rtmrs[3]}),
    }
    own = Context(installation_roots=frozenset({OWN_ROOT}))
    result = judged(evidence(anchor=SIMULATED), local, references=references, context=own)
    assert result.accepted
    assert result.simulated
    assert result.admitted == ("simulated",)
