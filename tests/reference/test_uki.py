"""PCR 4, 9 and 11 of a machine that boots a unified kernel image.

The digests of sections and phases agree with systemd-measure, where that is installed; see the last test.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.pe import authenticode
from assay.reference.uki import PHASES, measure, measure_boot, pcr4, pcr9, pcr11, section_digests
from support.reference_pe import pe, uki

SYSTEMD_MEASURE = Path("/usr/lib/systemd/systemd-measure")
KERNEL = pe([(".text", b"kernel")])


INITRD = b"initrd" * 100


def packed_by_the_stub(path, path_size, content, size):
    """An archive of cpio, written out: what differs is a file's path and content, padded, and their sizes."""
    return (
        b"070701"
        b"00000001"
        b"0000416d"
        b"00000000"
        b"00000000"
        b"00000001"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000007"
        b"00000000"
        b".extra\0\0\0\0"
        b"070701"
        b"00000002"
        b"00008124"
        b"00000000"
        b"00000000"
        b"00000001"
        b"00000000" + size + b"00000000"
        b"00000000"
        b"00000000"
        b"00000000" + path_size + b"00000000" + path + content + b"070701"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000001"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000000"
        b"00000000"
        b"0000000B"
        b"00000000"
        b"TRAILER!!!\0\0\0\0"
    )


OSREL = packed_by_the_stub(b".extra/os-release\0", b"00000012", b"ID=test\n", b"00000008")


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def extended(*digests: bytes) -> bytes:
    value = bytes(32)
    for digest in digests:
        value = sha(value + digest)
    return value


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def test_sections_are_measured_in_the_order_of_the_specification():
    image = Artefact.of(uki(uname=b"6.12", sbat=b"sbat", pcrsig=b"no"))
    names = [name for name, _ in section_digests(image, "sha256")]
    assert names == [".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat"]


def test_every_section_of_the_specification_but_the_signatures_is_measured():
    order = ["ucode", "splash", "dtb", "uname", "sbat", "pcrpkey", "profile", "dtbauto", "hwids", "efifw"]
    image = Artefact.of(uki(pcrsig=b"no", **{name: name.encode() for name in reversed(order)}))
    found = list(section_digests(image, "sha256"))
    assert [name for name, _ in found[:4]] == [".linux", ".osrel", ".cmdline", ".initrd"]
    assert found[4:] == [(f".{name}", sha(name.encode())) for name in order]


def test_pcr11_holds_sections_then_phases():
    image = Artefact.of(uki())
    steps = []
    for name, content in (
        (b".linux", b"not a PE image"),
        (b".osrel", b"ID=test\n"),
        (b".cmdline", b"quiet splash\0"),
        (b".initrd", b"initrd" * 100),
    ):
        steps += [sha(name + b"\0"), sha(content)]
    assert pcr11(image, (), "sha256") == extended(*steps)
    assert pcr11(image, PHASES[:1], "sha256") == extended(*steps, sha(b"enter-initrd"))


def test_a_section_is_measured_as_it_lies_in_memory():
    padded = pe([(".linux", b"k", 600, 0x400, 512)], headers=0x400)
    found = dict(section_digests(Artefact.of(padded), "sha256"))
    assert found[".linux"] == sha(b"k" + bytes(599))
    widest = pe([(".linux", b"k", 512 + (1 << 20), 0x400, 512)])
    found = dict(section_digests(Artefact.of(widest), "sha256"))
    assert found[".linux"] == sha(b"k" + bytes(511 + (1 << 20)))
    swollen = pe([(".linux", b"k", 512 + (1 << 20) + 1, 0x400, 512)])
    assert code(lambda: list(section_digests(Artefact.of(swollen), "sha256"))) == "reference.uki.section"


def test_pcr4_holds_what_firmware_started():
    steps = (sha(b"Calling EFI Application from Boot Option"), sha(bytes(4)))
    assert pcr4([b"a" * 32, b"b" * 32], "sha256") == extended(*steps, b"a" * 32, b"b" * 32)


def test_pcr9_holds_command_line_and_initrd():
    line = "quiet".encode("utf-16-le") + bytes(2)
    assert pcr9("quiet", None, "sha256") == extended(sha(line))
    assert pcr9("quiet", Artefact.of(b"initrd"), "sha256") == extended(sha(line), sha(b"initrd"))


