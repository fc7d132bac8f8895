"""A policy applied as well can only refuse more; a key that is added can only refuse more."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.appraisal import Context, Policy, Verdict
from assay.errors import PolicyError
from assay.evidence.dcap.tcb import TcbStatus
from assay.evidence.ledger import Outcome
from support.appraisal_evidence import (
    FOREIGN,
    NOW,
    OWN_ROOT,
    SIMULATED,
    TDX,
    TDX_WORDS,
    VENDOR,
    attributes,
    evidence,
    failures,
    judged,
    policy,
    register,
    tdx,
)


def test_both_policies_must_accept() -> None:
    theirs = policy('[tdx]\nmr_td = ["' + "09" * 48 + '"]', name="repository")
    both = policy().tighten(theirs)
    result = judged(TDX, both)
    assert failures(result) == ["policy.tdx.mr_td.mismatch"]
    assert result.ledger["policy.added.tdx.mr_td"].outcome is Outcome.FAILED


def test_the_added_policys_accept_does_not_relax_the_first() -> None:
    weak = tdx(platform_status=TcbStatus.OUT_OF_DATE)
    lax = policy(accept='["out-of-date-platform"]', name="repository")
    assert not judged(weak, policy().tighten(lax)).accepted
    assert not judged(weak, lax.tighten(policy())).accepted
    assert judged(weak, lax.tighten(lax)).accepted


def test_the_added_policys_platforms_count() -> None:
    result = judged(TDX, policy().tighten(policy(platforms='["sgx"]')))
    assert failures(result) == ["policy.platforms.other"]


def test_several_policies_can_be_added_and_each_has_its_own_checks() -> None:
    second = policy(name="second")
    third = policy("[tcb]\nmin_evaluation_number = 21", name="third")
    both = policy(name="first").tighten(second).tighten(third)
    result = judged(TDX, both)
    assert [check.id for check in result.ledger.failed()] == ["policy.added2.tcb.min_evaluation_number"]
    ids = [check.id for check in result.ledger]
    assert len(ids) == len(set(ids))
    assert result.to_json()["policy"]["also"] == [
        {"name": "second", "sha256": second.digest.hex()},
        {"name": "third", "sha256": third.digest.hex()},
    ]


def test_a_conjunction_of_conjunctions_keeps_every_part() -> None:
    parts = [policy(f"[tcb]\nmin_evaluation_number = {n}", name=str(n)) for n in (1, 2, 3, 21)]
    both = parts[0].tighten(parts[1]).tighten(parts[2].tighten(parts[3]))
    assert failures(judged(TDX, both)) == ["policy.tcb.min_evaluation_number.too_small"]
    assert len(both.also) == 3


def test_the_digest_names_every_part_and_their_order() -> None:
    one, two = policy(name="one"), policy("[tcb]\nmin_evaluation_number = 1", name="two")
    assert one.digest == hashlib.sha256(b'version = 1\nplatforms = ["tdx", "sgx"]\naccept = []\n').digest()
    digests = {one.digest, two.digest, one.tighten(two).digest, two.tighten(one).digest}
    assert len(digests) == 4
    assert one.tighten(two).digest == one.tighten(two).digest
    three = policy(name="three").tighten(one).tighten(two)
    digests = one.digest + three.digest + one.digest + two.digest
    assert one.tighten(three).digest == hashlib.sha256(b"assay/policy/conjunction/v1\0" + digests).digest()


def test_unauthentic_evidence_leaves_the_added_checks_unmade_too() -> None:
    result = judged(evidence(signature=Outcome.NOT_CHECKED), policy().tighten(policy()))
    assert result.ledger["policy.added.tcb.platform"].outcome is Outcome.NOT_CHECKED
    assert result.indeterminate


# --- monotonicity

LINES: dict[str, list[str]] = {
    "": [
        'simulated = "only"',
        'simulated = "refused"',
        'name = "named"',
        'together = ["tdx", "tdx"]',
    ],
    "tcb": [
        'platform = ["UpToDate"]',
        'platform = ["UpToDate", "OutOfDate"]',
        'platform = ["OutOfDate"]',
        'module = ["UpToDate"]',
        'module = ["OutOfDate", "UpToDate"]',
        'qe = ["UpToDate"]',
        'qe = ["OutOfDate"]',
        'rejected_advisories = ["INTEL-SA-00001"]',
        'accepted_advisories = ["INTEL-SA-00001"]',
        "accepted_advisories = []",
        "min_evaluation_number = 20",
        "min_evaluation_number = 21",
    ],
    "tcb.grace": ["platform = 10", "platform = 200", "module = 10", "qe = 10", "qe = 200"],
    "attributes": [
        *(
            f"{name} = {value}"
            for name in ("debug", "sept_ve_disable", "migratable", "perfmon", "pks", "kl")
            for value in ("true", "false")
        ),
        f'td_attributes = ["{attributes(28).hex()}"]',
        f'mr_service_td = ["{"07" * 48}"]',
        f'mr_service_td = ["{"00" * 48}", "{"07" * 48}"]',
    ],
    "hardware": ["smt = false", "smt = true", 'sgx_types = ["scalable"]', "dynamic_platform = false"],
    "tdx": [
        'mr_td = "reference"',
        f'mr_td = ["{"02" * 48}"]',
        'rtmr3 = "reference"',
        f'mr_seam = ["{"09" * 48}"]',
    ],
    "freshness": ["collateral_max_age_hours = 24", "evidence_max_age_seconds = 60"],
    "isolation": ['min = "none"', 'min = "qemu"'],
}
PLACED = [(table, line) for table, lines in LINES.items() for line in lines]


def text_of(lines: list[tuple[str, str]], accept: list[str]) -> bytes:
    """Return a policy file with these lines, one for each key."""
    found = [f"version = 1\nplatforms = ['tdx']\naccept = {accept!r}"]
    by_key = {(table, line.split(" = ")[0]): line for table, line in lines}
    for table in LINES:
        said = [line for (where, _), line in by_key.items() if where == table]
        if said:
            found += [*([f"[{table}]"] if table else []), *said]
    return "\n".join(found).encode()


CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(
            [TcbStatus.UP_TO_DATE, TcbStatus.TD_RELAUNCH_ADVISED, TcbStatus.OUT_OF_DATE]
        ),
        "platform_status": st.sampled_from(list(TcbStatus)[:7]),
        "module_status": st.sampled_from([TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE, None]),
        "qe_status": st.sampled_from([TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE]),
        "qe_evaluation_number": st.sampled_from([19, 20, 21]),
        "advisories": st.sampled_from([(), ("INTEL-SA-00001",), ("INTEL-SA-00002",)]),
        "td_attributes": st.lists(st.sampled_from([0, 28, 29, 30, 31, 63, 8]), max_size=4).map(
            lambda bits: attributes(*set(bits))
        ),
        "mr_service_td": st.sampled_from([None, bytes(48), register(7), register(8)]),
        "smt_enabled": st.sampled_from([True, False, None]),
        "mr_td": st.sampled_from([register(2), register(9)]),
    },
)


def loaded(text: bytes) -> Policy | None:
    try:
        return Policy.load(text, name="made")
    except PolicyError:
        return None


@settings(max_examples=150, deadline=None)
@given(
    changed=CLAIMS,
    anchor=st.sampled_from([VENDOR, SIMULATED, FOREIGN]),
    accept=st.lists(st.sampled_from(TDX_WORDS), unique=True),
    lines=st.lists(st.sampled_from(PLACED), max_size=5),
    added=st.sampled_from(PLACED),
    binding=st.sampled_from([Outcome.PASSED, Outcome.NOT_CHECKED]),
)
def test_adding_a_key_never_turns_refused_into_accepted(
    changed: dict[str, Any],
    anchor: Any,
    accept: list[str],
    lines: list[tuple[str, str]],
    added: tuple[str, str],
    binding: Outcome,
) -> None:
    table, line = added
    key = line.split(" = ")[0]
    lines = [(where, other) for where, other in lines if (where, other.split(" = ")[0]) != (table, key)]
    if added[1] != 'simulated = "only"' and ("", 'simulated = "only"') not in lines:
        accept = [word for word in accept if word != "simulated"]
    without, along = loaded(text_of(lines, accept)), loaded(text_of([*lines, added], accept))
    if without is None or along is None:
        return
    made = evidence(tdx(**changed), anchor=anchor, binding=binding)
    shared: dict[str, Any] = {
        "references": {"mr_td": frozenset({register(2)})},
        "context": Context(
            isolation="bubblewrap", installation_roots=frozenset({OWN_ROOT}), nonce_made_at=NOW - timedelta(5)
        ),
    }
    if judged(made, along, **shared).verdict is not Verdict.REFUSED:
        assert judged(made, without, **shared).verdict is not Verdict.REFUSED


@settings(max_examples=100, deadline=None)
@given(
    changed=CLAIMS,
    first=st.lists(st.sampled_from(sorted({*TDX_WORDS} - {"simulated"})), unique=True),
    second=st.lists(st.sampled_from(sorted({*TDX_WORDS} - {"simulated"})), unique=True),
    lines=st.lists(st.sampled_from(PLACED), max_size=4),
)
def test_a_conjunction_accepts_exactly_what_both_accept(
    changed: dict[str, Any], first: list[str], second: list[str], lines: list[tuple[str, str]]
) -> None:
    one, two = loaded(text_of([], first)), loaded(text_of(lines, second))
    if one is None or two is None:
        return
    made = evidence(tdx(**changed))
    shared: dict[str, Any] = {"references": {}, "context": Context()}
    both = judged(made, one, **shared).accepted and judged(made, two, **shared).accepted
    assert judged(made, one.tighten(two), **shared).accepted is both


@pytest.mark.parametrize("name", ["genuine", "strict"])
def test_no_conjunction_with_a_shipped_policy_admits_simulated_evidence(name: str) -> None:
    only = policy('simulated = "only"\n', accept='["simulated"]')
    context = Context(installation_roots=frozenset({OWN_ROOT}))
    for both in Policy.shipped(name).tighten(only), only.tighten(Policy.shipped(name)):
        assert not judged(evidence(anchor=SIMULATED), both, context=context).accepted
