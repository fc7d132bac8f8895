"""The table of a firmware image and the sections of its SEV metadata."""

from __future__ import annotations

from contextlib import suppress
from struct import pack
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.reference.ovmf import (
    SEV_ES_RESET_BLOCK,
    SEV_METADATA,
    SevSection,
    parse_firmware,
    sev_sections,
)
from support.reference_firmware import entry, image, sev_firmware, sev_metadata, table

OTHER = UUID("00000000-0000-0000-0000-000000000001")
ONE = [(0x800000, 0x1000, 1)]


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def test_a_table_is_read_backwards():
    firmware = parse_firmware(image(table(entry(OTHER, b"abc"), entry(SEV_METADATA, b"0123"))))
    assert firmware.table == {OTHER: b"abc", SEV_METADATA: b"0123"}
    assert firmware.address() == (1 << 32) - 8192


def test_an_image_without_a_table_has_an_empty_one():
    assert parse_firmware(bytes(4096)).table == {}
    assert parse_firmware(image(table())).table == {}


def test_tables_and_images_at_every_bound():
    assert parse_firmware(image(table(entry(OTHER, b"")))).table == {OTHER: b""}
    largest = bytes(4096 - 2 * 18)
    assert parse_firmware(image(table(entry(OTHER, largest)))).table == {OTHER: largest}
    larger = image(table(entry(OTHER, largest + b"\0")))
    assert code(lambda: parse_firmware(larger)) == "reference.ovmf.table"
    whole = bytes(4096 - 32 - 2 * 18)
    assert parse_firmware(image(table(entry(OTHER, whole)), pages=1)).table == {OTHER: whole}
    assert parse_firmware(bytes(64 << 20)).address() == (1 << 32) - (64 << 20)


@pytest.mark.parametrize("data", [b"", bytes(4095), bytes((64 << 20) + 4096)])
def test_an_image_has_whole_pages_and_a_bound(data):
    assert code(lambda: parse_firmware(data)) == "reference.ovmf.size"


@pytest.mark.parametrize(
    "found",
    [
        table(size=17),
        table(entry(OTHER, b""), size=4097),
        table(entry(OTHER, b""), size=18 + 17),
        table(entry(OTHER, b"", size=17)),
        table(entry(OTHER, b"", size=19)),
        table(entry(OTHER, b"a"), entry(OTHER, b"b")),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(found):
    assert code(lambda: parse_firmware(image(found))) == "reference.ovmf.table"


def test_a_table_larger_than_its_image_is_refused():
    assert code(lambda: parse_firmware(image(table(size=4090), pages=1))) == "reference.ovmf.table"


def test_an_image_ends_where_it_is_told_to():
    firmware = parse_firmware(bytes(8192))
    assert firmware.address(8192) == 0
    assert code(lambda: firmware.address(8191)) == "reference.ovmf.address"


def test_entries_are_numbers_and_offsets():
    firmware = parse_firmware(image(table(entry(OTHER, b"\1\0\0"), entry(SEV_METADATA, pack("<I", 8193)))))
    assert code(lambda: firmware.word(SEV_ES_RESET_BLOCK, "x")) == "reference.ovmf.entry_missing"
    assert code(lambda: firmware.word(OTHER, "x")) == "reference.ovmf.entry"
    assert code(lambda: firmware.pointed(SEV_METADATA, "x", 0)) == "reference.ovmf.offset"
    assert parse_firmware(image(table(entry(OTHER, pack("<I", 16))))).pointed(OTHER, "x", 16) == 8192 - 16
    assert (
        code(lambda: parse_firmware(image(table(entry(OTHER, pack("<I", 15))))).pointed(OTHER, "x", 16))
        == "reference.ovmf.offset"
    )


def test_sections_are_read_in_order():
    found = sev_sections(parse_firmware(sev_firmware()))
    assert [each.kind for each in found] == [1, 2, 3, 4, SevSection.KERNEL_HASHES, 1]
    assert (found[0].address, found[0].size) == (0x800000, 0x2000)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (sev_metadata(ONE, magic=b"ASEX"), "sev_metadata"),
        (sev_metadata(ONE, version=2), "sev_metadata"),
        (sev_metadata(ONE, count=2), "sev_metadata"),
        (sev_metadata(ONE, size=27), "sev_metadata"),
        (sev_metadata(ONE * 65), "sev_metadata"),
        (sev_metadata([(0x800000, 0x1000, 5)]), "section"),
        (sev_metadata([(0x800001, 0x1000, 1)]), "section"),
        (sev_metadata([(0x800000, 0x1001, 1)]), "section"),
        (sev_metadata([(0x800000, 0, 1)]), "section"),
        (sev_metadata([(0xFFFFF000, 0x2000, 1)]), "section"),
        (sev_metadata([(0, 0x20000000, 1), (0, 0x20000000, 1), (0, 0x1000, 1)]), "section"),
    ],
)
def test_sections_that_cannot_be_are_refused(metadata, expected):
    firmware = parse_firmware(sev_firmware(metadata))
    assert code(lambda: sev_sections(firmware)) == f"reference.ovmf.{expected}"


def test_sections_at_every_bound():
    top = sev_metadata([(0xFFFFF000, 0x1000, 1)] * 64)
    assert len(sev_sections(parse_firmware(sev_firmware(top)))) == 64
    half = sev_metadata([(0, 0x20000000, 1)] * 2)
    assert len(sev_sections(parse_firmware(sev_firmware(half)))) == 2


def test_metadata_ends_within_the_image():
    cut = image(table(entry(SEV_METADATA, pack("<I", 16))), pages=1)
    cut = cut[:-16] + sev_metadata(ONE)[:16]
    assert code(lambda: sev_sections(parse_firmware(cut))) == "reference.ovmf.sev_metadata"
    # Sections up to the last byte are read: those that the table overlaps make no sense.
    at = 16 + 6 * 12
    whole = bytearray(image(table(entry(SEV_METADATA, pack("<I", at))), pages=1))
    whole[-at : 16 - at] = sev_metadata(ONE * 6)[:16]
    assert code(lambda: sev_sections(parse_firmware(bytes(whole)))) == "reference.ovmf.section"


@given(st.binary(min_size=200, max_size=400), st.integers(0, 400))
def test_whatever_the_bytes_are_an_error_of_ours_answers(noise, at):
    whole = bytearray(sev_firmware(pages=1))
    whole[4096 - len(noise) - at : 4096 - at] = noise
    with suppress(ReferenceValueError):
        sev_sections(parse_firmware(bytes(whole[:4096])))