def test_an_image_is_measured_with_what_was_started_before_it():
    image = Artefact.of(uki(kernel=KERNEL), "linux.efi")
    shim = Artefact.of(pe([(".text", b"shim")]), "shimx64.efi")
    found = measure(image, started_before=[shim])
    kernel = authenticode(Artefact.of(KERNEL), "sha256")
    before = [authenticode(shim, "sha256"), authenticode(image, "sha256")]
    assert found.registers == {
        "pcr4": {pcr4(before, "sha256"), pcr4([*before, kernel], "sha256")},
        "pcr9": {pcr9("quiet splash", Artefact.of(each), "sha256") for each in (INITRD, INITRD + OSREL)},
        "pcr11": {pcr11(image, PHASES, "sha256")},
    }
    assert [each.role for each in found.artefacts] == ["efi", "uki"]
    assert found.parameters == {"phases": "enter-initrd:leave-initrd:sysinit:ready", "bank": "sha256"}
    assert (found.platform, len(found.notes)) == ("tpm", 5)


def test_a_kernel_that_firmware_cannot_start_leaves_one_value():
    found = measure(Artefact.of(uki()), algorithm="sha384")
    assert {name: len(values) for name, values in found.registers.items()} == {
        "pcr4": 1,
        "pcr9": 2,
        "pcr11": 1,
    }
    assert {len(value) for values in found.registers.values() for value in values} == {48}


def test_a_kernel_that_is_not_whole_in_the_file_leaves_one_value():
    found = measure(Artefact.of(pe([(".linux", KERNEL, len(KERNEL) + 1, 0x400, len(KERNEL))])))
    assert len(found.registers["pcr4"]) == 1


@pytest.mark.parametrize(
    ("section", "line"),
    [
        (b"root=X\0", "root=X"),
        (b"root=X", "root=X"),
        (b"quiet\n\0", "quiet"),
        (b"quiet\0\0", "quiet"),
        (b"quiet\0splash\0", "quiet"),
        (b"\t quiet\nsplash \x7f\0", "quiet splash"),
        (b"a  b", "a  b"),
        ("\uffff\U00010000x".encode(), "\uffffx"),
        (b" ", ""),
    ],
)
def test_pcr9_is_of_the_command_line_as_the_stub_hands_it_on(section, line):
    found = measure(Artefact.of(pe([(".linux", b"k"), (".cmdline", section)])))
    assert found.registers["pcr9"] == {pcr9(line, None, "sha256")}


@pytest.mark.parametrize("command_line", [[], [(".cmdline", b"")]])
def test_without_a_command_line_nothing_is_said_of_pcr9(command_line):
    found = measure(Artefact.of(pe([(".linux", b"k"), (".initrd", b"i"), *command_line])))
    assert found.registers.keys() == {"pcr4", "pcr11"}


def handed_over(*sections):
    """The two values of PCR 9 of an image with these sections."""
    image = pe([(".linux", b"k"), (".cmdline", b"x"), *sections])
    return measure(Artefact.of(image)).registers["pcr9"]


def with_initrd(data):
    return pcr9("x", Artefact.of(data) if data else None, "sha256")


def test_pcr9_is_of_one_initrd_that_the_stub_makes():
    named = {
        ".profile": (b".extra/profile\0\0\0\0", b"0000000f", b"ID=p", b"00000004"),
        ".pcrsig": (b".extra/tpm2-pcr-signature.json\0\0\0\0", b"0000001f", b"{}\0\0", b"00000002"),
        ".pcrpkey": (b".extra/tpm2-pcr-public-key.pem\0\0\0\0", b"0000001f", b"pem\0", b"00000003"),
    }
    packed = {name: packed_by_the_stub(*each) for name, each in named.items()}
    contents = [(".profile", b"ID=p"), (".pcrsig", b"{}"), (".pcrpkey", b"pem"), (".osrel", b"ID=test\n")]
    before = b"initrd\0\0" + packed[".pcrsig"] + packed[".pcrpkey"]
    assert handed_over((".initrd", b"initrd"), *contents) == {
        with_initrd(before),
        with_initrd(before + OSREL + packed[".profile"]),
    }
    microcode = (".ucode", b"microcode")
    assert handed_over((".initrd", b"initrd"), microcode) == {with_initrd(b"microcode\0\0\0initrd\0\0")}
    assert handed_over((".initrd", b"initrd")) == {with_initrd(b"initrd")}
    assert handed_over((".osrel", b"ID=test\n")) == {with_initrd(b""), with_initrd(OSREL)}


