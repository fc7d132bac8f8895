"""The launch measurement of SEV-SNP guests; known answers of others are in test_vectors_measure.py."""

from __future__ import annotations

import hashlib

import pytest

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.ovmf import SEV_ES_RESET_BLOCK, SEV_HASH_TABLE, SEV_METADATA, SVSM_INFO, parse_firmware
from assay.reference.snp import (
    DirectBoot,
    LaunchDigest,
    Machine,
    firmware_digest,
    launch_digest,
    measure,
    svsm_launch_digest,
)
from assay.reference.snp_vmsa import Hypervisor, signature, vcpu_signature, vmsa_page
from support.reference_firmware import SECTIONS, sev_firmware, sev_metadata

MILAN = vcpu_signature("EPYC-Milan")
ONE = Machine(1, MILAN)
BOOT = DirectBoot(b"k" * 32, b"i" * 32, b"c" * 32)


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def firmware(**given):
    return parse_firmware(sev_firmware(**given))


def test_one_page_is_chained_as_the_specification_says():
    launch = LaunchDigest()
    launch.pages(0x1000, b"\1" * 4096)
    info = bytes(48) + hashlib.sha384(b"\1" * 4096).digest()
    info += bytes.fromhex("7000 01 00 00000000") + (0x1000).to_bytes(8, "little")
    assert launch.value == hashlib.sha384(info).digest()


def test_a_firmware_hash_stands_for_the_image():
    whole = firmware(pages=4)
    suffix = parse_firmware(whole.data[-8192:])
    metadata = sev_metadata()
    assert whole.data.startswith(metadata)
    expected = launch_digest(firmware(), ONE, BOOT, firmware_hash=firmware_digest(firmware()))
    assert expected == launch_digest(firmware(), ONE, BOOT)
    assert code(lambda: launch_digest(firmware(), ONE, None, firmware_hash=b"short")) == (
        "reference.snp.firmware_hash"
    )
    assert suffix.table == whole.table


def test_everything_that_is_started_changes_the_measurement():
    seen = {
        launch_digest(firmware(), ONE, None),
        launch_digest(firmware(), ONE, BOOT),
        launch_digest(firmware(pages=3), ONE, BOOT),
        launch_digest(firmware(), ONE, DirectBoot(b"K" * 32, b"i" * 32, b"c" * 32)),
        launch_digest(firmware(), ONE, DirectBoot(b"k" * 32, b"I" * 32, b"c" * 32)),
        launch_digest(firmware(), ONE, DirectBoot(b"k" * 32, b"i" * 32, b"C" * 32)),
        launch_digest(firmware(), Machine(2, MILAN), BOOT),
        launch_digest(firmware(), Machine(3, MILAN), BOOT),
        launch_digest(firmware(), Machine(1, MILAN + 1), BOOT),
        launch_digest(firmware(), Machine(1, MILAN, 0x21), BOOT),
        launch_digest(firmware(), Machine(1, MILAN, 1, Hypervisor.EC2), BOOT),
        launch_digest(firmware(), Machine(1, MILAN, 1, Hypervisor.GCE), BOOT),
        launch_digest(firmware(metadata=sev_metadata(SECTIONS[:5])), ONE, BOOT),
        svsm_launch_digest(firmware(), firmware(), 0, ONE),
        svsm_launch_digest(firmware(), firmware(), 4096, ONE),
        svsm_launch_digest(firmware(), firmware(pages=3), 0, ONE),
        svsm_launch_digest(firmware(), firmware(), 0, Machine(2, MILAN)),
    }
    assert len(seen) == 17
    assert all(len(each) == 48 for each in seen)


def test_only_qemu_measures_the_model_of_the_processor():
    for hypervisor, same in ((Hypervisor.QEMU, False), (Hypervisor.EC2, True), (Hypervisor.GCE, True)):
        pages = {vmsa_page(hypervisor, 0, vcpu, 1) for vcpu in (1, 2)}
        assert (len(pages) == 1) is same


