"""Launch digests against sev-snp-measure, where it is installed."""

from __future__ import annotations

import pytest

from assay.reference.artefact import Artefact
from assay.reference.ovmf import parse_firmware
from assay.reference.snp import DirectBoot, Machine, launch_digest, svsm_launch_digest
from assay.reference.snp_vmsa import VCPU_TYPES, Hypervisor
from support.reference_firmware import sev_firmware

guest = pytest.importorskip("sevsnpmeasure.guest")
modes = pytest.importorskip("sevsnpmeasure.sev_mode").SevMode
hypervisors = pytest.importorskip("sevsnpmeasure.vmm_types").VMMType
types = pytest.importorskip("sevsnpmeasure.vcpu_types").CPU_SIGS


@pytest.fixture
def files(tmp_path):
    (tmp_path / "ovmf").write_bytes(sev_firmware())
    (tmp_path / "kernel").write_bytes(b"kernel")
    (tmp_path / "initrd").write_bytes(b"initrd")
    return tmp_path


@pytest.mark.parametrize("hypervisor", list(hypervisors), ids=str)
@pytest.mark.parametrize("vcpus", [1, 5])
@pytest.mark.parametrize("features", [0x1, 0x21])
@pytest.mark.parametrize("cmdline", [None, "", "quiet splash"])
def test_launch_digests_are_the_same(files, hypervisor, vcpus, features, cmdline):
    booted = cmdline is not None
    theirs = guest.calc_launch_digest(
        modes.SEV_SNP,
        vcpus,
        types["EPYC-Genoa"],
        str(files / "ovmf"),
        str(files / "kernel") if booted else "",
        str(files / "initrd") if booted else "",
        cmdline or "",
        features,
        vmm_type=hypervisor,
    )
    boot = DirectBoot.of(Artefact.of(b"kernel"), Artefact.of(b"initrd"), cmdline) if booted else None
    machine = Machine(vcpus, types["EPYC-Genoa"], features, Hypervisor(hypervisor.name.lower()))
    assert launch_digest(parse_firmware(sev_firmware()), machine, boot) == theirs


@pytest.mark.parametrize("vcpus", [1, 5])
@pytest.mark.parametrize("variables", [0, 0x84000])
def test_launch_digests_with_a_service_module_are_the_same(files, vcpus, variables):
    ovmf = str(files / "ovmf")
    theirs = guest.svsm_calc_launch_digest(vcpus, types["EPYC-Milan"], ovmf, variables, ovmf, False)
    image = parse_firmware(sev_firmware())
    assert svsm_launch_digest(image, image, variables, Machine(vcpus, types["EPYC-Milan"])) == theirs


def test_every_cpu_model_that_it_knows_has_the_same_signature():
    assert {name: VCPU_TYPES.get(name) for name in types} == dict(types)
