"""A policy written from evidence accepts it, admits only its weaknesses, and explains each value."""

from __future__ import annotations

import hashlib
import os
import tomllib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.appraisal import Context, Policy
from assay.appraisal.draft import draft
from assay.appraisal.vocabulary import WEAKNESSES
from assay.errors import EvidenceError, PolicyError
from assay.evidence.dcap.tcb import TcbStatus
from assay.evidence.ledger import Outcome
from support.appraisal_evidence import (
    FOREIGN,
    NOW,
    OWN_ROOT,
    SIMULATED,
    TCB_DATE,
    attributes,
    evidence,
    judged,
    register,
    sgx,
    tdx,
)
from support.appraisal_logs import CLAIMS, IMAGE, log

OUT = TcbStatus.OUT_OF_DATE
OWN = Context(installation_roots=frozenset({OWN_ROOT}))


def drafted(claims: Any, *, anchor: Any = None, context: Context = OWN, workload_log: Any = None) -> str:
    made = evidence(claims) if anchor is None else evidence(claims, anchor=anchor)
    return draft(made, name="mine", source="a file", now=NOW, context=context, workload_log=workload_log)


def said(claims: Any, **more: Any) -> dict[str, Any]:
    return tomllib.loads(drafted(claims, **more))


def test_the_draft_of_good_evidence_says_what_it_shows() -> None:
    assert said(tdx()) == {
        "version": 1,
        "name": "mine",
        "platforms": ["tdx"],
        "accept": [],
        "tcb": {
            "platform": ["UpToDate"],
            "module": ["UpToDate"],
            "qe": ["UpToDate"],
            "min_evaluation_number": 20,
            "accepted_advisories": [],
        },
        "hardware": {"sgx_types": ["scalable-with-integrity"]},
        "attributes": {
            "debug": False,
            "sept_ve_disable": True,
            "migratable": False,
            "perfmon": False,
            "pks": False,
            "kl": False,
            "mr_service_td": ["00" * 48],
        },
        "tdx": {
            "mr_td": ["02" * 48],
            "rtmr0": ["10" * 48],
            "rtmr1": ["11" * 48],
            "rtmr2": ["12" * 48],
            "rtmr3": ["13" * 48],
            "mr_config_id": ["03" * 48],
            "mr_owner": ["04" * 48],
            "mr_owner_config": ["05" * 48],
        },
    }


def test_the_draft_of_an_enclave_names_the_enclave() -> None:
    found = said(sgx(advisories=("INTEL-SA-00001", "INTEL-SA-00002")))
    assert found["platforms"] == ["sgx"]
    assert found["sgx"] == {"mr_enclave": ["20" * 32], "config_id": ["22" * 64]}
    assert found["attributes"] == {"debug": False}
    assert "module" not in found["tcb"]
    assert found["tcb"]["accepted_advisories"] == ["INTEL-SA-00001", "INTEL-SA-00002"]
    text = drafted(sgx())
    for line in ("# isv_prod_id = [7]", "# min_isv_svn = 3", f'# mr_signer = ["{"21" * 32}"]'):
        assert line in text.splitlines()


def test_the_signer_lines_can_replace_the_enclave() -> None:
    text = drafted(sgx()).replace(f'mr_enclave = ["{"20" * 32}"]\n', "")
    for key in ("mr_signer", "isv_prod_id", "min_isv_svn"):
        text = text.replace(f"# {key} = ", f"{key} = ")
    by = Policy.load(text.encode(), name="signer")
    assert judged(sgx(mr_enclave=register(9, 32), isv_svn=4), by).accepted
    assert not judged(sgx(isv_svn=2), by).accepted


