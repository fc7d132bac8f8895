"""Registers of a TD that boots an unpacked dstack image."""

from __future__ import annotations

import hashlib
import json

import pytest

from assay.cli.main import main
from assay.errors import EvidenceError, ReferenceValueError
from assay.evidence.dstack.os_image import parse_document
from assay.reference.artefact import Artefact
from assay.reference.dstack_image import command_line_digest, measure
from assay.reference.ovmf import parse_firmware
from assay.reference.qemu_kernel import HIGH_MEMORY_BYTES, patched_digest
from assay.reference.tdvf import mrtd
from support.dstack_guest import ACPI, MEMORY, WITNESS, image_config, measurement
from support.reference_firmware import tdx_firmware, tdx_metadata
from support.reference_pe import linux_kernel

FIRMWARE = tdx_firmware(
    tdx_metadata(
        [
            (0x1000, 0x2000, 0xFFFFE000, 0x2000, 0, 1),
            (0, 0, 0x810000, 0x10000, 3, 0),
            (0, 0, 0x80B000, 0x2000, 3, 0),
            (0, 0, 0x809000, 0x2000, 2, 0),
            (0, 0, 0x800000, 0x6000, 3, 0),
        ]
    )
)
KERNEL = linux_kernel()
LINE = "console=ttyS0 quiet"
METADATA = {"bios": "ovmf.fd", "initrd": "initramfs", "kernel": "bzImage", "cmdline": LINE}


def document(**changes) -> bytes:
    image = parse_firmware(FIRMWARE)
    orders = {"single_pass": mrtd(image, two_pass=False), "two_pass": mrtd(image, two_pass=True)}
    content = {
        "image": {
            "cmdline_sha384": command_line_digest(LINE),
            "kernel_authenticode": patched_digest(Artefact.of(KERNEL), 6, HIGH_MEMORY_BYTES),
            "initrd_sha384": hashlib.sha384(b"initrd").digest(),
        },
        "tdvf": {"ovmf": "pre202505", "mrtd": orders, "td_hob": WITNESS},
    }
    for name, value in changes.items():
        part = content["tdvf"]["mrtd"] if name in orders else content["image"]
        part = content["tdvf"] if name == "td_hob" else part
        part[name] = value
    return measurement(**content)


def unpacked(path, *, listed=None, **files: bytes):
    found = {
        "ovmf.fd": FIRMWARE,
        "initramfs": b"initrd",
        "bzImage": KERNEL,
        "metadata.json": json.dumps(METADATA).encode(),
        "measurement.tdx.cbor": document(),
    } | {name.replace("__", "."): content for name, content in files.items()}
    lines = "".join(f"{hashlib.sha256(found[name]).hexdigest()}  {name}\n" for name in found)
    for name, content in found.items():
        (path / name).write_bytes(content)
    (path / "sha256sum.txt").write_text(lines if listed is None else listed(lines))
    return path


def code(path, kind=ReferenceValueError, **given) -> str:
    with pytest.raises(kind) as caught:
        measure(path, memory_bytes=None, acpi=None, **given)
    return caught.value.code


def test_registers_are_those_of_the_measurement_document(tmp_path):
    unpacked(tmp_path)
    listed = (tmp_path / "sha256sum.txt").read_bytes()
    image = parse_document(json.loads(image_config(document(), listed))["tdx_measurement"])
    found = measure(tmp_path, memory_bytes=MEMORY, acpi=ACPI)
    assert found.registers == {
        "mr_td": {image.mrtd_single_pass, image.mrtd_two_pass},
        "rtmr0": {image.rtmr0(MEMORY, ACPI)},
        "rtmr1": {image.rtmr1()},
        "rtmr2": {image.rtmr2()},
    }
    assert found.parameters == {
        "memory_bytes": str(MEMORY),
        "os_image_hash": hashlib.sha256(listed).hexdigest(),
    }
    assert (found.platform, [each.role for each in found.artefacts]) == ("tdx", ["file"] * 5)
    assert len(found.notes) == 1
    assert "RTMR3" in found.notes[0]


def test_an_image_at_its_bounds_is_measured(tmp_path):
    metadata = json.dumps(METADATA).encode()
    more = {f"f{at}": b"" for at in range(27)}
    unpacked(tmp_path, metadata__json=metadata.ljust(1 << 16), **more)
    assert len(measure(tmp_path, memory_bytes=None, acpi=None).artefacts) == 32
    unpacked(tmp_path, **more, f27=b"")
    assert code(tmp_path) == "reference.dstack.file"
    unpacked(tmp_path, metadata__json=metadata.ljust((1 << 16) + 1))
    assert code(tmp_path) == "reference.artefact.size"


