"""Borders and sentences of appraisal that a mutation run found untested."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from assay.appraisal import Context, Verdict
from assay.appraisal.fields import Flag, Text
from assay.errors import EvidenceError, PolicyError
from assay.evidence.ledger import Check, CheckSpec, Ledger, Outcome
from support.appraisal_evidence import (
    NOW,
    OWN_ROOT,
    SIMULATED,
    attributes,
    evidence,
    judged,
    policy,
    register,
    tdx,
)


def test_the_shortest_text() -> None:
    assert Text(3).decode("a", "x") == "a"


def test_a_value_is_shown_up_to_forty_characters() -> None:
    for text, shown in (("a" * 38, f"'{'a' * 38}'"), ("a" * 39, f"'{'a' * 39}...")):
        with pytest.raises(PolicyError) as caught:
            Flag().decode(text, "x")
        assert caught.value.message == f"x must be true or false, not a string ({shown})."


def test_a_result_names_its_policy() -> None:
    result = judged(evidence(), policy())
    assert result.policy_digest == result.policy.digest
    assert len(result.policy_digest) == 32


def test_a_failed_check_is_named_before_one_that_was_not_made() -> None:
    missing = CheckSpec("x.missing", "it is there", "here")
    made = evidence(signature=Outcome.FAILED)
    open_first = Check(missing, Outcome.NOT_CHECKED, "x.missing.code", "It is not there.")
    both = replace(made, ledger=Ledger((open_first, *made.ledger.checks)))
    with pytest.raises(EvidenceError) as caught:
        judged(both, policy()).require()
    assert caught.value.code == made.ledger.failed()[0].code


def test_a_check_that_was_not_made_is_named_where_none_failed() -> None:
    result = judged(evidence(signature=Outcome.NOT_CHECKED), policy())
    assert result.verdict is Verdict.REFUSED
    assert not result.ledger.failed()
    with pytest.raises(EvidenceError) as caught:
        result.require()
    assert caught.value.code == result.ledger.unmet()[0].code
    assert caught.value.code.endswith(".code")


def test_the_age_of_collateral_is_said_in_hours() -> None:
    fresh = tdx(collateral_valid_from=NOW - timedelta(hours=49, minutes=30))
    result = judged(fresh, policy("[freshness]\ncollateral_max_age_hours = 48\n"))
    (failed,) = result.ledger.failed()
    assert failed.reason == "The collateral is 49 hours old; 48 are allowed."


def test_the_check_of_a_policy_for_simulated_machines() -> None:
    only = policy('simulated = "only"\n', accept='["simulated"]')
    own = Context(installation_roots=frozenset({OWN_ROOT}))
    result = judged(evidence(anchor=SIMULATED), only, context=own)
    assert result.ledger["policy.simulated"].outcome is Outcome.PASSED


def test_debug_and_profiling_are_told_apart() -> None:
    for claims, said in (
        (tdx(td_attributes=attributes(28, 0), debug=True), "The TD is in debug mode:"),
        (tdx(td_attributes=attributes(28, 4)), "The TD can be profiled:"),
    ):
        (failed,) = judged(claims, policy()).ledger.failed()
        assert failed.reason.startswith(said)


def test_every_register_is_compared_with_its_own_values() -> None:
    good = {f"rtmr{index}": register(16 + index) for index in range(4)}
    text = "[tdx]\n" + "".join(f'{name} = ["{value.hex()}"]\n' for name, value in good.items())
    claims = tdx(rtmrs=tuple(good.values()))
    assert judged(claims, policy(text)).verdict is Verdict.ACCEPTED
    for index in range(4):
        other = list(good.values())
        other[index] = register(99)
        (failed,) = judged(tdx(rtmrs=tuple(other)), policy(text)).ledger.failed()
        assert failed.id == f"policy.tdx.rtmr{index}"
