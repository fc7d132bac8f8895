"""Conceptual Message Wrappers: every form, both ways."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.decoding import cbor
from assay.evidence.decoding.cbor import Tag
from assay.evidence.eat import EatError
from assay.evidence.eat.cmw import (
    ATTESTATION_RESULTS,
    EAT_CWT,
    EAT_UCS_CBOR,
    EVIDENCE,
    MAX_CMW_BYTES,
    Collection,
    Record,
    decode_cbor,
    decode_cmw,
    decode_json,
    encode_cbor,
    encode_json,
    tag_of,
)

# Known answers, made by hand from the draft's and RFC 9277's text.
TUNNELLED = "g3gYYXBwbGljYXRpb24vZWF0LXVjcytjYm9yQaAE"
RECORDS = {
    b'["application/eat-ucs+json","e30",4]': Record("application/eat-ucs+json", b"{}", EVIDENCE),
    b'["application/eat+cwt","0oQ"]': Record(EAT_CWT, b"\xd2\x84"),
    b'[263,"0oQ",8]': Record(263, b"\xd2\x84", ATTESTATION_RESULTS),
    b"\x83\x19\x01\x07\x42\xd2\x84\x08": Record(263, b"\xd2\x84", ATTESTATION_RESULTS),
    base64.b64decode(TUNNELLED): Record(EAT_UCS_CBOR, b"\xa0", EVIDENCE),
    b"\xda\x63\x74\x01\x01\x41\xa0": Record(0, b"\xa0"),
    b"\xda\x63\x74\x01\x3d\x41\xa0": Record(60, b"\xa0"),
}


@pytest.mark.parametrize(("data", "record"), RECORDS.items())
def test_known_records(data, record):
    assert decode_cmw(data) == record
    if data[:1] == b"[":
        assert encode_json(record) == data
    else:
        assert encode_cbor(record, tagged=data[0] == 0xDA) == data
    assert record.is_evidence is bool(record.indicator & EVIDENCE)


@pytest.mark.parametrize(
    ("content_format", "tag"),
    [(0, 1668546817), (60, 1668546877), (254, 1668547071), (255, 1668547073), (65024, 1668612095)],
)
def test_tags_of_content_formats(content_format, tag):
    """RFC 9277, section 4.3: every 256th number is left out."""
    assert tag_of(content_format) == tag
    assert decode_cbor(cbor.encode(Tag(tag, b""))) == Record(content_format, b"")


@pytest.mark.parametrize("tag", [1668546816, 1668547072, 1668612096, 18])
def test_tags_of_nothing(tag):
    with pytest.raises(EatError):
        decode_cbor(cbor.encode(Tag(tag, b"")))


@pytest.mark.parametrize("content_format", [-1, 65025])
def test_formats_without_a_tag(content_format):
    with pytest.raises(EatError):
        tag_of(content_format)


WHOLE = Collection(
    {
        "cpu": Record("application/vnd.example.quote", b"quote", EVIDENCE),
        "more": Collection({"gpu": Record(263, b"token")}, "1.3.6.1.4.1.1"),
        "results": Record('application/eat+jwt; eat_profile="tag:example"', b"a.b.c", ATTESTATION_RESULTS),
    },
    "tag:example.com,2026:composite",
)


def test_collections():
    assert decode_cmw(encode_json(WHOLE)) == WHOLE
    assert decode_cmw(encode_cbor(WHOLE)) == WHOLE
    assert decode_cmw(encode_cbor(WHOLE, tagged=True)) == WHOLE
    assert [record.value for record in WHOLE.records()] == [b"quote", b"token", b"a.b.c"]


def test_labels_that_are_numbers_are_cbors():
    numbered = Collection({1: Record(0, b""), -2: Record(1, b"")})
    assert decode_cmw(encode_cbor(numbered)) == numbered
    with pytest.raises(EatError):
        encode_json(numbered)


def test_tunnels():
    inner = Record(EAT_UCS_CBOR, b"\xa0", EVIDENCE)
    text = {"a": ["application/eat-ucs+json", "e30", 4], "b": ["#cmw-c2j-tunnel", TUNNELLED]}
    assert decode_json(json.dumps(text).encode()).entries["b"] == inner
    other = cbor.encode({"b": ["#cmw-j2c-tunnel", encode_json(inner).decode()]})
    assert decode_cbor(other).entries["b"] == inner


@pytest.mark.parametrize(
    "item",
    [
        1,
        [],
        ["a/b"],
        ["a/b", 1],
        ["a/b", "AA="],
        ["a/b", "A"],
        ["a/b", "AA", 0],
        ["a/b", "AA", 32],
        ["a/b", "AA", True],
        ["a/b", "AA", 1, 1],
        ["ab", "AA"],
        ["a/b ", "AA"],
        ["a/b\n", "AA"],
        ["#cmw-c2j-tunnel", "AA", 1],
        [65536, "AA"],
        [-1, "AA"],
        [True, "AA"],
        [None, "AA"],
        ["a/" + "b" * 128, "AA"],
        {},
        {"__cmwc_t": "tag:x"},
        {"__cmwc_t": "no uri", "a": ["a/b", "AA"]},
        {"__cmwc_t": 1, "a": ["a/b", "AA"]},
        {"": ["a/b", "AA"]},
        {"x" * 257: ["a/b", "AA"]},
        {str(n): ["a/b", "AA"] for n in range(65)},
        {"1": {"2": {"3": {"4": {"5": ["a/b", "AA"]}}}}},
        {"a": 1},
    ],
    ids=lambda item: json.dumps(item)[:40],
)
def test_what_is_no_wrapper_in_json(item):
    with pytest.raises(EatError) as caught:
        decode_cmw(json.dumps(item).encode())
    assert caught.value.code == "cmw.malformed"


@pytest.mark.parametrize(
    "item",
    [
        1,
        b"",
        [],
        [0],
        [0, "text"],
        [0, b"", 0],
        [0, b"", 1, 1],
        ["ab", b""],
        [-1, b""],
        {},
        {b"a": [0, b""]},
        Tag(1668546817, "text"),
        ["#cmw-j2c-tunnel", b"{}"],
        ["#cmw-j2c-tunnel", "{"],
    ],
    ids=str,
)
def test_what_is_no_wrapper_in_cbor(item):
    with pytest.raises(EatError) as caught:
        decode_cbor(cbor.encode(item))
    assert caught.value.code == "cmw.malformed"


def test_a_tunnel_has_an_end():
    data = encode_cbor(Record(0, b""))
    for _ in range(6):
        text = json.dumps(["#cmw-c2j-tunnel", base64.urlsafe_b64encode(data).decode().rstrip("=")])
        data = cbor.encode(["#cmw-j2c-tunnel", text])
    with pytest.raises(EatError):
        decode_cmw(data)


@pytest.mark.parametrize("data", [b"", b" ", b"[", b"\xff", b'{"a":["a/b","AA"],"a":["a/b","AA"]}'])
def test_what_is_neither(data):
    with pytest.raises(EatError) as caught:
        decode_cmw(data)
    assert caught.value.code == "cmw.malformed"


def test_oversized():
    for first in (b"[", b"\x80"):
        with pytest.raises(EatError) as caught:
            decode_cmw(first + bytes(MAX_CMW_BYTES))
        assert caught.value.code == "cmw.oversized"


records = st.builds(
    Record,
    st.one_of(st.sampled_from(["application/eat+cwt", "a/b;c=d"]), st.integers(0, 65024)),
    st.binary(max_size=40),
    st.integers(0, 31),
)
wrappers = st.recursive(
    records,
    lambda inner: st.builds(
        Collection,
        st.dictionaries(
            st.text("abc-_.0", min_size=1, max_size=5).filter(lambda label: label != "__cmwc_t"),
            inner,
            min_size=1,
            max_size=3,
        ),
        st.sampled_from(["", "tag:x", "1.2.3"]),
    ),
    max_leaves=4,
)


def depth(cmw) -> int:
    return 0 if isinstance(cmw, Record) else 1 + max(map(depth, cmw.entries.values()))


@given(wrappers.filter(lambda cmw: depth(cmw) <= 4))
def test_every_wrapper_survives(cmw):
    assert decode_json(encode_json(cmw)) == cmw
    assert decode_cbor(encode_cbor(cmw)) == cmw
    assert decode_cbor(encode_cbor(cmw, tagged=True)) == cmw


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_or_survive(data):
    try:
        cmw = decode_cmw(data)
    except EatError:
        return
    assert decode_cbor(encode_cbor(cmw)) == cmw
