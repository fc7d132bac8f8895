"""MRTD from the sections of a firmware image."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.ovmf import parse_firmware
from assay.reference.tdvf import TdvfKind, hand_off_witness, measure, mrtd, tdvf_sections
from support.reference_firmware import sev_firmware, tdx_firmware, tdx_metadata

BOOT = (0x1000, 0x1000, 0xFFFFF000, 0x1000, 0, 1)
MEMORY = (0, 0, 0x800000, 0x2000, 3, 0)
AUGMENTED = (0, 0, 0x900000, 0x1000, 4, 2)


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def firmware(*sections, **given):
    return parse_firmware(tdx_firmware(tdx_metadata(sections, **given)))


def added(page: int) -> bytes:
    return b"MEM.PAGE.ADD".ljust(16, b"\0") + page.to_bytes(8, "little") + bytes(104)


def extended(page: int, content: bytes) -> bytes:
    return b"".join(
        b"MR.EXTEND".ljust(16, b"\0")
        + (page + at).to_bytes(8, "little")
        + bytes(104)
        + content[at : at + 256]
        for at in range(0, 4096, 256)
    )


def test_pages_are_added_and_extended_in_order():
    found = firmware(BOOT, MEMORY)
    content = found.data[0x1000:0x2000]
    whole = added(0xFFFFF000) + extended(0xFFFFF000, content) + added(0x800000) + added(0x801000)
    assert mrtd(found, two_pass=False) == hashlib.sha384(whole).digest()
    assert mrtd(found, two_pass=True) == mrtd(found, two_pass=False)


def test_the_orders_differ_when_a_section_has_pages():
    found = firmware((0x1000, 0x1800, 0xFFFFE000, 0x2000, 0, 1))
    first, second = found.data[0x1000:0x2000], found.data[0x2000:0x2800] + bytes(0x800)
    parts = [
        added(0xFFFFE000),
        extended(0xFFFFE000, first),
        added(0xFFFFF000),
        extended(0xFFFFF000, second),
    ]
    assert mrtd(found, two_pass=False) == hashlib.sha384(b"".join(parts)).digest()
    order = [parts[0], parts[2], parts[1], parts[3]]
    assert mrtd(found, two_pass=True) == hashlib.sha384(b"".join(order)).digest()


def test_pages_that_the_guest_adds_later_are_not_measured():
    assert mrtd(firmware(BOOT, AUGMENTED), two_pass=False) == mrtd(firmware(BOOT), two_pass=False)


def test_memory_behind_the_content_is_zero():
    found = firmware((0, 0, 0x800000, 0x2000, 5, 1))
    whole = b"".join(added(page) + extended(page, bytes(4096)) for page in (0x800000, 0x801000))
    assert mrtd(found, two_pass=False) == hashlib.sha384(whole).digest()


def test_the_witness_of_the_hand_off_blocks():
    found = firmware(BOOT, (0, 0, 0x810000, 0x10000, 3, 0), (0, 0, 0x809000, 0x2000, 2, 0), AUGMENTED)
    assert hand_off_witness(found).hex() == "891000" + "02" + "0002" + "0710"
    below = firmware(BOOT, (0, 0, 0x809000, 0x2000, 2, 0), (0, 0, 0x800000, 0x6000, 3, 0))
    assert hand_off_witness(below).hex() == "8010" + "09" + "02" + "0006" + "0902"
    for sections in ((BOOT,), (BOOT, MEMORY), ((0, 0, 0, 0x1000, 2, 0),) * 2, ((0, 0, 0, 0, 2, 0),)):
        image = firmware(*sections)
        assert code(lambda image=image: hand_off_witness(image)) == "reference.tdvf.section"


def test_both_orders_are_values_of_a_measured_file():
    data = tdx_firmware(tdx_metadata([(0x1000, 0x2000, 0xFFFFE000, 0x2000, 0, 1)]))
    found = measure(Artefact.of(data, "TDVF.fd"))
    image = parse_firmware(data)
    assert found.registers == {"mr_td": {mrtd(image, two_pass=order) for order in (False, True)}}
    assert (found.platform, found.artefacts[0].role) == ("tdx", "firmware")
    assert len(found.notes) == 1


def test_sections_are_read():
    boot, memory, later = tdvf_sections(firmware(BOOT, MEMORY, AUGMENTED))
    assert (boot.kind, boot.extended, boot.added) == (TdvfKind.BOOT_VOLUME, True, True)
    assert (memory.extended, memory.added, memory.size) == (False, True, 0x2000)
    assert (later.extended, later.added) == (False, False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"magic": b"TDVX"}, "metadata"),
        ({"version": 2}, "metadata"),
        ({"count": 0, "length": 16}, "metadata"),
        ({"count": 2}, "metadata"),
        ({"length": 47}, "metadata"),
    ],
)
def test_a_header_that_is_wrong(given, expected):
    assert code(lambda: tdvf_sections(firmware(BOOT, **given))) == f"reference.tdvf.{expected}"


def test_too_many_sections():
    assert len(tdvf_sections(firmware(*[BOOT] * 64))) == 64
    assert code(lambda: tdvf_sections(firmware(*[BOOT] * 65))) == "reference.tdvf.metadata"


@pytest.mark.parametrize(
    "section",
    [
        (0, 0, 0, 0x1000, 9, 0),
        (0, 0, 0, 0x1000, 0, 4),
        (0, 0, 0, 0x1000, 0, 3),
        (0, 0, 1, 0x1000, 0, 0),
        (0, 0, 0, 0x1001, 0, 0),
        (0, 0, (1 << 52) - 0x1000, 0x2000, 0, 0),
        (0, 0x1001, 0, 0x1000, 0, 0),
        (0x3001, 0x1000, 0, 0x1000, 0, 0),
        (0, 0, 0, 0x40001000, 0, 0),
    ],
)
def test_a_section_that_cannot_be(section):
    assert code(lambda: tdvf_sections(firmware(section))) == "reference.tdvf.section"


def test_sections_at_every_bound():
    tdvf_sections(firmware((0x3000, 0x1000, (1 << 52) - 0x40000000, 0x40000000, 8, 0)))


def test_the_metadata_is_announced_and_whole():
    metadata = tdx_metadata([BOOT])
    assert code(lambda: tdvf_sections(parse_firmware(tdx_firmware(metadata, guid=bytes(16))))) == (
        "reference.tdvf.metadata"
    )
    for pointer in (4 * 4096, 4 * 4096 - 15):
        wrong = tdx_firmware(metadata, pointer=pointer)
        assert code(lambda wrong=wrong: tdvf_sections(parse_firmware(wrong))) == "reference.tdvf.metadata"
    data = bytearray(tdx_firmware(metadata, pointer=16))
    data[-32:] = bytes.fromhex("f3f9eae98e16d544a8eb7f4d8738f6ae") + metadata[:16]
    assert code(lambda: tdvf_sections(parse_firmware(bytes(data)))) == "reference.tdvf.metadata"
    # Sections up to the last byte are read: those that the image's table overlaps make no sense.
    last = 16 + 3 * 32
    data = bytearray(tdx_firmware(metadata, pointer=last))
    data[-last - 16 : 16 - last] = (
        bytes.fromhex("f3f9eae98e16d544a8eb7f4d8738f6ae") + tdx_metadata([BOOT] * 3)[:16]
    )
    assert code(lambda: tdvf_sections(parse_firmware(bytes(data)))) == "reference.tdvf.section"
    assert code(lambda: mrtd(parse_firmware(sev_firmware()), two_pass=True)) == (
        "reference.ovmf.entry_missing"
    )


@given(st.binary(min_size=1, max_size=64), st.integers(0, 100))
def test_whatever_the_metadata_holds_an_error_of_ours_answers(noise, at):
    data = bytearray(tdx_firmware(tdx_metadata([BOOT])))
    data[16 + at : 16 + at + len(noise)] = noise
    with suppress(ReferenceValueError):
        tdvf_sections(parse_firmware(bytes(data)))