def test_without_the_machine_rtmr0_is_left_out(tmp_path):
    unpacked(tmp_path)
    for given in ({"memory_bytes": MEMORY, "acpi": None}, {"memory_bytes": None, "acpi": ACPI}):
        found = measure(tmp_path, **given)
        assert found.registers.keys() == {"mr_td", "rtmr1", "rtmr2"}
        assert any("were not given" in note for note in found.notes)


@pytest.mark.parametrize("order", ["single_pass", "two_pass", "td_hob"])
def test_a_document_that_states_another_firmware(tmp_path, order):
    unpacked(tmp_path, measurement__tdx__cbor=document(**{order: bytes(48)}))
    assert code(tmp_path) == "reference.dstack.firmware"


def test_little_memory_moves_the_initrd_and_with_it_rtmr1(tmp_path):
    unpacked(tmp_path)
    usual = measure(tmp_path, memory_bytes=None, acpi=None)
    for memory, same in ((MEMORY, True), (2 << 30, True), (1 << 30, False)):
        found = measure(tmp_path, memory_bytes=memory, acpi=None)
        assert (found.registers["rtmr1"] == usual.registers["rtmr1"]) is same
        assert len(found.notes) == len(usual.notes) - 1


def test_a_document_that_states_another_kernel_initrd_or_command_line(tmp_path):
    unpacked(tmp_path, measurement__tdx__cbor=document(kernel_authenticode=bytes(48)))
    assert code(tmp_path) == "reference.dstack.kernel"
    unpacked(tmp_path, measurement__tdx__cbor=document(initrd_sha384=bytes(48)))
    assert code(tmp_path) == "reference.dstack.initrd"
    unpacked(tmp_path, measurement__tdx__cbor=document(cmdline_sha384=bytes(48)))
    assert code(tmp_path) == "reference.dstack.cmdline"


def test_a_file_that_is_not_the_listed_one(tmp_path):
    unpacked(tmp_path)
    (tmp_path / "bzImage").write_bytes(b"another")
    assert code(tmp_path) == "reference.dstack.file"
    (tmp_path / "bzImage").unlink()
    assert code(tmp_path) == "reference.artefact.unreadable"


@pytest.mark.parametrize(
    "listed",
    [
        lambda lines: lines + f"{'0' * 64}  ../outside\n",
        lambda lines: lines + f"{'0' * 64}  .hidden\n",
        lambda lines: lines + f"{'0' * 64}  folder/file\n",
        lambda lines: lines + "".join(f"{'0' * 64}  f{index}\n" for index in range(28)),
        lambda lines: "".join(line for line in lines.splitlines(True) if "metadata" not in line),
        lambda lines: "".join(line for line in lines.splitlines(True) if "ovmf" not in line),
        lambda lines: "".join(line for line in lines.splitlines(True) if "initramfs" not in line),
    ],
)
def test_a_checksum_file_that_lists_too_little_or_too_much(tmp_path, listed):
    unpacked(tmp_path, listed=listed)
    assert code(tmp_path) == "reference.dstack.file"


def test_metadata_that_says_nothing(tmp_path):
    for data in (
        b"[]",
        json.dumps(METADATA | {"bios": 1}).encode(),
        json.dumps({**METADATA, "cmdline": None}),
    ):
        unpacked(tmp_path, metadata__json=data if isinstance(data, bytes) else data.encode())
        assert code(tmp_path) == "reference.dstack.metadata"


def test_a_document_that_is_not_listed(tmp_path):
    unpacked(tmp_path)
    (tmp_path / "measurement.tdx.cbor").write_bytes(document() + b"\0")
    assert code(tmp_path, EvidenceError) == "dstack.os_image.measurement_hash"


def test_it_is_typed(tmp_path, capsys):
    unpacked(tmp_path)
    acpi = ("--acpi", *(digest.hex() for digest in ACPI))
    assert main(["measure", "dstack", str(tmp_path), "--memory", str(MEMORY), *acpi, "--json"]) == 0
    assert "rtmr0" in json.loads(capsys.readouterr().out)["registers"]
    for wrong in ("00", "x"):
        assert main(["measure", "dstack", str(tmp_path), "--acpi", wrong, wrong, wrong]) == 2
        assert "[cli.measure.digest]" in capsys.readouterr().err
    assert main(["measure", "dstack", str(tmp_path)]) == 0
