"""Rules over the Claims of a dstack event log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from assay.appraisal import Verdict
from assay.evidence.dstack.key_provider import KeyProvider
from assay.evidence.ledger import Outcome
from support.appraisal_evidence import TDX, failures, judged, policy, sgx
from support.appraisal_logs import CLAIMS, IMAGE, log

ALL = f"""
[dstack]
compose_hashes = ["{"0c" * 32}"]
app_ids = ["{"0a" * 20}"]
os_image_hashes = ["{"0e" * 32}"]
key_providers = ["kms:3059", "none:"]
"""


def test_what_the_policy_names_passes() -> None:
    result = judged(TDX, policy(ALL), workload_log=log())
    assert result.accepted
    assert result.ledger["log.replay"].outcome is Outcome.PASSED
    assert "a sentence of the log" in result.not_proven


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"compose_hash": bytes(32)}, "policy.dstack.compose_hashes.mismatch"),
        ({"app_id": bytes(20)}, "policy.dstack.app_ids.mismatch"),
        ({"image": replace(IMAGE, os_image_hash=bytes(32))}, "policy.dstack.os_image_hashes.mismatch"),
        ({"image": replace(IMAGE, os_image_hash=None)}, "policy.dstack.os_image_hashes.unproven"),
        (
            {"image": replace(IMAGE, os_image_hash=None, key_server_hash=bytes.fromhex("0e" * 32))},
            "policy.dstack.os_image_hashes.unproven",
        ),
        ({"key_provider": KeyProvider("kms", bytes.fromhex("3058"))}, "policy.dstack.key_providers.mismatch"),
        ({"key_provider": KeyProvider("tpm", b"")}, "policy.dstack.key_providers.mismatch"),
    ],
)
def test_one_changed_claim_fails_exactly_one_check(changed: dict[str, Any], code: str) -> None:
    result = judged(TDX, policy(ALL), workload_log=log(replace(CLAIMS, **changed)))
    assert failures(result) == [code]


@pytest.mark.parametrize(
    ("is_dev", "name", "development"),
    [
        (True, None, True),
        (True, "dstack-0.5.9", True),
        (False, "dstack-dev-0.5.9", False),
        (None, "dstack-dev-0.5.9-de9c74f0", True),
        (None, "dstack-nvidia-dev-0.5.4", True),
        (None, "dstack-dev", True),
        (None, "dstack-0.5.9", False),
        (None, "device", False),
        (None, None, False),
    ],
)
def test_development_images_are_refused_unless_named(
    is_dev: bool | None,
    name: str | None,
    development: bool,
) -> None:
    claims = replace(CLAIMS, image=replace(IMAGE, is_dev=is_dev, stated_name=name))
    result = judged(TDX, policy(), workload_log=log(claims))
    assert failures(result) == (["policy.dstack.development_image.found"] if development else [])
    admitted = judged(TDX, policy(accept='["development-image"]'), workload_log=log(claims))
    assert admitted.accepted
    assert admitted.admitted == (("development-image",) if development else ())


def test_a_hostile_image_name_is_escaped() -> None:
    claims = replace(CLAIMS, image=replace(IMAGE, stated_name="\x1b[31m-dev-" + "x" * 1000))
    reason = judged(TDX, policy(), workload_log=log(claims)).ledger.failed()[0].reason
    assert reason.isprintable()
    assert len(reason) < 300


@pytest.mark.parametrize("line", [line for line in ALL.splitlines() if " = " in line])
def test_a_policy_about_dstack_needs_a_log(line: str) -> None:
    key = line.split(" = ", maxsplit=1)[0]
    by = policy(f"[dstack]\n{line}")
    assert failures(judged(TDX, by)) == [f"policy.dstack.{key}.no_event_log"]
    other_format = log(object())
    assert failures(judged(TDX, by, workload_log=other_format)) == [f"policy.dstack.{key}.no_event_log"]


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.NOT_CHECKED])
def test_a_log_that_is_not_authentic_refuses_and_is_not_read(outcome: Outcome) -> None:
    for by in policy(), policy(ALL):
        result = judged(TDX, by, workload_log=log(CLAIMS, outcome))
        assert result.verdict is Verdict.REFUSED
    checks = {check.id: check for check in result.ledger if check.id.startswith("policy.dstack.")}
    assert checks["policy.dstack.app_ids"].outcome is Outcome.NOT_CHECKED
    development = checks["policy.dstack.development_image"]
    assert development.outcome is Outcome.NOT_APPLICABLE
    assert development.reason == "No event log of a dstack guest was given."


def test_enclaves_have_no_dstack_rules() -> None:
    result = judged(sgx(), policy())
    assert not [check for check in result.ledger if check.id.startswith("policy.dstack")]
