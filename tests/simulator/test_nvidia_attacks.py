"""Each named attack on NVIDIA evidence is refused with the code that it names, and with nothing else."""

from __future__ import annotations

import pytest

from assay.errors import SimulatorError
from assay.simulator.intel import Installation
from assay.simulator.nvidia import Scene, SimulatedNvidia
from assay.simulator.nvidia.attacks import ATTACKS, stage
from support.nvidia_scenes import NONCE, NOW, NVIDIA, judge, rim, scene

REQUIRED = {
    "swapped-firmware",
    "replayed-nonce",
    "missing-measurement",
    "extra-measurement",
    "wrong-driver-manifest",
    "expired-manifest-signer",
    "certificate-hold",
    "revoked",
    "ocsp-for-another-serial",
    "stale-ocsp",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_every_attack_is_refused_with_its_code(attack):
    evidence = stage(attack.name, scene())
    result = judge(evidence)
    assert not result.authentic
    failed = {check.code for check in result.ledger.failed()}
    for signed in (*evidence.drivers, *evidence.firmware):
        failed |= {check.code for check in rim(signed).ledger.failed()}
    if failed:
        assert failed == {attack.code}
    else:
        assert attack.code in {check.code for check in result.ledger.unmet()}
    assert attack.description.endswith(".")


def test_the_catalogue_holds_what_it_must():
    assert set(ATTACKS) >= REQUIRED


def test_an_unknown_attack_is_an_error():
    with pytest.raises(SimulatorError) as error:
        stage("none", scene())
    assert error.value.code == "simulator.attack.unknown"


def test_an_installation_has_one_nvidia_and_another_installation_another():
    one, other = (SimulatedNvidia.of(Installation(secret * 32)) for secret in (b"\1", b"\2"))
    assert one.device_root.der == SimulatedNvidia.of(Installation(b"\1" * 32)).device_root.der
    assert one.device_root.der != other.device_root.der
    result = judge(Scene(other, NOW, NONCE).finish())
    assert [check.code for check in result.ledger.failed()] == ["nvidia.chain.root"]


def test_the_same_scene_gives_the_same_bytes():
    one, other = scene().finish(), Scene(SimulatedNvidia(NVIDIA.secret), NOW, NONCE).finish()
    assert one == other
