"""From documents to a status: which level, how components merge, when a relaunch is advised."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.dcap.documents import IsvLevel, ModuleIdentity, PlatformLevel, Standing, TcbInfo
from assay.evidence.dcap.levels import (
    UNMATCHED,
    earliest,
    isv_level,
    level_of,
    merge,
    module_level,
    platform_level,
    relaunch,
)
from assay.evidence.dcap.pck import PckExtension
from assay.evidence.dcap.tcb import SgxType, TcbStatus
from assay.evidence.facts import Window
from support.dcap_scenes import INTEL, NOW, judge, scene

S = TcbStatus
DATE = datetime(2025, 1, 1, tzinfo=UTC)


def standing(status="UpToDate", *advisories) -> Standing:
    return Standing(status, DATE, advisories)


def padded(*head) -> tuple[int, ...]:
    return head + (0,) * (16 - len(head))


def pck(*components, pce=10) -> PckExtension:
    return PckExtension(
        bytes(16), padded(*components), pce, bytes(16), bytes(2), bytes(6), SgxType(1), None, None, None, None
    )


def info(*levels, modules=()) -> TcbInfo:
    return TcbInfo(
        "TDX",
        3,
        Window(DATE, DATE),
        bytes(6),
        bytes(2),
        1,
        levels,
        {module.version: module for module in modules},
    )


def level(components, pce=10, tdx=None, status="UpToDate") -> PlatformLevel:
    return PlatformLevel(padded(*components), pce, None if tdx is None else padded(*tdx), standing(status))


def module(version, *levels) -> ModuleIdentity:
    return ModuleIdentity(
        version,
        bytes(48),
        bytes(8),
        bytes(8),
        tuple(IsvLevel(svn, standing(status)) for svn, status in levels),
    )


# --- Selection


def test_the_newest_level_that_is_reached():
    document = info(level((9,)), level((8,), status="OutOfDate"), level((7,), status="Revoked"))
    for svn, expected in (
        (10, "UpToDate"),
        (9, "UpToDate"),
        (8, "OutOfDate"),
        (7, "Revoked"),
        (6, "NotSupported"),
    ):
        assert platform_level(document, pck(svn), None)[0].status == expected


@pytest.mark.parametrize("index", range(16))
def test_every_component_counts(index):
    needed = [0] * 16
    needed[index] = 5
    document = info(PlatformLevel(tuple(needed), 10, None, standing()))
    enough, short = [0] * 16, [9] * 16
    enough[index], short[index] = 5, 4
    assert platform_level(document, pck(*enough), None)[0].status == "UpToDate"
    assert platform_level(document, pck(*short), None)[0] is UNMATCHED


def test_the_pce_counts():
    document = info(level((), pce=11))
    assert platform_level(document, pck(pce=11), None)[0].status == "UpToDate"
    assert platform_level(document, pck(pce=10), None)[0] is UNMATCHED


@pytest.mark.parametrize("index", range(16))
@pytest.mark.parametrize("versioned", [False, True])
def test_every_tdx_component_counts_but_those_of_a_versioned_module(index, versioned):
    svns = [9] * 16
    svns[1] = 1 if versioned else 0
    needed = [0] * 16
    needed[index] = 10
    document = info(PlatformLevel(padded(), 10, tuple(needed), standing()))
    found, sgx = platform_level(document, pck(), bytes(svns))
    assert (found.status == "UpToDate") == (versioned and index < 2)
    assert sgx.status == "UpToDate"


def test_the_level_of_the_sgx_part_alone():
    document = info(
        level((9,), tdx=(0, 0, 9)),
        level((8,), tdx=(0, 0, 5), status="SWHardeningNeeded"),
        level((7,), tdx=(0, 0, 3), status="OutOfDate"),
    )
    found, sgx = platform_level(document, pck(8), bytes(padded(0, 1, 4)))
    assert (found.status, sgx.status) == ("OutOfDate", "SWHardeningNeeded")
    found, sgx = platform_level(document, pck(8), bytes(padded(0, 1, 2)))
    assert (found, sgx.status) == (UNMATCHED, "SWHardeningNeeded")
    assert platform_level(document, pck(1), bytes(16)) == (UNMATCHED, UNMATCHED)
    assert platform_level(info(level((1,))), pck(1), bytes(16))[0] is UNMATCHED


def test_levels_of_enclaves_and_modules():
    levels = (IsvLevel(8, standing()), IsvLevel(6, standing("OutOfDate", "A")))
    assert isv_level(levels, 9).status == "UpToDate"
    assert isv_level(levels, 8).status == "UpToDate"
    assert isv_level(levels, 7).advisories == ("A",)
    assert isv_level(levels, 7).date == DATE
    assert isv_level(levels, 5) is UNMATCHED
    assert module_level(module(0), bytes(16)) is None
    assert module_level(module(1, (4, "UpToDate")), b"\x04\x01").status == "UpToDate"
    assert module_level(module(1, (4, "UpToDate")), b"\x03\x01") is UNMATCHED
    assert level_of(None) is UNMATCHED


# --- Merge

SIGNED = [s for s in S if not s.startswith("TDRelaunch") and s is not S.NOT_SUPPORTED]
TABLE = {
    (S.UP_TO_DATE, S.OUT_OF_DATE): S.OUT_OF_DATE,
    (S.SW_HARDENING_NEEDED, S.OUT_OF_DATE): S.OUT_OF_DATE,
    (S.CONFIGURATION_NEEDED, S.OUT_OF_DATE): S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    (S.CONFIGURATION_AND_SW_HARDENING_NEEDED, S.OUT_OF_DATE): S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    (S.OUT_OF_DATE_CONFIGURATION_NEEDED, S.OUT_OF_DATE): S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    (S.OUT_OF_DATE, S.UP_TO_DATE): S.OUT_OF_DATE,
    (S.UP_TO_DATE, S.CONFIGURATION_NEEDED): S.CONFIGURATION_NEEDED,
    (S.SW_HARDENING_NEEDED, S.CONFIGURATION_NEEDED): S.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    (S.UP_TO_DATE, S.SW_HARDENING_NEEDED): S.SW_HARDENING_NEEDED,
    (S.TD_RELAUNCH_ADVISED, S.UP_TO_DATE): S.TD_RELAUNCH_ADVISED,
    (S.TD_RELAUNCH_ADVISED, S.SW_HARDENING_NEEDED): S.TD_RELAUNCH_ADVISED,
    (S.TD_RELAUNCH_ADVISED, S.CONFIGURATION_NEEDED): S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    (S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED, S.UP_TO_DATE): S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    (S.TD_RELAUNCH_ADVISED, S.OUT_OF_DATE): S.OUT_OF_DATE,
    (S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED, S.OUT_OF_DATE): S.OUT_OF_DATE_CONFIGURATION_NEEDED,
    (S.NOT_SUPPORTED, S.OUT_OF_DATE): S.NOT_SUPPORTED,
    (S.NOT_SUPPORTED, S.UP_TO_DATE): S.NOT_SUPPORTED,
    (S.REVOKED, S.NOT_SUPPORTED): S.REVOKED,
    (S.REVOKED, S.UP_TO_DATE): S.REVOKED,
}


@pytest.mark.parametrize(("pair", "expected"), TABLE.items(), ids=str)
def test_merges(pair, expected):
    assert merge(*pair) is expected
    assert merge(*reversed(pair)) is expected


@given(st.sampled_from(S), st.sampled_from(S), st.sampled_from(S))
def test_merging_forgets_no_weakness_whatever_the_order(a, b, c):
    assert merge(a, a) is a
    assert merge(a, b) is merge(b, a)
    assert merge(merge(a, b), c) is merge(a, merge(b, c))
    if S.UP_TO_DATE not in (a, b):
        assert merge(a, b) is not S.UP_TO_DATE


# --- Relaunch

NEWEST = level((9,), tdx=(5, 0, 9))
MODULES = (module(1, (13, "UpToDate"), (6, "OutOfDate")), module(3, (7, "UpToDate")))


def advised(svns_2, *, sgx=S.UP_TO_DATE, tdx=S.OUT_OF_DATE, of=S.OUT_OF_DATE, qe=S.UP_TO_DATE, document=None):
    document = document or info(NEWEST, level((8,), tdx=(5, 0, 8)), modules=MODULES)
    return relaunch(document, sgx=sgx, tdx=tdx, module=of, qe=qe, tee_tcb_svn_2=bytes(padded(*svns_2)))


@pytest.mark.parametrize(
    ("svns_2", "expected"),
    [
        ((13, 1, 9), S.TD_RELAUNCH_ADVISED),
        ((14, 1, 10), S.TD_RELAUNCH_ADVISED),
        ((12, 1, 9), S.OUT_OF_DATE),
        ((13, 1, 8), S.OUT_OF_DATE),
        ((7, 3, 9), S.TD_RELAUNCH_ADVISED),
        ((6, 3, 9), S.OUT_OF_DATE),
        ((99, 5, 9), S.OUT_OF_DATE),
        ((5, 0, 9), S.TD_RELAUNCH_ADVISED),
        ((4, 0, 9), S.OUT_OF_DATE),
        ((5, 0, 8), S.OUT_OF_DATE),
    ],
)
def test_what_runs_now_must_be_the_newest(svns_2, expected):
    assert advised(svns_2) is expected


CURRENT = {
    S.UP_TO_DATE,
    S.SW_HARDENING_NEEDED,
    S.CONFIGURATION_NEEDED,
    S.CONFIGURATION_AND_SW_HARDENING_NEEDED,
}


@pytest.mark.parametrize("status", S)
def test_each_part_must_stand_as_the_rule_says(status):
    current = (13, 1, 9)
    configuration = "Configuration" in status
    advice = S.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED if configuration else S.TD_RELAUNCH_ADVISED
    assert advised(current, qe=status) is (S.TD_RELAUNCH_ADVISED if status in CURRENT else S.OUT_OF_DATE)
    assert advised(current, sgx=status) is (advice if status in CURRENT else S.OUT_OF_DATE)
    assert advised(current, of=status) is (
        S.TD_RELAUNCH_ADVISED if status is S.OUT_OF_DATE else S.OUT_OF_DATE
    )
    outdated = status in (S.OUT_OF_DATE, S.OUT_OF_DATE_CONFIGURATION_NEEDED)
    assert advised(current, tdx=status) is (advice if outdated else status)


def test_a_document_without_tdx_components_advises_nothing():
    assert advised((13, 1, 9), document=info(level((9,)), modules=MODULES)) is S.OUT_OF_DATE


def test_the_whole_is_as_old_as_its_oldest_part():
    later = datetime(2026, 1, 1, tzinfo=UTC)
    for order in itertools.permutations((DATE, later, later)):
        assert earliest(*order) == DATE
    assert earliest(DATE, None) is None
    assert earliest(None, None, None) is None
    assert earliest(later) == later


# --- Through a whole verification


def claims(stage):
    result = judge(stage.finish())
    assert result.authentic, result.ledger.unmet()
    return result.claims.tcb


def test_a_current_platform():
    tcb = claims(scene())
    assert (tcb.status, tcb.platform_status, tcb.module_status, tcb.qe_status) == ("UpToDate",) * 4
    assert tcb.advisories == ()
    assert tcb.effective_date == min(tcb.platform_date, tcb.module_date, tcb.qe_date)
    assert tcb.collateral_valid_from <= NOW <= tcb.collateral_valid_until
    assert (tcb.tcb_evaluation_number, tcb.qe_evaluation_number) == (21, 21)
    assert tcb.fmspc.hex() == "00806f050000"
    assert tcb.sgx_type is SgxType.SCALABLE
    machine = scene().machine
    assert (tcb.ppid, tcb.pce_id) == (machine.extension.ppid, machine.extension.pce_id)
    assert tcb.platform_instance_id == machine.extension.platform_instance_id
    assert (tcb.dynamic_platform, tcb.cached_keys, tcb.smt_enabled) == (True, True, True)


def test_an_enclave_has_no_module():
    tcb = claims(scene("sgx", 3))
    assert tcb.module_status is None
    assert tcb.module_date is None
    assert tcb.effective_date == min(tcb.platform_date, tcb.qe_date)


def test_the_module_drags_the_whole_down_and_dates_it():
    stage = scene()
    for identity in stage.collateral.tcb_info["tdxModuleIdentities"]:
        identity["tcbLevels"][0] |= {
            "tcbStatus": "OutOfDate",
            "tcbDate": "2020-01-01T00:00:00Z",
            "advisoryIDs": ["INTEL-SA-2", "INTEL-SA-1"],
        }
    tcb = claims(stage)
    assert (tcb.status, tcb.platform_status, tcb.module_status) == ("OutOfDate", "UpToDate", "OutOfDate")
    assert tcb.effective_date == tcb.module_date == datetime(2020, 1, 1, tzinfo=UTC)
    assert tcb.advisories == ("INTEL-SA-1", "INTEL-SA-2")
    assert tcb.module_advisories == ("INTEL-SA-2", "INTEL-SA-1")


@pytest.mark.parametrize("kind", [("tdx", 4), ("sgx", 3)])
def test_the_enclave_drags_the_whole_down_and_dates_it(kind):
    stage = scene(*kind)
    stage.collateral.qe_identity["tcbLevels"][0] |= {
        "tcbStatus": "Revoked",
        "tcbDate": "2019-01-01T00:00:00Z",
        "advisoryIDs": ["INTEL-SA-3"],
    }
    tcb = claims(stage)
    assert (tcb.status, tcb.qe_status) == ("Revoked", "Revoked")
    assert tcb.effective_date == tcb.qe_date == datetime(2019, 1, 1, tzinfo=UTC)
    assert tcb.qe_advisories == tcb.advisories == ("INTEL-SA-3",)


@pytest.mark.parametrize("part", ["platform", "module", "enclave"])
def test_a_part_that_matches_no_level_leaves_the_whole_without_a_date(part):
    stage = scene()
    if part == "platform":
        for entry in stage.collateral.tcb_info["tcbLevels"]:
            entry["tcb"]["pcesvn"] = 99
    elif part == "module":
        for identity in stage.collateral.tcb_info["tdxModuleIdentities"]:
            for entry in identity["tcbLevels"]:
                entry["tcb"]["isvsvn"] = 99
    else:
        for entry in stage.collateral.qe_identity["tcbLevels"]:
            entry["tcb"]["isvsvn"] = 99
    tcb = claims(stage)
    assert tcb.status is S.NOT_SUPPORTED
    assert tcb.effective_date is None
    found = {"platform": tcb.platform_status, "module": tcb.module_status, "enclave": tcb.qe_status}
    assert [name for name, status in found.items() if status is S.NOT_SUPPORTED] == [part]


def test_the_base_module_has_no_level_of_its_own():
    stage = scene()
    stage.quote_from(INTEL.machine("base", module_major=0))
    tcb = claims(stage)
    assert tcb.module_status is None
    assert tcb.status == "UpToDate"


def test_levels_are_sorted_here():
    stage = scene()
    stage.collateral.tcb_info["tcbLevels"].reverse()
    stage.collateral.qe_identity["tcbLevels"].reverse()
    for identity in stage.collateral.tcb_info["tdxModuleIdentities"]:
        identity["tcbLevels"].reverse()
    assert claims(stage).status == "UpToDate"


def test_the_pce_orders_levels_with_equal_components():
    stage = scene("sgx", 3)
    first = stage.collateral.tcb_info["tcbLevels"][0]
    older = {**first, "tcb": {**first["tcb"], "pcesvn": 1}, "tcbStatus": "OutOfDate"}
    stage.collateral.tcb_info["tcbLevels"].insert(0, older)
    assert claims(stage).status == "UpToDate"


def test_tdx_components_order_levels_with_equal_others():
    stage = scene()
    first = stage.collateral.tcb_info["tcbLevels"][0]
    components = [{"svn": 0}] * 16
    older = {**first, "tcb": {**first["tcb"], "tdxtcbcomponents": components}, "tcbStatus": "OutOfDate"}
    stage.collateral.tcb_info["tcbLevels"].insert(0, older)
    assert claims(stage).status == "UpToDate"


def test_module_names_are_read_in_either_case():
    stage = scene()
    for identity in stage.collateral.tcb_info["tdxModuleIdentities"]:
        identity["id"] = identity["id"].lower()
    assert claims(stage).module_status == "UpToDate"


def test_old_tcb_info_of_sgx():
    stage = scene("sgx", 3)
    stage.collateral.tcb_info = INTEL.collateral_draft(NOW, platform="sgx", version=2).tcb_info
    assert claims(stage).status == "UpToDate"
    stage.collateral.tcb_info["id"] = "SGX"
    assert claims(stage).status == "UpToDate"


def test_processor_certificates_say_less():
    stage = scene("sgx", 3)
    stage.quote_from(INTEL.machine("single", ca="processor"))
    stage.collateral = INTEL.collateral_draft(NOW, platform="sgx", ca="processor")
    tcb = claims(stage)
    assert tcb.platform_instance_id is None
    assert (tcb.dynamic_platform, tcb.cached_keys, tcb.smt_enabled) == (None, None, None)


def test_relaunch_is_advised_through_a_whole_verification():
    stage = scene("tdx", 5)
    stage.quote_from(INTEL.machine("updated", launched_under="2025-05-14"))
    tcb = claims(stage)
    assert tcb.status == "TDRelaunchAdvised"
    assert tcb.module_status == "OutOfDate"
    stage = scene("tdx", 4)
    stage.quote_from(INTEL.machine("updated", launched_under="2025-05-14"))
    assert claims(stage).status == "OutOfDate"