def test_amazon_marks_the_first_processor_only():
    first, other = (vmsa_page(Hypervisor.EC2, eip, 0, 1) for eip in (0xFFFFFFF0, 0xFFFFFFE0))
    assert (first[18], other[18]) == (0x9A, 0x9B)


def test_a_processor_starts_where_the_image_says():
    """The base of its code segment has the upper half of the address, its instruction pointer the lower."""
    page = vmsa_page(Hypervisor.QEMU, 0x12345679, MILAN, 1)
    assert int.from_bytes(page[24:32], "little") == 0x12340000
    assert int.from_bytes(page[0x178:0x180], "little") == 0x5679


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((0, MILAN), "vcpus"),
        ((4097, MILAN), "vcpus"),
        ((1, -1), "vcpu"),
        ((1, 1 << 32), "vcpu"),
        ((1, MILAN, 0x20), "features"),
        ((1, MILAN, 1 << 64 | 1), "features"),
        ((1, MILAN, -1), "features"),
    ],
)
def test_a_machine_that_cannot_be_is_refused(given, expected):
    assert code(lambda: Machine(*given)) == f"reference.snp.{expected}"


def test_machines_at_every_bound():
    largest = Machine(4096, (1 << 32) - 1, (1 << 64) - 1)
    assert largest.describe() == {
        "vcpus": "4096",
        "vcpu_signature": "0xffffffff",
        "guest_features": "0xffffffffffffffff",
        "hypervisor": "qemu",
    }
    assert Machine(1, 0).describe()["vcpu_signature"] == "0x00000000"


def test_signatures_of_processors():
    assert signature(0, 0, 0) == 0
    assert signature(0x19, 1, 1) == 0xA00F11
    assert signature(6, 0x2A, 7) == 0x206A7
    assert code(lambda: vcpu_signature("Skylake")) == "reference.snp.vcpu"
    for given in ((0x10F, 0, 0), (0, 0x100, 0), (0, 0, 16), (-1, 0, 0), (0, -1, 0), (0, 0, -1)):
        assert code(lambda given=given: signature(*given)) == "reference.snp.vcpu"
    assert signature(0x10E, 0xFF, 15) == 0xFF << 20 | 0xF << 16 | 0xF << 8 | 0xF << 4 | 0xF


@pytest.mark.parametrize(
    ("model", "versions", "expected"),
    [
        ("EPYC", ("", "-v1", "-v2", "-v3", "-v4", "-v5", "-IBPB"), 0x800F12),
        ("EPYC-Rome", ("", "-v1", "-v2", "-v3", "-v4", "-v5"), 0x830F10),
        ("EPYC-Milan", ("", "-v1", "-v2", "-v3"), 0xA00F11),
        ("EPYC-Genoa", ("", "-v1", "-v2"), 0xA10F10),
        ("EPYC-Turin", ("", "-v1"), 0xB00F00),
    ],
)
def test_every_version_of_a_model_has_its_signature(model, versions, expected):
    assert {vcpu_signature(model + version) for version in versions} == {expected}


def test_a_kernel_needs_a_page_for_its_hashes():
    without = firmware(metadata=sev_metadata(SECTIONS[:4]))
    assert code(lambda: launch_digest(without, ONE, BOOT)) == "reference.snp.hash_table"
    moved = firmware(metadata=sev_metadata([*SECTIONS[:4], (0x806000, 0x1000, 16)]))
    assert code(lambda: launch_digest(moved, ONE, BOOT)) == "reference.snp.hash_table"
    wide = firmware(metadata=sev_metadata([*SECTIONS[:4], (0x805000, 0x2000, 16)]))
    assert code(lambda: launch_digest(wide, ONE, BOOT)) == "reference.snp.hash_table"
    assert code(lambda: BOOT.page(4096 - 175)) == "reference.snp.hash_table"
    assert len(BOOT.page(4096 - 176)) == 4096


@pytest.mark.parametrize("absent", [SEV_METADATA, SEV_HASH_TABLE, SEV_ES_RESET_BLOCK])
def test_what_the_image_must_name(absent):
    machine = Machine(2, MILAN)
    assert code(lambda: launch_digest(firmware(without=absent), machine, BOOT)) == (
        "reference.ovmf.entry_missing"
    )