def test_an_initrd_is_handed_over_as_it_lies_in_memory():
    image = pe([(".linux", b"k"), (".cmdline", b"x"), (".initrd", b"i" * 512, 515, 0x800, 512)])
    found = measure(Artefact.of(image)).registers["pcr9"]
    assert found == {with_initrd(b"i" * 512 + bytes(3))}


def test_what_a_stub_packs_has_a_bound():
    assert handed_over((".pcrsig", b"x" * (1 << 20)))
    image = pe([(".linux", b"k"), (".cmdline", b"x"), (".pcrsig", b"x" * ((1 << 20) + 1))])
    assert code(lambda: measure(Artefact.of(image))) == "reference.uki.section"


def test_a_section_of_no_size_is_none():
    assert pcr11(Artefact.of(pe([(".linux", b"k"), (".profile", b"")])), (), "sha256") == pcr11(
        Artefact.of(pe([(".linux", b"k")])), (), "sha256"
    )
    assert code(lambda: measure(Artefact.of(pe([(".linux", b"")])))) == "reference.uki.not_unified"


def test_phases_are_words():
    image = Artefact.of(uki())
    for phases in (("a\udcff",), ("two words",), ("a:b",), ("",), ("x" * 65,), ("x",) * 65):
        assert code(lambda phases=phases: measure(image, phases=phases)) == "reference.uki.phase"
    assert measure(image, phases=("x" * 64,) * 64).registers["pcr11"]


def test_images_that_cannot_be_measured():
    assert code(lambda: measure(Artefact.of(KERNEL))) == "reference.uki.not_unified"
    assert code(lambda: measure(Artefact.of(uki()), algorithm="sha1")) == "reference.uki.algorithm"
    for line in (b"\xff", b"x" * (64 * 1024 + 1)):
        image = Artefact.of(uki(command_line=line))
        assert code(lambda image=image: measure(image)) == "reference.uki.section"
    cut = pe([(".linux", b"k"), (".cmdline", b"quiet", 513, 0x600, 512)])
    assert code(lambda: measure(Artefact.of(cut))) == "reference.uki.section"
    assert measure(Artefact.of(uki(command_line=b"x" * (64 * 1024)))).registers["pcr9"]


def test_a_kernel_that_firmware_starts_by_itself():
    kernel, manager = Artefact.of(KERNEL, "vmlinuz"), Artefact.of(pe([(".text", b"boot")]))
    found = measure_boot(
        kernel, initrd=Artefact.of(b"initrd"), command_line="quiet", started_before=[manager]
    )
    started = [authenticode(each, "sha256") for each in (manager, kernel)]
    assert found.registers == {
        "pcr4": {pcr4(started, "sha256")},
        "pcr9": {pcr9("quiet", Artefact.of(b"initrd"), "sha256")},
    }
    assert [each.role for each in found.artefacts] == ["efi", "kernel", "initrd"]
    assert (found.platform, found.parameters) == ("tpm", {"bank": "sha256", "cmdline": "quiet"})
    alone = measure_boot(kernel, initrd=None, command_line="x" * 65536, algorithm="sha384")
    assert {len(value) for values in alone.registers.values() for value in values} == {48}
    for line in ("a\0b", "x" * 65537, "a\udcff"):
        assert code(lambda line=line: measure_boot(kernel, initrd=None, command_line=line)) == (
            "reference.uki.command_line"
        )
    assert code(lambda: measure_boot(kernel, initrd=None, command_line="", algorithm="md5")) == (
        "reference.uki.algorithm"
    )


@given(st.binary(max_size=64), st.integers(0, 1500))
def test_whatever_the_image_holds_an_error_of_ours_answers(noise, at):
    data = uki(kernel=KERNEL)
    with suppress(ReferenceValueError):
        measure(Artefact.of(data[:at] + noise + data[at + len(noise) :]))


@pytest.mark.skipif(not SYSTEMD_MEASURE.exists(), reason="systemd-measure is not installed")
def test_systemd_measure_computes_the_same(tmp_path):
    image = Artefact.of(uki(kernel=KERNEL))
    command = [str(SYSTEMD_MEASURE), "calculate", "--bank=sha256"]
    contents = {
        "linux": KERNEL,
        "osrel": b"ID=test\n",
        "cmdline": b"quiet splash\0",
        "initrd": b"initrd" * 100,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        command.append(f"--{name}={tmp_path / name}")
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = re.findall("sha256=([0-9a-f]{64})", text)
    assert theirs == [pcr11(image, PHASES[:count], "sha256").hex() for count in range(1, 5)]
