"""Every named attack is refused with its code, and with the few others that follow from the same defect."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from assay.appraisal import Verdict
from assay.errors import SimulatorError
from assay.simulator.attacks import catalogue, stage
from assay.simulator.intel import Installation
from assay.simulator.scene import Scene
from support.simulator_judge import judge

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
KINDS = (("tdx", 4), ("tdx", 5), ("sgx", 3), ("sgx", 4), ("sgx", 5))
ATTACKS = tuple(catalogue())

# Defects that more than one check sees.
ALSO = {
    "unlisted-qe": {"policy.tcb.status.inadmissible"},
    "revoked-platform": {"policy.tcb.status.inadmissible"},
    "unlisted-platform": {"policy.tcb.status.inadmissible", "policy.tcb.module.weak"},
    "out-of-date-module": {"policy.tcb.status.weak"},  # version 5 knows that a relaunch would help
    "relaunch-advised": {"policy.tcb.status.weak", "policy.tcb.module.weak"},
    "qe-debug": {"dcap.qe_report.identity"},  # the identity's mask covers the bit
}


@pytest.fixture(scope="module")
def intel():
    return Installation(b"\x03" * 32)


def scene(intel, platform, version):
    return Scene(intel, platform, version, NOW, REPORT_DATA)


@pytest.mark.parametrize(("platform", "version"), KINDS)
def test_evidence_without_an_attack_is_accepted(intel, platform, version):
    found = judge(scene(intel, platform, version).finish(), intel.anchor_name)
    assert found.verdict is Verdict.ACCEPTED
    assert found.simulated


@pytest.mark.parametrize(
    ("attack", "platform", "version"),
    [
        pytest.param(entry, platform, version, id=f"{entry.name}-{platform}-v{version}")
        for entry in ATTACKS
        for platform, version in KINDS
        if platform in entry.platforms and (not entry.versions or version in entry.versions)
    ],
)
def test_an_attack_is_refused_for_its_defect(intel, attack, platform, version):
    found = judge(stage(attack.name, scene(intel, platform, version)), intel.anchor_name)
    codes = {check.code for check in found.ledger.failed()}
    if not attack.code:
        assert (found.verdict, codes) == (Verdict.ACCEPTED, set())
        return
    assert found.verdict is Verdict.REFUSED
    wanted = attack.refused_with(platform)
    assert wanted in codes
    assert codes <= {wanted} | ALSO.get(attack.name, set())


def test_attacks_are_described_for_people():
    for entry in ATTACKS:
        assert entry.name == entry.name.lower()
        assert entry.description.endswith(".")
        assert "\n" not in entry.description
    assert len({entry.description for entry in ATTACKS}) == len(ATTACKS)


def test_attacks_leave_the_installation_as_it_was(intel):
    for entry in ATTACKS:
        stage(entry.name, scene(intel, entry.platforms[0], entry.versions[0] if entry.versions else 4))
    assert judge(scene(intel, "tdx", 4).finish(), intel.anchor_name).accepted


def test_an_attack_with_its_own_few_lines(intel):
    """The API: change what is to be wrong, sign, judge."""
    spoilt = scene(intel, "tdx", 4)
    spoilt.quote.certificates[1] = intel.processor_ca.certificate
    found = judge(spoilt.finish(), intel.anchor_name)
    assert found.ledger["dcap.pck.chain"].code == "dcap.pck.chain"


def test_evidence_can_be_changed_after_it_was_made(intel):
    made = scene(intel, "tdx", 4).finish()
    found = judge(replace(made, report_data=bytes(64)), intel.anchor_name)
    assert [check.code for check in found.ledger.failed()] == ["tdx.binding.mismatch"]


@pytest.mark.parametrize(
    ("name", "platform", "version", "code"),
    [
        ("no-such-attack", "tdx", 4, "simulator.attack.unknown"),
        ("perfmon", "sgx", 3, "simulator.attack.elsewhere"),
        ("service-td", "tdx", 4, "simulator.attack.elsewhere"),
    ],
)
def test_what_cannot_be_staged_is_refused(intel, name, platform, version, code):
    with pytest.raises(SimulatorError) as caught:
        stage(name, scene(intel, platform, version))
    assert caught.value.code == code