def test_the_machine_lines_can_be_uncommented() -> None:
    text = (
        drafted(tdx()).replace("# ppids", "ppids").replace("# platform_instance_ids", "platform_instance_ids")
    )
    text = text.replace("# mr_seam", "mr_seam")
    by = Policy.load(text.encode(), name="machine")
    assert judged(tdx(), by).accepted
    assert hashlib.sha256(tdx().tcb.ppid).hexdigest() in text
    for changed in (
        {"ppid": register(1, 16)},
        {"platform_instance_id": register(1, 16)},
        {"mr_seam": register(9)},
    ):
        assert not judged(tdx(**changed), by).accepted
    concealed = drafted(tdx(ppid=bytes(16), platform_instance_id=None))
    assert "ppids = " not in concealed
    assert "platform_instance_ids" not in concealed


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"platform_status": OUT}, ["out-of-date-platform"]),
        ({"module_status": OUT, "qe_status": OUT}, ["out-of-date-module", "out-of-date-qe"]),
        ({"td_attributes": attributes(28, 63, 29)}, ["migratable", "perfmon"]),
        ({"mr_service_td": register(7)}, ["service-td"]),
        ({"qe_evaluation_number": 19}, ["differing-evaluation-numbers"]),
        (
            {"status": TcbStatus.TD_RELAUNCH_ADVISED, "platform_status": OUT, "module_status": OUT},
            ["td-relaunch-advised"],
        ),
    ],
)
def test_each_weakness_is_admitted_with_its_sentence(changed: dict[str, Any], words: list[str]) -> None:
    text = drafted(tdx(**changed))
    assert tomllib.loads(text)["accept"] == words
    for word in words:
        assert f'  "{word}", # {WEAKNESSES[word].meaning}' in text.splitlines()


def test_grace_ends_a_month_after_the_day_of_writing() -> None:
    found = said(tdx(platform_status=OUT, qe_status=OUT, qe_date=NOW + timedelta(days=3)))
    days = (NOW - TCB_DATE).days + 30
    assert found["tcb"]["grace"] == {"platform": days, "qe": 30}
    by = Policy.load(drafted(tdx(platform_status=OUT)).encode(), name="mine")
    assert judged(tdx(platform_status=OUT), by, now=TCB_DATE + timedelta(days=days)).accepted
    assert not judged(tdx(platform_status=OUT), by, now=TCB_DATE + timedelta(days=days + 1)).accepted


def test_a_first_generation_td_says_nothing_of_module_and_service_td() -> None:
    found = said(tdx(module_status=None, module_date=None, mr_service_td=None))
    assert "module" not in found["tcb"]
    assert "mr_service_td" not in found["attributes"]


def test_an_evaluation_number_of_zero_is_left_out() -> None:
    found = said(tdx(tcb_evaluation_number=0, qe_evaluation_number=0))
    assert "min_evaluation_number" not in found["tcb"]


def test_a_dstack_log_pins_the_app() -> None:
    image = replace(IMAGE, os_image_hash=None)
    found = said(tdx(), workload_log=log(replace(CLAIMS, image=image)))
    assert found["dstack"] == {
        "compose_hashes": ["0c" * 32],
        "app_ids": ["0a" * 20],
        "key_providers": ["kms:3059"],
    }
    assert "rtmr3" not in found["tdx"]
    assert said(tdx(), workload_log=log())["dstack"]["os_image_hashes"] == ["0e" * 32]
    assert f'# rtmr3 = ["{"13" * 48}"]' in drafted(tdx(), workload_log=log())


def test_a_log_that_is_not_authentic_or_not_dstacks_pins_nothing() -> None:
    for made in log(CLAIMS, Outcome.FAILED), log(object()):
        assert "dstack" not in said(tdx(), workload_log=made)
    assert "rtmr3" in said(tdx(), workload_log=log(CLAIMS, Outcome.FAILED))["tdx"]


def test_simulated_evidence_makes_a_policy_for_this_installation() -> None:
    found = said(tdx(), anchor=SIMULATED)
    assert (found["simulated"], found["accept"]) == ("only", ["simulated"])


@pytest.mark.parametrize(("anchor", "context"), [(FOREIGN, OWN), (SIMULATED, Context())])
def test_simulated_evidence_of_others_makes_none(anchor: Any, context: Context) -> None:
    with pytest.raises(PolicyError) as caught:
        drafted(tdx(), anchor=anchor, context=context)
    assert caught.value.code == "policy.draft.inadmissible"


def test_evidence_that_no_policy_may_accept_makes_none() -> None:
    with pytest.raises(PolicyError) as caught:
        drafted(tdx(platform_status=TcbStatus.REVOKED))
    assert caught.value.code == "policy.draft.inadmissible"


