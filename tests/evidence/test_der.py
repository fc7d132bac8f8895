"""The reader of DER: one encoding for one value, and never a step outside the input."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.decoding.der import (
    ENUMERATED,
    GENERALIZED_TIME,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    UTC_TIME,
    DerError,
    DerReader,
)
from support.dcap_scenes import encode


def refused(data: bytes, read) -> str:
    with pytest.raises(DerError) as error:
        read(DerReader(data))
    assert error.value.code == "der.malformed"
    return error.value.message


@given(st.binary(max_size=70000))
def test_a_value_is_read_back_as_it_was_written(content):
    reader = DerReader(encode(OCTET_STRING, content))
    assert reader.value(OCTET_STRING) == content
    assert not reader.more()
    reader.finish()


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_and_offsets_stay_inside(data):
    reader = DerReader(data)
    while reader.more():
        before = reader.pos
        try:
            start, stop = reader.span(reader.peek())
        except DerError:
            return
        assert before < start <= stop <= len(data)
        assert reader.pos == stop
    reader.finish()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "data ends"),
        (b"\x04", "data ends"),
        (b"\x02\x00", "Tag 0x02 where 0x04"),
        (b"\x04\x80", "indefinite"),
        (b"\x04\x80" + bytes(128), "indefinite"),
        (b"\x04\x85\0\0\0\0\x01x", "indefinite, too long"),
        (b"\x04\x82\x01", "cut off"),
        (b"\x04\x81\x7f" + bytes(127), "shortest"),
        (b"\x04\x82\x00\x80" + bytes(128), "shortest"),
        (b"\x04\x02x", "longer than what contains it"),
        (b"\x04\x81\x80" + bytes(127), "longer than what contains it"),
    ],
)
def test_lengths_that_are_refused(data, why):
    assert why in refused(data, lambda reader: reader.value(OCTET_STRING))


def test_a_constructed_element_of_indefinite_length_is_refused():
    assert "indefinite" in refused(b"\x30\x80" + bytes(128), lambda reader: reader.enter())


def test_an_element_of_known_bytes_is_stepped_over_only_when_it_is_there():
    reader = DerReader(b"\x02\x01\x05\x05\x00")
    assert reader.fixed(b"\x05\x00") is False
    assert reader.pos == 0
    assert reader.fixed(b"\x02\x01\x05") is True
    assert reader.fixed(b"\x05\x00") is True
    reader.finish()


def test_the_longest_lengths_that_are_read():
    for size in (0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000):
        assert len(DerReader(encode(OCTET_STRING, bytes(size))).value(OCTET_STRING)) == size


def test_an_element_never_reaches_outside_its_container():
    data = encode(SEQUENCE, b"\x04\x02x") + b"yz"
    assert "longer" in refused(data, lambda reader: reader.enter().value(OCTET_STRING))


def test_whole_and_finish():
    inner = encode(INTEGER, b"\x05")
    reader = DerReader(inner + b"\x05\x00")
    assert reader.whole(INTEGER) == inner
    assert reader.peek() == 0x05
    assert "2 bytes follow" in refused(
        inner + b"\x05\x00", lambda reader: (reader.whole(INTEGER), reader.finish())
    )
    assert DerReader(b"").peek() == -1


@given(st.integers(min_value=0, max_value=2**80))
def test_integers_have_one_encoding(value):
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    assert DerReader(encode(INTEGER, content)).integer() == value
    assert DerReader(encode(ENUMERATED, content)).integer(ENUMERATED) == value
    if content[0] == 0 or content[0] < 0x80:
        refused(encode(INTEGER, b"\0" + content), lambda reader: reader.integer())


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xff\xff", b"\0\0", b"\0\x7f"])
def test_integers_that_are_refused(content):
    refused(encode(INTEGER, content), lambda reader: reader.integer())


def test_booleans():
    assert DerReader(b"\x01\x01\xff").boolean() is True
    assert DerReader(b"\x01\x01\x00").boolean() is False
    for data in (b"\x01\x01\x01", b"\x01\x00", b"\x01\x02\xff\xff"):
        refused(data, lambda reader: reader.boolean())


def test_bit_strings():
    assert DerReader(b"\x03\x03\x00ab").bits() == b"ab"
    assert DerReader(b"\x03\x01\x00").bits() == b""
    for data in (b"\x03\x00", b"\x03\x02\x01a", b"\x03\x02\x08a"):
        refused(data, lambda reader: reader.bits())


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        (UTC_TIME, b"260131235959Z", datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)),
        (UTC_TIME, b"491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (UTC_TIME, b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (UTC_TIME, b"990101000000Z", datetime(1999, 1, 1, tzinfo=UTC)),
        (GENERALIZED_TIME, b"20500101000000Z", datetime(2050, 1, 1, tzinfo=UTC)),
        (GENERALIZED_TIME, b"99991231235959Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(tag, text, expected):
    assert DerReader(encode(tag, text)).time() == expected


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (UTC_TIME, b"2601312359Z"),
        (UTC_TIME, b"260131235959"),
        (UTC_TIME, b"260131235959+"),
        (UTC_TIME, b"2601312359590Z"),
        (UTC_TIME, b"26013123595 Z"),
        (UTC_TIME, b"261331235959Z"),
        (UTC_TIME, b"260230000000Z"),
        (UTC_TIME, b"260131240000Z"),
        (UTC_TIME, b"20260131235959Z"),
        (GENERALIZED_TIME, b"20491231235959Z"),
        (GENERALIZED_TIME, b"20500101000000.5Z"),
        (GENERALIZED_TIME, b"500101000000Z"),
        (OCTET_STRING, b"260131235959Z"),
    ],
)
def test_times_that_are_refused(tag, text):
    refused(encode(tag, text), lambda reader: reader.time())


def test_the_error_survives_a_process_boundary():
    error = DerError("one sentence")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.message) == (DerError, "der.malformed", "one sentence")
