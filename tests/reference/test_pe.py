"""PE images and their Authenticode digest."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import ReferenceValueError
from assay.reference.artefact import Artefact
from assay.reference.pe import authenticode, parse_pe
from support.reference_pe import pe

TWO = [(".text", b"a" * 700), (".data", b"b" * 100)]


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def digest(data: bytes) -> bytes:
    return authenticode(Artefact.of(data), "sha256")


def without(data: bytes, *holes: tuple[int, int]) -> bytes:
    kept, at = b"", 0
    for start, end in holes:
        kept, at = kept + data[at:start], end
    return hashlib.sha256(kept + data[at:]).digest()


def optional_header(entries: int) -> bytes:
    """Return an optional header that is right but for what it says of its directory."""
    image = pe(TWO, entries=16)
    return image[64 + 24 : 64 + 24 + 108] + pack("<I", entries) + bytes(8 * 16)


def test_a_header_that_is_right_is_read():
    assert digest(pe(TWO, optional=optional_header(16))) == digest(pe(TWO))


@pytest.mark.parametrize(("plus", "directory"), [(True, 112), (False, 96)])
def test_checksum_and_certificates_are_left_out(plus, directory):
    signed = pe(TWO, plus=plus, tail=b"tail" * 3, certificates=b"signature")
    optional = 64 + 24
    entry = optional + directory + 32
    holes = [
        (optional + 64, optional + 68),
        (entry, entry + 8),
        (len(signed) - 9, len(signed)),
    ]
    assert digest(signed) == without(signed, *holes)
    assert digest(signed) == digest(pe(TWO, plus=plus, tail=b"tail" * 3))


def test_an_image_without_an_entry_for_certificates():
    image = pe(TWO, entries=4)
    assert digest(image) == without(image, (64 + 24 + 64, 64 + 24 + 68))
    assert parse_pe(Artefact.of(image)).directory is None


@pytest.mark.parametrize(
    ("image", "directory"),
    [
        (pe([]), 64 + 24 + 144),
        (pe(TWO, headers=64 + 24 + 240 + 2 * 40), 64 + 24 + 144),
        (pe(TWO, entries=0), None),
        (pe(TWO, entries=5), 64 + 24 + 144),
        (pe(TWO, count=96, headers=0x2000), 64 + 24 + 144),
        (pe(TWO, headers=1 << 20), 64 + 24 + 144),
    ],
)
def test_headers_at_every_bound(image, directory):
    assert parse_pe(Artefact.of(image)).directory == directory
    hole = [] if directory is None else [(directory, directory + 8)]
    assert digest(image) == without(image, (64 + 24 + 64, 64 + 24 + 68), *hole)


def test_sections_are_hashed_by_their_place():
    first = pe([(".a", b"x", 1, 0x400, 512), (".b", b"y", 1, 0x600, 512)])
    turned = pe([(".b", b"x", 1, 0x600, 512), (".a", b"y", 1, 0x400, 512)])
    ranges = parse_pe(Artefact.of(turned)).hashed()
    assert ranges == parse_pe(Artefact.of(first)).hashed()
    assert ranges[3:] == [(0x400, 0x600), (0x600, 0x800), (0x800, 0x800)]


def test_a_section_without_content_in_the_file_is_not_hashed():
    image = parse_pe(Artefact.of(pe([(".a", b"x"), (".bss", b"", 4096, 0, 0)])))
    assert image.hashed()[-2:] == [(0x400, 0x600), (0x600, 0x600)]
    assert image.section(".bss").size == 4096
    assert image.section(".other") is None
    assert parse_pe(Artefact.of(pe([(".aX", b"x")]))).section(".aX").raw_size == 512


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (b"", "artefact.truncated"),
        (pe(TWO)[:63], "artefact.truncated"),
        (b"ZM" + pe(TWO)[2:], "pe.header"),
        (pe(TWO)[:60] + pack("<I", 63) + pe(TWO)[64:], "pe.header"),
        (pe(TWO)[:60] + pack("<I", (1 << 20) + 1) + pe(TWO)[64:], "pe.header"),
        (pe(TWO)[:60] + pack("<I", 1 << 20) + pe(TWO)[64:], "artefact.truncated"),
        (pe(TWO, magic=b"PX\0\0"), "pe.header"),
        (pe(TWO, count=97, headers=0x2000), "pe.header"),
        (pe(TWO, optional=b"\x0c\x02" + bytes(200)), "pe.header"),
        (pe(TWO, optional=b"\x0b\x02" + bytes(109)), "pe.header"),
        (pe(TWO, optional=b""), "pe.header"),
        (pe(TWO, entries=17), "pe.header"),
        (pe(TWO, optional=optional_header(16)[:-1]), "pe.header"),
        (pe(TWO, optional=b"\x0b\x02" + bytes(106) + pack("<I", 17) + bytes(17 * 8)), "pe.header"),
        (pe(TWO, optional=b"\x0b\x02" + bytes(106) + pack("<I", 16) + bytes(15 * 8)), "pe.header"),
        (pe(TWO, headers=0x100), "pe.header"),
        (pe(TWO, headers=64 + 24 + 240 + 2 * 40 - 1), "pe.header"),
        (pe([], headers=0x400)[:0x3FF], "pe.header"),
        (pe(TWO, headers=(1 << 20) + 512), "pe.header"),
        (pe(TWO, certificates=b"sig", certificates_at=0x500), "pe.certificates"),
        (pe([(".a", b"x", 1, 0x400, 513)]), "pe.section"),
        (pe([("ä", b"x")]), "pe.section"),
        (pe([("a\0b", b"x")]), "pe.section"),
    ],
)
def test_headers_that_cannot_be(image, expected):
    assert code(lambda: parse_pe(Artefact.of(image))) == f"reference.{expected}"


@pytest.mark.parametrize(("first", "second"), [((0x400, 513), (0x600, 1)), ((0x3FF, 1), (0x400, 512))])
def test_sections_that_overlap_are_refused(first, second):
    image = pe([(".a", b"x" * 1000, 1, *first), (".b", b"", 1, *second)])
    assert code(lambda: digest(image)) == "reference.pe.section"


def test_certificates_that_overlap_a_section_are_refused():
    image = pe([(".a", b"x" * 512)])
    signed = image[:232] + pack("<II", len(image) - 8, 8) + image[240:]
    assert code(lambda: digest(signed)) == "reference.pe.certificates"


def test_a_name_that_stands_twice_is_refused_when_it_is_asked_for():
    image = parse_pe(Artefact.of(pe([(".a", b"x"), (".a", b"y")])))
    assert code(lambda: image.section(".a")) == "reference.pe.section"


@given(st.binary(max_size=80), st.integers(0, 400))
def test_whatever_the_headers_hold_an_error_of_ours_answers(noise, at):
    data = pe(TWO, certificates=b"signature")
    with suppress(ReferenceValueError):
        digest(data[:at] + noise + data[at + len(noise) :])
