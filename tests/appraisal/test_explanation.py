"""What a policy means, in sentences; and how two differ."""

from __future__ import annotations

import pytest

from assay.appraisal import Policy
from assay.appraisal.explanation import Difference, differences, explain
from assay.appraisal.vocabulary import WEAKNESSES
from support.appraisal_evidence import policy

MACHINE = "Which machine it is: any machine of the platform will do."
RUNG = "What isolates the workload from its agent."
AGE = "How old the collateral is, as long as it is valid."


def test_demands_are_the_titles_of_the_checks() -> None:
    found = explain(Policy.shipped("strict"))
    assert set(found.demands) == {"tdx", "sgx", "snp", "nitro"}
    assert "mr_td holds a value that the Relying Party named" in found.demands["tdx"]
    assert "mr_enclave holds a value that the Relying Party named" in found.demands["sgx"]
    assert found.gate
    assert found.to_json()["demands"]["tdx"] == list(found.demands["tdx"])


def test_strict_demands_every_register_that_a_launch_measures() -> None:
    found = explain(Policy.shipped("strict")).demands
    named = "holds a value that the Relying Party named"
    for platform, register, optional in (
        ("sgx", "mr_signer", False),
        ("snp", "id_key_digest", True),
        ("snp", "author_key_digest", True),
        ("nitro", "pcr2", False),
        ("nitro", "pcr3", True),
        ("nitro", "pcr4", True),
        ("nitro", "pcr8", True),
    ):
        title = f"{register} {named}{', or nothing was measured' if optional else ''}"
        assert title in found[platform]


def test_what_is_admitted_is_said_with_its_meaning() -> None:
    found = explain(policy(accept='["debug"]'))
    assert found.admits == (f"debug: {WEAKNESSES['debug'].meaning}",)
    assert found.to_json()["admits"] == list(found.admits)


@pytest.mark.parametrize(
    ("text", "platforms", "left"),
    [
        ('[tdx]\nmr_td = "reference"', '["tdx"]', "mr_td"),
        ('[tdx]\nrtmr3 = "reference"', '["tdx"]', "rtmr3"),
        ('[sgx]\nmr_enclave = "reference"', '["sgx"]', "mr_enclave"),
        ('[sgx]\nmr_signer = "reference"\nisv_prod_id = [1]\nmin_isv_svn = 1', '["sgx"]', "mr_enclave"),
        ('[sgx]\nconfig_id = "reference"', '["sgx"]', "config_id"),
    ],
)
def test_registers_that_are_not_looked_at_are_left_open(text: str, platforms: str, left: str) -> None:
    without = explain(policy(platforms=platforms)).leaves_open[0]
    along = explain(policy(text, platforms=platforms)).leaves_open[0]
    assert f"{left} (" in without
    assert f"{left} (" not in along


def test_what_else_is_left_open_depends_on_what_is_said() -> None:
    assert explain(policy()).leaves_open[-3:] == (MACHINE, RUNG, AGE)
    said = policy(
        f'[hardware]\nppids = ["{"00" * 32}"]\n[isolation]\nmin = "none"\n'
        "[freshness]\ncollateral_max_age_hours = 1"
    )
    assert not {MACHINE, RUNG, AGE} & set(explain(said).leaves_open)
    other = policy(
        f'[hardware]\nplatform_instance_ids = ["{"00" * 32}"]\n[freshness]\nevidence_max_age_seconds = 1'
    )
    assert set(explain(other).leaves_open[-2:]) == {RUNG, AGE}
    assert AGE not in explain(policy(platforms='["gcp-vtpm"]', accept='["host-tpm"]')).leaves_open
    assert MACHINE in explain(policy("[hardware]\nsmt = false")).leaves_open


def test_the_same_policy_does_not_differ() -> None:
    for name in ("genuine", "strict", "local"):
        document = Policy.shipped(name).document
        assert differences(document, document) == ()


def test_differences_are_named_by_path_and_shown_as_text() -> None:
    first = policy('[tcb]\nmin_evaluation_number = 3\n[tdx]\nmr_td = "reference"', accept='["debug"]')
    second = policy(
        f'[tdx]\nmr_td = ["{"02" * 48}", "{"01" * 48}"]\n[attributes]\nmigratable = false\n'
        '[dstack]\nkey_providers = ["none:", "kms:00"]\n[tcb]\naccepted_advisories = []',
        accept='["perfmon"]',
    )
    assert differences(first.document, second.document) == (
        Difference("accept: debug", "admitted", None),
        Difference("tcb.min_evaluation_number", "3", None),
        Difference("tdx.mr_td", "reference", f"{'01' * 48}, {'02' * 48}"),
        Difference("accept: perfmon", None, "admitted"),
        Difference("tcb.accepted_advisories", None, "none"),
        Difference("attributes.migratable", None, "false"),
        Difference("dstack.key_providers", None, "kms:00, none:"),
    )


@pytest.mark.parametrize(
    ("difference", "effect"),
    [
        (Difference("accept: debug", None, "admitted"), "laxer"),
        (Difference("accept: debug", "admitted", None), "stricter"),
        (Difference("tdx.mr_td", None, "x"), "stricter"),
        (Difference("snp.min_tcb.turin.snp", None, "1"), "different"),
        (Difference("snp.min_tcb.turin.snp", "1", None), "different"),
        (Difference("snp.min_launch_tcb.turin.snp", None, "1"), "stricter"),
        (Difference("tdx.mr_td", "x", None), "laxer"),
        (Difference("tdx.mr_td", "x", "y"), "different"),
        (Difference("name", None, "x"), "different"),
        (Difference("platforms", "tdx", "sgx"), "different"),
        (Difference("simulated", None, "only"), "different"),
    ],
)
def test_effects(difference: Difference, effect: str) -> None:
    assert difference.effect == effect
    assert difference.to_json()["effect"] == effect
    assert difference.to_json()["path"] == difference.path


def test_the_order_of_a_list_does_not_count() -> None:
    one = policy(f'[hardware]\nppids = ["{"01" * 32}", "{"02" * 32}"]')
    two = policy(f'[hardware]\nppids = ["{"02" * 32}", "{"01" * 32}"]')
    assert differences(one.document, two.document) == ()


def test_both_are_whole_as_json() -> None:
    found = explain(policy(platforms='["sgx"]'))
    assert found.to_json() == {
        "demands": {"sgx": list(found.demands["sgx"])},
        "admits": [],
        "leaves_open": list(found.leaves_open),
        "gate": False,
    }
    assert Difference("tcb.qe", "a", "b").to_json() == {
        "path": "tcb.qe",
        "before": "a",
        "after": "b",
        "effect": "different",
    }