def test_evidence_that_is_not_authentic_makes_none() -> None:
    with pytest.raises(EvidenceError) as caught:
        draft(
            evidence(signature=Outcome.NOT_CHECKED),
            name="mine",
            source="a file",
            now=NOW,
            context=OWN,
            workload_log=None,
        )
    assert caught.value.code == "evidence.claims.unauthenticated"


def test_each_register_is_explained_above_its_value() -> None:
    lines = drafted(tdx()).splitlines()
    for name in ("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config"):
        at = next(index for index, line in enumerate(lines) if line.startswith(f"{name} = "))
        assert lines[at - 1].startswith(f"# {name}: you trust ")
    assert lines[0] == "# Written from a file, verified at 2026-11-01 12:00 UTC."


STATUSES = st.sampled_from(
    [status for status in TcbStatus if status.value not in ("Revoked", "NotSupported")][:6]
)
CLAIMS_STRATEGY = st.fixed_dictionaries(
    {},
    optional={
        "platform_status": STATUSES,
        "module_status": st.sampled_from([TcbStatus.UP_TO_DATE, OUT, None]),
        "qe_status": st.sampled_from([TcbStatus.UP_TO_DATE, OUT]),
        "status": st.sampled_from([TcbStatus.UP_TO_DATE, TcbStatus.TD_RELAUNCH_ADVISED, OUT]),
        "tcb_evaluation_number": st.integers(0, 30),
        "advisories": st.sampled_from([(), ("INTEL-SA-00001",), ("A" * 64,)]),
        "td_attributes": st.lists(st.integers(0, 63), max_size=4).map(lambda bits: attributes(*set(bits))),
        # What every TD has; nothing admits evidence of one without.
        "xfam": st.integers(0, 2**64 - 1).map(lambda bits: (bits | 3).to_bytes(8, "little")),
        "mr_service_td": st.sampled_from([None, bytes(48), register(7)]),
        "debug": st.booleans(),
        "mr_td": st.binary(min_size=48, max_size=48),
        "ppid": st.sampled_from([bytes(16), register(3, 16)]),
        "smt_enabled": st.sampled_from([None, True, False]),
    },
)


@settings(max_examples=120, deadline=None)
@given(CLAIMS_STRATEGY, st.booleans())
def test_a_draft_accepts_its_own_evidence_and_each_word_is_needed(
    changed: dict[str, Any], simulated: bool
) -> None:
    made = evidence(tdx(**changed), **({"anchor": SIMULATED} if simulated else {}))
    text = draft(made, name="mine", source="a file", now=NOW, context=OWN, workload_log=None)
    by = Policy.load(text.encode(), name="mine")
    result = judged(made, by, context=OWN)
    assert result.accepted, [check for check in result.ledger if check.code]
    words = tomllib.loads(text)["accept"]
    assert set(words) == set(result.admitted)
    assert by.gate
    for word in words:
        fewer = text.replace(f'  "{word}", #', "  #")
        try:
            weaker = Policy.load(fewer.encode(), name="fewer")
        except PolicyError:
            continue
        assert not judged(made, weaker, context=OWN).accepted


GOLDEN = Path(__file__).parent / "drafts"
WEAK_TDX = tdx(
    platform_status=OUT,
    advisories=("INTEL-SA-00001",),
    td_attributes=attributes(0, 28, 29),
    debug=True,
    mr_service_td=register(7),
)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("tdx", lambda: drafted(tdx())),
        ("tdx-weak", lambda: drafted(WEAK_TDX)),
        ("tdx-simulated", lambda: drafted(tdx(ppid=bytes(16)), anchor=SIMULATED)),
        ("tdx-dstack", lambda: drafted(tdx(), workload_log=log())),
        ("sgx", lambda: drafted(sgx())),
    ],
)
def test_drafts_read_as_they_always_did(name: str, made: Any) -> None:
    path = GOLDEN / f"{name}.toml"
    text = made()
    if os.environ.get("REWRITE_DRAFTS"):
        path.write_text(text)
    assert text == path.read_text()
