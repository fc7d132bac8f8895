"""Strict JSON: what two readers could read differently is refused, and slices are of the input."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.decoding.strictjson import (
    MAX_CONTAINERS,
    MAX_DEPTH,
    JsonError,
    member,
    parse,
    parse_object,
    raw_members,
    strings,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), VALUES, max_size=6)


def refused(data: bytes, read=parse, max_bytes: int = 1 << 20) -> str:
    with pytest.raises(JsonError) as error:
        read(data, max_bytes=max_bytes)
    assert error.value.message.isprintable()
    return error.value.code


@given(OBJECTS, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_valid_json_is_read_and_sliced(value, ascii_only, indent):
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert parse(data, max_bytes=len(data)) == value
    slices = raw_members(data, max_bytes=len(data))
    assert list(slices) == list(value)
    for name, raw in slices.items():
        assert raw in data
        assert raw == raw.strip()
        assert parse(raw, max_bytes=len(raw)) == value[name]


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data):
    for read in (parse, parse_object, raw_members):
        try:
            read(data, max_bytes=60)
        except JsonError:
            continue


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "json.malformed"),
        (b"{", "json.malformed"),
        (b"{} {}", "json.malformed"),
        (b"{'a':1}", "json.malformed"),
        (b'{"a":1,}', "json.malformed"),
        (b'{"a":01}', "json.malformed"),
        (b'{"a":+1}', "json.malformed"),
        (b'{"a":"\n"}', "json.malformed"),
        (b"\xff", "json.malformed"),
        (b"\xef\xbb\xbf{}", "json.malformed"),
        ('{"a":1}'.encode("utf-16"), "json.malformed"),
        (b'{"a":NaN}', "json.malformed"),
        (b'{"a":Infinity}', "json.malformed"),
        (b'{"a":-Infinity}', "json.malformed"),
        (b'{"a":' + b"9" * 4301 + b"}", "json.malformed"),
        (b'{"a":1e999}', "json.malformed"),
        (b"[-1.5e400]", "json.malformed"),
        (b'{"a":1,"a":1}', "json.duplicate_member"),
        (b'{"a":1,"\\u0061":2}', "json.duplicate_member"),
        (b'{"x":[{"y":{"a":1,"a":2}}]}', "json.duplicate_member"),
        (b"[" * 5000 + b"]" * 5000, "json.oversized"),
        (b"[" + b"[]," * MAX_CONTAINERS + b"0]", "json.oversized"),
        (b'[{"a":0}' + b',{"a":0}' * MAX_CONTAINERS + b"]", "json.oversized"),
    ],
)
def test_json_that_is_refused(data, code):
    assert refused(data) == code
    assert refused(data, raw_members) == code


def test_a_document_at_its_bound_and_above():
    data = b'{"a":1}'
    assert parse(data, max_bytes=len(data)) == {"a": 1}
    assert refused(data, max_bytes=len(data) - 1) == "json.oversized"
    data = b"[" + b"[]," * (MAX_CONTAINERS - 2) + b"[]]"
    assert len(parse(data, max_bytes=1 << 20)) == MAX_CONTAINERS - 1
    assert parse(b"12345678901234567890", max_bytes=20) == 12345678901234567890


@pytest.mark.parametrize("data", [b"[]", b'"a"', b"1", b"null"])
def test_something_else_than_an_object(data):
    assert refused(data, parse_object) == "json.type"
    assert refused(data, raw_members) == "json.type"


def test_slices_keep_every_byte_of_the_value():
    data = b' {"a" : { "b":[1, 2 ] } ,\n"c":"\xc3\xa9\\u00e9" , "d" :-1 }\r\n'
    assert raw_members(data, max_bytes=100) == {
        "a": b'{ "b":[1, 2 ] }',
        "c": b'"\xc3\xa9\\u00e9"',
        "d": b"-1",
    }
    assert raw_members(b"{ }", max_bytes=3) == {}


def test_braces_inside_strings_do_not_mislead():
    data = b'{"}":"{","a":"}\\"{"}'
    assert raw_members(data, max_bytes=100) == {"}": b'"{"', "a": b'"}\\"{"'}


def test_members_of_exactly_one_type():
    found = {"n": 1, "b": True, "s": "x", "l": [], "z": None}
    assert member(found, "n", int) == 1
    for name, kind in (("b", int), ("n", bool), ("n", str), ("z", dict), ("l", dict)):
        with pytest.raises(JsonError) as error:
            member(found, name, kind)
        assert error.value.code == "json.type"
        assert name in error.value.message
    with pytest.raises(JsonError) as error:
        member(found, "missing", int)
    assert error.value.code == "json.missing_member"
    assert strings(["a", "b"]) == ("a", "b")
    with pytest.raises(JsonError, match="something else than strings"):
        strings(["a", 1])


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"b":', b"}]")])
@pytest.mark.parametrize("inside", [b"1", b'"[[{"', b'"]]]}"'])
def test_how_deep_a_document_may_be(start, end, inside):
    deep = MAX_DEPTH // len(end)
    fitting = start * deep + inside + end * deep
    assert parse(fitting, max_bytes=1000)
    for outer in (b"[%s]", b'{"x":%s}', b'["[", %s]'):
        with pytest.raises(JsonError) as caught:
            parse(outer % fitting, max_bytes=1000)
        assert caught.value.code == "json.oversized"
    with pytest.raises(JsonError) as caught:
        raw_members(b'{"x":%s}' % fitting, max_bytes=1000)
    assert caught.value.code == "json.oversized"


def test_brackets_in_texts_are_no_depth():
    text = json.dumps({"a": "[" * 5000, "b": ["}" * 5000, {"c": "{[" * 100}]}).encode()
    assert parse(text, max_bytes=len(text)) == json.loads(text)
