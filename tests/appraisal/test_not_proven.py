"""What a result does not establish is said, in whole sentences, and only what is true."""

from __future__ import annotations

from typing import Any

import pytest

from assay.appraisal import Context
from assay.evidence.ledger import Outcome
from support.appraisal_evidence import evidence, judged, policy, register, sgx, tdx
from support.appraisal_logs import CLAIMS, log

BUS = "That nobody tapped the memory bus: physical interposers leave no trace in evidence."
LATER = (
    "Vulnerabilities published after the collateral (2026-10-25): patches are judged by what was known then."
)
RUNG = "What isolates the workload from the agent beside it: nothing here says."
CODE = "What code runs: its measurements are shown, and compared with nothing."
IMAGE = "Which image booted, and that it is a production image: no event log was given."
ALL_TDX = "\n".join(
    f'{name} = ["{value * 48}"]'
    for name, value in (
        ("mr_td", "02"),
        ("rtmr0", "10"),
        ("rtmr1", "11"),
        ("rtmr2", "12"),
        ("rtmr3", "13"),
        ("mr_config_id", "03"),
        ("mr_owner", "04"),
        ("mr_owner_config", "05"),
    )
)


def said(claims: Any, text: str = "", **more: Any) -> tuple[str, ...]:
    return judged(claims, policy(text), **more).not_proven


def test_a_bare_policy_leaves_code_image_and_isolation_open() -> None:
    assert said(tdx()) == (CODE, IMAGE, RUNG, LATER, BUS)
    assert said(sgx()) == (CODE, RUNG, LATER, BUS)


def test_what_is_known_is_not_listed() -> None:
    assert said(tdx(), f"[tdx]\n{ALL_TDX}", context=Context(isolation="none")) == (LATER, BUS)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mr_td", "mr_td (the firmware it started from)"),
        ("rtmr0", "rtmr0 (its virtual machine's shape)"),
        ("rtmr1", "rtmr1 (its boot loader or kernel)"),
        ("rtmr2", "rtmr2 (its command line and initrd)"),
        ("rtmr3", "rtmr3 (what it extended at run time)"),
        ("mr_config_id", "mr_config_id (its configuration)"),
        ("mr_owner", "mr_owner (its owner)"),
        ("mr_owner_config", "mr_owner_config (its owner's configuration)"),
    ],
)
def test_each_register_that_was_not_compared_is_named(name: str, shown: str) -> None:
    rest = "\n".join(line for line in ALL_TDX.splitlines() if not line.startswith(f"{name} "))
    found = said(tdx(), f"[tdx]\n{rest}", context=Context(isolation="none"))
    assert found[0] == f"Shown, and compared with nothing: {shown}."
    assert (IMAGE in found) is (name == "rtmr1")


def test_a_register_that_was_compared_and_differs_is_not_called_compared() -> None:
    wrong = ALL_TDX.replace("02" * 48, "09" * 48)
    assert "mr_td" in said(tdx(), f"[tdx]\n{wrong}")[0]


def test_an_enclave_named_by_signer_is_named() -> None:
    text = f'[sgx]\nmr_signer = ["{"21" * 32}"]\nisv_prod_id = [7]\nmin_isv_svn = 3'
    assert said(sgx(), text) == (RUNG, LATER, BUS)
    assert said(sgx(), f'[sgx]\nmr_enclave = ["{"20" * 32}"]')[0] == (
        "Shown, and compared with nothing: config_id (its configuration)."
    )


def test_a_log_says_for_itself_what_it_does_not_prove() -> None:
    found = said(tdx(), workload_log=log())
    assert "a sentence of the log" in found
    assert IMAGE not in found


def test_a_log_under_a_policy_that_names_the_app_explains_rtmr3() -> None:
    rest = "\n".join(line for line in ALL_TDX.splitlines() if not line.startswith("rtmr3 "))
    named = f'[tdx]\n{rest}\n[dstack]\ncompose_hashes = ["{CLAIMS.compose_hash.hex()}"]'
    assert not [each for each in said(tdx(), named, workload_log=log()) if "rtmr3" in each]
    unnamed = f'[tdx]\n{rest}\n[dstack]\napp_ids = ["{CLAIMS.app_id.hex()}"]'
    assert [each for each in said(tdx(), unnamed, workload_log=log()) if "rtmr3" in each]
    without_mr_td = named.replace(ALL_TDX.splitlines()[0], "")
    assert [each for each in said(tdx(), without_mr_td, workload_log=log()) if "mr_td" in each]


def test_an_open_binding_comes_first() -> None:
    found = judged(evidence(binding=Outcome.NOT_CHECKED), policy()).not_proven
    assert found == ("That it is fresh, or meant for you: said so.", CODE, IMAGE, RUNG, LATER, BUS)


def test_nothing_is_proven_by_evidence_that_is_not_authentic() -> None:
    for outcome in Outcome.FAILED, Outcome.NOT_CHECKED:
        assert judged(evidence(signature=outcome), policy()).not_proven == (
            "Anything: the evidence is not authenticated, and every value shown is only what its bytes say.",
        )


def test_an_admitted_weakness_is_said_with_its_word() -> None:
    found = judged(tdx(mr_service_td=register(7)), policy(accept='["service-td"]')).not_proven
    assert found[0] == (
        "A service TD is bound to the TD and can, for example, migrate it. The policy admits it (service-td)."
    )