def test_a_single_processor_needs_no_reset_block():
    assert launch_digest(firmware(without=SEV_ES_RESET_BLOCK), ONE, None)


def test_a_service_module_has_its_own_rules():
    image = firmware()
    for machine in (Machine(1, MILAN, 0x21), Machine(1, MILAN, 1, Hypervisor.EC2)):
        assert code(lambda machine=machine: svsm_launch_digest(image, image, 0, machine)) == (
            "reference.snp.svsm"
        )
    for size in (-4096, 1):
        assert code(lambda size=size: svsm_launch_digest(image, image, size, ONE)) == "reference.snp.svsm"
    assert code(lambda: svsm_launch_digest(image, image, 1 << 32, ONE)) == "reference.ovmf.address"
    absent = firmware(without=SVSM_INFO)
    assert code(lambda: svsm_launch_digest(image, absent, 0, ONE)) == "reference.ovmf.entry_missing"


def test_files_are_measured_and_named():
    kernel, initrd = Artefact.of(b"kernel", "vmlinuz"), Artefact.of(b"initrd", "initrd.img")
    found = measure(
        Artefact.of(sev_firmware(), "OVMF.fd"), ONE, kernel=kernel, initrd=initrd, cmdline="quiet"
    )
    boot = DirectBoot(
        hashlib.sha256(b"kernel").digest(),
        hashlib.sha256(b"initrd").digest(),
        hashlib.sha256(b"quiet\0").digest(),
    )
    assert found.registers == {"measurement": {launch_digest(firmware(), ONE, boot)}}
    assert [(each.role, each.name, each.size) for each in found.artefacts] == [
        ("firmware", "OVMF.fd", 8192),
        ("kernel", "vmlinuz", 6),
        ("initrd", "initrd.img", 6),
    ]
    assert found.artefacts[1].sha256 == hashlib.sha256(b"kernel").digest()
    assert found.parameters == {
        "cmdline": "quiet",
        "guest_features": "0x1",
        "hypervisor": "qemu",
        "vcpu_signature": "0x00a00f11",
        "vcpus": "1",
    }
    assert found.notes == ()


def test_without_a_kernel_it_says_what_is_not_covered():
    found = measure(Artefact.of(sev_firmware()), ONE)
    assert found.notes == ("What the firmware boots is not part of the measurement.",)
    svsm = measure(Artefact.of(sev_firmware()), ONE, svsm=Artefact.of(sev_firmware()), variables_bytes=4096)
    assert svsm.registers == {"measurement": {svsm_launch_digest(firmware(), firmware(), 4096, ONE)}}
    assert svsm.parameters["variables_bytes"] == "4096"
    assert [each.role for each in svsm.artefacts] == ["firmware", "svsm"]
    alone = measure(Artefact.of(sev_firmware()), ONE, svsm=Artefact.of(sev_firmware()))
    assert alone.registers == {"measurement": {svsm_launch_digest(firmware(), firmware(), 0, ONE)}}
    assert (alone.platform, alone.parameters["variables_bytes"]) == ("snp", "0")


def test_files_that_make_no_sense_together():
    image, file = Artefact.of(sev_firmware()), Artefact.of(b"x")
    assert code(lambda: measure(image, ONE, initrd=file)) == "reference.snp.kernel"
    assert code(lambda: measure(image, ONE, cmdline="x")) == "reference.snp.kernel"
    assert code(lambda: measure(image, ONE, kernel=file, svsm=image)) == "reference.snp.svsm"
    for cmdline in ("a\0b", "a\0", "\0", "x" * 65536):
        assert code(lambda cmdline=cmdline: measure(image, ONE, kernel=file, cmdline=cmdline)) == (
            "reference.snp.cmdline"
        )
    longest = measure(image, ONE, kernel=file, cmdline="x" * 65535)
    assert len(longest.parameters["cmdline"]) == 65535
    nothing = DirectBoot.of(file, None, "")
    assert nothing.initrd == hashlib.sha256(b"").digest()
    assert nothing.cmdline == hashlib.sha256(b"\0").digest()
