"""Every named attack on Azure's and Google's VMs is refused by the check that it names, and by no other."""

from __future__ import annotations

import pytest

from assay.errors import SimulatorError
from assay.simulator.azure import attacks as azure
from assay.simulator.google_vm import attacks as google
from support import azure_scenes, google_vm_scenes


@pytest.mark.parametrize(
    ("name", "platform"),
    [(attack.name, platform) for attack in azure.ATTACKS.values() for platform in attack.platforms],
)
def test_an_attack_on_azure_is_refused_by_its_code_alone(name, platform):
    found = azure.ATTACKS[name]
    result = azure_scenes.judge(azure.stage(name, azure_scenes.scene(platform)))
    assert [check.code for check in result.ledger.failed()] == [found.code]
    assert not result.authentic
    assert found.description.endswith(".")


@pytest.mark.parametrize("name", google.ATTACKS)
def test_an_attack_on_google_is_refused_by_its_code_alone(name):
    found = google.ATTACKS[name]
    tee = found.tee or "none"
    result = google_vm_scenes.judge(google.stage(name, google_vm_scenes.scene(tee)))
    assert [check.code for check in result.ledger.failed()] == [found.code]
    assert not result.authentic
    assert found.description.endswith(".")


def test_an_attack_has_a_name_and_a_place():
    for stage, scene, elsewhere in (
        (azure.stage, azure_scenes.scene, "td-report-for-quote"),
        (google.stage, google_vm_scenes.scene, "relayed-td"),
    ):
        with pytest.raises(SimulatorError) as unknown:
            stage("no such attack", scene())
        assert unknown.value.code == "simulator.attack.unknown"
        with pytest.raises(SimulatorError) as wrong:
            stage(elsewhere, scene())
        assert wrong.value.code == "simulator.attack.elsewhere"
