"""Strict CBOR: one encoding for each value, bounds before work, no key that two readers take for another."""

from __future__ import annotations

import math
import pickle
import struct
import tracemalloc

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.decoding.cbor import MAX_ITEMS, CborError, Tag, decode, encode, head

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(st.characters(codec="utf-8"), max_size=12)
    | st.floats(allow_nan=False, allow_infinity=False)
)
KEYS = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=6) | st.text(max_size=6)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.builds(Tag, st.integers(0, 2**64 - 1), inner)
    ),
    max_leaves=12,
)


def read(data: bytes, **options):
    return decode(data, max_bytes=max(len(data), 1), **options)


def refused(data: bytes, **options) -> str:
    with pytest.raises(CborError) as error:
        read(data, **options)
    assert error.value.code == "cbor.malformed"
    assert error.value.message.isprintable()
    return error.value.message


def same(left, right) -> bool:
    """Compare with types: True is not 1, 1.0 is not 1."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Tag):
        return left.number == right.number and same(left.value, right.value)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right


@given(VALUES)
def test_what_is_written_is_read_again(value):
    data = encode(value)
    assert same(read(data), value)
    for size in range(len(data)):
        refused(data[:size])
    refused(data + b"\0")


@given(SCALARS)
def test_another_writer_agrees(value):
    assert encode(value) == cbor2.dumps(value, canonical=True)


@given(st.binary(max_size=80))
def test_what_is_read_has_one_encoding_apart_from_the_order_of_keys(data):
    try:
        value = read(data)
    except CborError:
        return
    assert len(encode(value)) == len(data)
    assert same(read(encode(value)), value)


@given(st.binary(max_size=80))
def test_what_is_read_is_what_another_reader_reads(data):
    try:
        value = read(data)
    except CborError:
        return
    # Tags are left out: the other reader turns some into dates, sets and numbers.
    if not holds_tag(value):
        assert same(value, cbor2.loads(data))


def holds_tag(value) -> bool:
    if isinstance(value, dict):
        return any(holds_tag(item) for item in value.values())
    return isinstance(value, Tag) or (isinstance(value, list) and any(map(holds_tag, value)))


# RFC 8949 appendix A: the examples in their one deterministic form.
EXAMPLES = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1bffffffffffffffff", 2**64 - 1),
    ("3bffffffffffffffff", -(2**64)),
    ("20", -1),
    ("3903e7", -1000),
    ("f90000", 0.0),
    ("f98000", -0.0),
    ("fb3ff199999999999a", 1.1),
    ("fa47c35000", 100000.0),
    ("f90001", 5.960464477539063e-8),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("62c3bc", "ü"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("826161a161626163", ["a", {"b": "c"}]),
    ("c11a514b67b0", Tag(1, 1363896240)),
    ("d818456449455446", Tag(24, b"dIETF")),
]


@pytest.mark.parametrize(("text", "value"), EXAMPLES)
def test_the_examples_of_the_rfc(text, value):
    data = bytes.fromhex(text)
    assert same(read(data), value)
    assert encode(value) == data
    if value == 0.0 and isinstance(value, float):
        assert math.copysign(1, read(data)) == math.copysign(1, value)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "ends inside"),
        ("1817", "shortest"),
        ("190017", "shortest"),
        ("1900ff", "shortest"),
        ("1a0000ffff", "shortest"),
        ("1b00000000ffffffff", "shortest"),
        ("3817", "shortest"),
        ("5801aa", "shortest"),
        ("780161", "shortest"),
        ("980100", "shortest"),
        ("b8010000", "shortest"),
        ("d81200", "shortest"),
        ("1c", "reserved"),
        ("5f4101ff", "indefinite"),
        ("7f6161ff", "indefinite"),
        ("9f01ff", "indefinite"),
        ("bf0102ff", "indefinite"),
        ("ff", "break"),
        ("f7", "simple"),
        ("e0", "simple"),
        ("f8ff", "simple"),
        ("f820", "simple"),
        ("fb3ff0000000000000", "shortest"),
        ("fa3f800000", "shortest"),
        ("f97e00", "not finite"),
        ("f97c00", "not finite"),
        ("fb7ff0000000000000", "not finite"),
        ("61ff", "UTF-8"),
        ("63eda080", "UTF-8"),
        ("44010203", "longer than the data"),
        ("5bffffffffffffffff", "longer than the data"),
        ("9bffffffffffffffff00", "longer than the data"),
        ("bbffffffffffffffff00", "longer than the data"),
        ("a2000000", "longer than the data"),
        ("8200", "longer than the data"),
        ("1a0000", "ends inside"),
        ("fa0000", "longer than the data"),
        ("c1", "ends inside"),
        ("a201020103", "twice"),
        ("a2616100616101", "twice"),
        ("a2410000410001", "twice"),
        ("a1f50000", "key of a map"),
        ("a2010000", "longer than the data"),
        ("a1f500", "key of a map"),
        ("a1f93c0000", "key of a map"),
        ("a1f600", "key of a map"),
        ("a18000", "key of a map"),
        ("a1c10000", "key of a map"),
        ("0000", "follow"),
        ("a000", "follow"),
    ],
)
def test_everything_else_is_refused(text, word):
    assert word in refused(bytes.fromhex(text))


@pytest.mark.parametrize("text", ["a3010000f50002f93c00", "a30100f50002f93c0003"])
def test_keys_that_python_takes_for_one_are_never_merged(text):
    """1, true and 1.0 are equal in Python; only the first of them may be a key at all."""
    refused(bytes.fromhex(text))


def test_maps_of_indefinite_length_are_read_where_they_are_allowed():
    data = bytes.fromhex("bf6161a1010202bf00f6ffff")
    assert read(data, indefinite_maps=True) == {"a": {1: 2}, 2: {0: None}}
    refused(data)
    for text in ("bf0001", "bf00ff", "bf000100", "bf00010002ff", "9f00ff", "bf009f01ffff", "ff", "bf"):
        refused(bytes.fromhex(text), indefinite_maps=True)


def test_bounds_hold_before_anything_is_built():
    deep = b"\x81" * 17 + b"\0"
    assert "deep" in refused(deep, max_depth=16)
    assert read(deep, max_depth=17)
    assert "deep" in refused(deep)
    assert read(deep[1:])
    assert "deep" in refused(b"\xc1" * 3 + b"\0", max_depth=2)
    assert "deep" in refused(b"\xbf\xff", max_depth=0, indefinite_maps=True)
    wide = head(4, MAX_ITEMS) + bytes(MAX_ITEMS)
    assert "too many" in refused(wide)
    assert len(read(wide, max_items=MAX_ITEMS + 1)) == MAX_ITEMS
    with pytest.raises(CborError, match="more than 3 bytes"):
        decode(bytes(4), max_bytes=3)
    tracemalloc.start()
    try:
        refused(head(4, 2**32) + bytes(100))
        refused(head(2, 2**40) + bytes(100))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "value", [2**64, -(2**64) - 1, math.nan, math.inf, object(), {1.0: 2}, {True: 1}, "\ud800", {"a": {1, 2}}]
)
def test_what_cannot_be_read_cannot_be_written(value):
    with pytest.raises(CborError):
        encode(value)


def test_keys_are_written_in_bytewise_order():
    assert encode({"b": 1, 10: 2, "aa": 3, -1: 4, b"": 5}).hex() == "a50a0220044005616201626161" + "03"
    assert encode((1, 2)) == encode([1, 2])


def test_the_refusal_survives_pickling_for_another_process():
    error = pickle.loads(pickle.dumps(CborError("A sentence.")))
    assert (error.code, error.message) == ("cbor.malformed", "A sentence.")


def test_floats_keep_their_value_in_every_width():
    for form, info in ((">e", 0xF9), (">f", 0xFA), (">d", 0xFB)):
        content = b"\x3c\x01\x02\x03\x04\x05\x06\x07"[: struct.calcsize(form)]
        data = bytes([info]) + content
        assert read(data) == struct.unpack(form, content)[0]
        assert encode(read(data)) == data
