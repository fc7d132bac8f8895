"""Simulated is derived from the anchor, and only a policy for simulated machines admits it."""

from __future__ import annotations

import pytest

from assay.appraisal import Context, Policy, Verdict
from assay.errors import PolicyError
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Anchor
from support.appraisal_evidence import (
    FOREIGN,
    OWN_ROOT,
    SIMULATED,
    VENDOR,
    evidence,
    failures,
    judged,
    policy,
)

OWN = Context(installation_roots=frozenset({OWN_ROOT}))
ONLY = policy('simulated = "only"\n', accept='["simulated"]')


@pytest.mark.parametrize("text", ["", 'simulated = "refused"\n'])
@pytest.mark.parametrize("anchor", [SIMULATED, FOREIGN])
@pytest.mark.parametrize("context", [Context(), OWN])
def test_simulated_evidence_is_refused_unless_asked_for(text: str, anchor: Anchor, context: Context) -> None:
    result = judged(evidence(anchor=anchor), policy(text), context=context)
    assert failures(result) == ["policy.simulated.refused"]


@pytest.mark.parametrize(
    ("anchor", "context", "code"),
    [
        (VENDOR, OWN, "policy.simulated.hardware"),
        (FOREIGN, OWN, "policy.simulated.foreign_root"),
        (SIMULATED, Context(), "policy.simulated.no_root"),
    ],
)
def test_a_policy_for_simulated_machines_admits_this_installations_alone(
    anchor: Anchor, context: Context, code: str
) -> None:
    result = judged(evidence(anchor=anchor), ONLY, context=context)
    assert failures(result) == [code]
    assert result.ledger["policy.simulated"].outcome is Outcome.FAILED


def test_simulated_evidence_says_so_everywhere() -> None:
    result = judged(evidence(anchor=SIMULATED), ONLY, context=OWN)
    assert result.verdict is Verdict.ACCEPTED
    assert result.simulated
    assert result.to_json()["simulated"] is True
    assert any("simulated" in sentence for sentence in result.not_proven)
    assert result.trust_claims["hardware"].value >= 96
    assert result.trust_claims["runtime-opaque"].value >= 96


def test_an_anchor_name_cannot_make_hardware() -> None:
    named = Anchor(bytes(32), "Intel SGX Root CA", simulated=True)
    assert failures(judged(evidence(anchor=named), policy())) == ["policy.simulated.refused"]


def test_a_hostile_anchor_name_is_escaped() -> None:
    named = Anchor(bytes(32), "\x1b[31m", simulated=True)
    assert all(check.reason.isprintable() for check in judged(evidence(anchor=named), policy()).ledger)


@pytest.mark.parametrize("name", ["genuine", "strict"])
def test_shipped_policies_for_hardware_refuse_simulated_evidence(name: str) -> None:
    result = judged(evidence(anchor=SIMULATED), Policy.shipped(name), context=OWN)
    assert "policy.simulated.refused" in failures(result)


def test_the_installation_root_is_a_fingerprint() -> None:
    with pytest.raises(PolicyError) as caught:
        judged(evidence(), policy(), context=Context(installation_roots=frozenset({b"a whole certificate"})))
    assert caught.value.code == "appraisal.context.root"
