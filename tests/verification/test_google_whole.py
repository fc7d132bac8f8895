"""Attestations of Google's VMs hold more than they look like: what a policy names of it is demanded."""

from __future__ import annotations

import pytest

from assay.appraisal import Policy
from assay.evidence.ledger import Outcome
from assay.evidence.verification import Expected, Unchecked
from assay.verification import routed, verify, whole_of
from assay.verification.materials import Materials
from support.google_vm_scenes import NONCE, REPORT_DATA, roots_of, scene

WHOLE = {"tdx": "gcp-tdx", "snp": "gcp-snp"}


def policy(*platforms: str) -> Policy:
    quoted = ", ".join(f'"{name}"' for name in platforms)
    words = ['"host-tpm"'] if "gcp-vtpm" in platforms else []
    words += ['"unjudged-tcb"'] if "gcp-snp" in platforms else []
    text = f"version = 1\nplatforms = [{quoted}]\naccept = [{', '.join(words)}]\n"
    return Policy.load(text.encode(), name="test")


def judged(scenario, by, **given):
    """Verify evidence of a VM with the session's nonce, and what else is given."""
    usual = {"policy": by, "binding": Expected(NONCE), "roots": roots_of(scenario), "now": scenario.at}
    return verify(scenario.container, **{**usual, **given})


@pytest.mark.parametrize("tee", WHOLE)
def test_what_the_policy_names_is_demanded(tee):
    container = scene(tee).finish().container
    assert routed(container, policy("gcp-vtpm"), None) == "gcp-vtpm"
    assert routed(container, policy(WHOLE[tee]), None) == WHOLE[tee]
    assert routed(container, policy("gcp-vtpm", WHOLE[tee]), None) == WHOLE[tee]


@pytest.mark.parametrize("tee", WHOLE)
def test_of_two_that_are_named_the_one_that_it_holds_is_demanded(tee):
    both = policy("gcp-vtpm", "gcp-tdx", "gcp-snp")
    assert routed(scene(tee).finish().container, both, None) == WHOLE[tee]


def test_a_vm_without_a_tee_is_never_taken_for_less_than_the_policy_names():
    """It is judged as the whole, which it is not: so it is refused."""
    scenario = scene().finish()
    for platforms in (("gcp-snp",), ("gcp-tdx", "gcp-snp"), ("gcp-vtpm", "gcp-snp")):
        by = policy(*platforms)
        assert routed(scenario.container, by, None) != "gcp-vtpm"
        result = judged(scenario, by, endorsements=scenario.endorsements)
        assert not result.evidence.authentic


def test_bytes_that_cannot_be_read_are_routed_all_the_same():
    assert routed(b"\xff", policy("gcp-tdx", "gcp-snp"), "gcp-vtpm") == "gcp-tdx"


@pytest.mark.parametrize("tee", ["", *WHOLE])
def test_evidence_is_called_after_all_that_it_holds(tee):
    container = scene(tee).finish().container if tee else scene().finish().container
    assert whole_of(container, "gcp-vtpm") == WHOLE.get(tee, "gcp-vtpm")
    assert whole_of(container, "tdx") == "tdx"
    assert whole_of(b"\xff", "gcp-vtpm") == "gcp-vtpm"


@pytest.mark.parametrize("tee", WHOLE)
def test_who_leaves_the_session_open_learns_that_the_rest_is_genuine(tee):
    scenario = scene(tee).finish()
    result = verify(
        scenario.container,
        policy=policy(WHOLE[tee]),
        binding=Unchecked("looked at, not used"),
        roots=roots_of(scenario),
        now=scenario.at,
        endorsements=scenario.endorsements,
    )
    # A root of this test's own is no vendor's.
    assert [check.id for check in result.ledger.failed()] == ["policy.simulated"]
    check = result.ledger[f"policy.google.{tee.replace('tdx', 'td')}_bound"]
    assert check.outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize(("register", "explained"), [(7, False), (8, True)])
def test_a_log_has_to_explain_what_firmware_and_loader_fill(register, explained):
    stage = scene()
    stage.tpm.extend(register, {bank: bytes(bank.size) for bank in stage.quotes})
    stage.quote_again()
    scenario = stage.finish()
    result = judged(scenario, policy("gcp-vtpm"), endorsements=scenario.endorsements)
    assert result.evidence.authentic is explained
    codes = {check.code for check in result.evidence.ledger.failed()}
    assert bool(codes) is not explained, codes


def test_a_container_with_a_field_that_is_not_known_holds_nothing():
    container = scene("tdx").finish().container
    assert whole_of(container, "gcp-vtpm") == "gcp-tdx"
    for field in (0, 10):
        assert whole_of(container + bytes([field << 3 | 2, 0]), "gcp-vtpm") == "gcp-vtpm"


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("revoked", [False, True])
def test_lists_of_revoked_keys_at_hand_count_where_nothing_else_is_needed(place, revoked):
    """The list of the root, and that of an authority whose certificate comes with the evidence."""
    stage = scene()
    if revoked:
        stage.crls[place].revoked = ((stage.authority, stage.certificate)[place].serial,)
    scenario = stage.finish()
    files = {"list": scenario.endorsements.crls[place]}
    found = judged(scenario, policy("gcp-vtpm"), materials=Materials.of(files))
    check = found.evidence.ledger["google_vm.ak.revoked"]
    assert check.outcome is (Outcome.FAILED if revoked else Outcome.PASSED)
    assert check.code == ("google_vm.ak.revoked.listed" if revoked else "")
    other = judged(scenario, policy("gcp-vtpm"), materials=Materials.of({"junk": b"junk"}))
    assert other.evidence.ledger["google_vm.ak.revoked"].outcome is Outcome.NOT_APPLICABLE


def test_both_layers_of_an_snp_guest_carry_the_nonce():
    """The quote has it as it is, the report filled up with zeros to its 64 bytes."""
    stage = scene("snp")
    stage.snp.report.report_data = NONCE.ljust(64, b"\0")
    for found, code in ((stage, ""), (scene("snp"), "google_vm.snp.bound")):
        scenario = found.finish()
        result = judged(scenario, policy("gcp-snp"), endorsements=scenario.endorsements)
        assert [check.code for check in result.evidence.ledger.failed()] == ([code] if code else [])
    assert NONCE.ljust(64, b"\0") != REPORT_DATA
