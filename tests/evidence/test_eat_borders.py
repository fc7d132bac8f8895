"""Bounds and sentences of standard claims and wrappers that a mutation run found untested."""

from __future__ import annotations

import base64
import json

import pytest

from assay.evidence.decoding import cbor
from assay.evidence.eat import Eat, EatError, cmw
from assay.evidence.eat.claims import Digest, Nested
from assay.evidence.eat.cmw import Collection, Record, decode_cbor, decode_cmw, decode_json, tag_of

# Every claim under its name in JSON and its label in CBOR, as IANA registers them.
NAMES = {
    "iss": 1, "sub": 2, "aud": 3, "exp": 4, "nbf": 5, "iat": 6, "jti": 7, "eat_nonce": 10, "ueid": 256,
    "oemid": 258, "hwmodel": 259, "hwversion": 260, "oemboot": 262, "dbgstat": 263, "eat_profile": 265,
    "submods": 266, "bootcount": 267, "bootseed": 268, "swname": 270, "swversion": 271, "manifests": 272,
    "measurements": 273, "intuse": 275,
}  # fmt: skip


def of(label, value) -> Eat:
    return Eat.from_cbor(cbor.encode({label: value}))


def refusal(label, value) -> str:
    with pytest.raises(EatError) as caught:
        of(label, value)
    assert caught.value.code == "eat.claim"
    return caught.value.message


@pytest.mark.parametrize(("name", "label"), NAMES.items())
def test_the_claim_that_is_wrong_is_named(name, label):
    expected = f"Claim {name} is not what RFC 9711 or RFC 8392 has it be."
    assert refusal(label, {}) == expected
    with pytest.raises(EatError) as caught:
        Eat.from_json(json.dumps({name: {}}).encode())
    assert caught.value.message == expected


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"": {}},
        {"x" * 257: {}},
        {"a": 1},
        {"a": ["SHA-256", "no bytes"]},
        {"a": [True, b"d"]},
        {"a": [-16, b"d", b"d"]},
        {"a": ["DIGEST", [-16, b"d"]]},  # the selector of JSON, which CBOR has as text
        {"a": ["JWT", "a.b.c"]},
        {"a": "a.b.c"},
        {"a": '["JWT"]'},
        {"a": '["JWT","\u00e9.b.c"]'},
        {"a": '["JWT","a.b.c"'},
        {"a": '{"JWT":"a.b.c"}'},
        {"a": '["CBOR","no base64url"]'},
    ],
    ids=repr,
)
def test_submodules_that_are_wrong_are_named(value):
    assert refusal(266, value).startswith("Claim submods is not")


def test_the_bound_of_a_set_of_claims():
    for size in (262144, 262145):
        text, binary = b"{}".ljust(size), b"\xa1\x61x\x5a" + (size - 8).to_bytes(4, "big") + bytes(size - 8)
        assert len(text) == len(binary) == size
        if size == 262144:
            assert Eat.from_json(text) == Eat()
            assert Eat.from_cbor(binary).other == {"x": bytes(size - 8)}
            continue
        for read, data in ((Eat.from_json, text), (Eat.from_cbor, binary)):
            with pytest.raises(EatError) as caught:
                read(data)
            assert caught.value.code == "eat.malformed"


@pytest.mark.parametrize(("label", "least", "most"), [(10, 8, 64), (256, 7, 33), (259, 1, 32), (268, 1, 64)])
def test_sizes_of_bytes(label, least, most):
    for size in (least, most):
        assert b"x" * size in of(label, b"x" * size).to_cbor()
    refusal(label, b"x" * (least - 1))
    refusal(label, b"x" * (most + 1))


@pytest.mark.parametrize(
    ("label", "fits", "fits_not"),
    [
        (10, [b"n" * 8] * 2, [b"n" * 8]),
        (10, [b"n" * 8] * 16, [b"n" * 8] * 17),
        (258, b"oem", b"oe"),
        (258, b"o" * 16, b"o" * 15),
        (258, 0, -1),
        (260, ["1"], []),
        (260, ["1", 2], ["1", 2, 3]),
        (267, (1 << 63) - 1, 1 << 63),
        (267, 0, -1),
        (270, "x" * 4096, "x" * 4097),
        (272, [[1, b""]] * 64, [[1, b""]] * 65),
        (272, [[1, b""]], [[1, b"", 1]]),
        (266, {"x": {}}, {}),
        (266, {"x" * 256: {}}, {"x" * 257: {}}),
        (266, {str(n): {} for n in range(64)}, {str(n): {} for n in range(65)}),
        (266, {"1": {266: {"2": {266: {"3": {266: {"4": {}}}}}}}},
         {"1": {266: {"2": {266: {"3": {266: {"4": {266: {"5": {}}}}}}}}}}),
        (263, 4, 5),
        (275, 5, 6),
    ],
    ids=lambda value: repr(value)[:30],
)  # fmt: skip
def test_what_just_fits(label, fits, fits_not):
    assert of(label, fits) != Eat()
    refusal(label, fits_not)


@pytest.mark.parametrize(
    ("content", "dotted"),
    [
        (b"\x00", "0.0"),
        (b"\x27", "0.39"),
        (b"\x28", "1.0"),
        (b"\x4f", "1.39"),
        (b"\x50", "2.0"),
        (b"\x78", "2.40"),
        (b"\x7f", "2.47"),
        (b"\x81\x00", "2.48"),
        (b"\x88\x37", "2.999"),
        (b"\x2b\x06\x01\x04\x01\xd6\x79", "1.3.6.1.4.1.11129"),
        (b"\x2a\x83\xff\x7f", "1.2.65535"),
    ],
)
def test_object_identifiers_by_hand(content, dotted):
    """X.690, section 8.19: the first two arcs share one number."""
    assert of(265, content) == Eat(profile=dotted)
    assert Eat(profile=dotted).to_cbor() == cbor.encode({265: content})


@pytest.mark.parametrize("text", ["0.40", "1.40", "3.1", "1.02", "1", "1.2.", "tag:1.2", "2.1234567890"])
def test_what_is_no_object_identifier_stays_text(text):
    assert Eat(profile=text).to_cbor() == cbor.encode({265: text})


def test_an_object_identifier_of_the_longest_size():
    assert of(265, b"\x2a" + b"\x01" * 63).profile == "1.2" + ".1" * 63
    refusal(265, b"\x2a" + b"\x01" * 64)
    refusal(265, b"\x2a" + b"\x81" * 62 + b"\x80")


def test_submodules_in_every_form():
    value = {"a": {263: 1}, "b": b"\xd2\x84", "c": '["JWT","a.b.c"]', "d": [-16, b"d"], "e": '["X","ZA"]'}
    inner = of(266, value).submods
    assert inner["b"] == Nested("CBOR", b"\xd2\x84")
    assert inner["c"] == Nested("JWT", b"a.b.c")
    assert inner["d"] == Digest(-16, b"d")
    assert inner["e"] == Nested("X", b"d")
    assert Eat(submods=inner).to_cbor() == cbor.encode({266: value})
    written = json.loads(Eat(submods=inner).to_json())["submods"]
    assert written == {
        "a": {"dbgstat": "disabled"},
        "b": ["CBOR", "0oQ"],
        "c": ["JWT", "a.b.c"],
        "d": ["DIGEST", [-16, "ZA"]],
        "e": ["X", "ZA"],
    }
    assert Eat.from_json(json.dumps({"submods": written}).encode()).submods == inner


# --- Wrappers

RECORD = ["a/b", "AA"]


def test_the_bound_of_a_wrapper():
    for size in (4 * 1024 * 1024, 4 * 1024 * 1024 + 1):
        text = b'["a/b","' + b"A" * (size - 10) + b'"]'
        binary = b"\x82\x63a/b\x5a" + (size - 10).to_bytes(4, "big") + bytes(size - 10)
        for data in (text, binary):
            assert len(data) == size
            if size == 4 * 1024 * 1024:
                assert not any(decode_cmw(data).value)
                continue
            with pytest.raises(EatError) as caught:
                decode_cmw(data)
            assert caught.value.code == "cmw.oversized"


def _media(size: int) -> str:
    """Return a media type of 2,048 characters or so, with as many parameters as it may have."""
    head = "a/b" + "".join(f'; {n}="{"x" * 250}"' for n in range(7))
    return f'{head};7="{"x" * (size - len(head) - 5)}"'


@pytest.mark.parametrize(
    ("fits", "fits_not"),
    [
        (["a/b", "AA", 31], ["a/b", "AA", 32]),
        (["a/b", "AA", 1], ["a/b", "AA", 0]),
        ([65535, "AA"], [65536, "AA"]),
        ([0, "AA"], [-1, "AA"]),
        (["a" * 127 + "/b", "AA"], ["a" * 128 + "/b", "AA"]),
        (["a/" + "b" * 127, "AA"], ["a/" + "b" * 128, "AA"]),
        (["a/b" + ";c=d" * 8, "AA"], ["a/b" + ";c=d" * 9, "AA"]),
        (["a/b;" + "c" * 64 + "=d", "AA"], ["a/b;" + "c" * 65 + "=d", "AA"]),
        (["a/b;c=" + "d" * 256, "AA"], ["a/b;c=" + "d" * 257, "AA"]),
        ([_media(2048), "AA"], [_media(2049), "AA"]),
        ({"x": RECORD}, {"": RECORD}),
        ({"x" * 256: RECORD}, {"x" * 257: RECORD}),
        ({str(n): RECORD for n in range(64)}, {str(n): RECORD for n in range(65)}),
        ({"1": {"2": {"3": {"4": RECORD}}}}, {"1": {"2": {"3": {"4": {"5": RECORD}}}}}),
        ({"__cmwc_t": "x:" + "y" * 512, "a": RECORD}, {"__cmwc_t": "x:" + "y" * 513, "a": RECORD}),
        ({"__cmwc_t": "2" + ".1" * 31, "a": RECORD}, {"__cmwc_t": "2" + ".1" * 32, "a": RECORD}),
        ({"__cmwc_t": "2.5", "a": RECORD}, {"__cmwc_t": "3.5", "a": RECORD}),
    ],
    ids=lambda value: json.dumps(value)[:30],
)
def test_what_just_fits_a_wrapper(fits, fits_not):
    assert isinstance(decode_json(json.dumps(fits).encode()), Record | Collection)
    with pytest.raises(EatError) as caught:
        decode_json(json.dumps(fits_not).encode())
    assert caught.value.code == "cmw.malformed"


def test_a_content_format_beyond_the_last_has_no_tag():
    assert tag_of(65024) == tag_of(65023) + 1
    for beyond in (-1, 65025):
        with pytest.raises(EatError) as caught:
            tag_of(beyond)
        assert caught.value.code == "cmw.malformed"


@pytest.mark.parametrize("count", [4, 5])
def test_tunnels_count_as_depth(count):
    data = cbor.encode([0, b"message"])
    for number in range(count):
        if number % 2:
            data = cbor.encode(["#cmw-j2c-tunnel", data.decode()])
        else:
            text = base64.urlsafe_b64encode(data).decode().rstrip("=")
            data = json.dumps(["#cmw-c2j-tunnel", text]).encode()
    if count == 4:
        assert decode_cmw(data) == Record(0, b"message")
    else:
        with pytest.raises(EatError, match="too deep"):
            decode_cmw(data)


@pytest.mark.parametrize("first", [b"", b" ", b"\n", b"\r", b"\t", b" \r\n\t"])
def test_white_space_may_stand_before_a_wrapper_in_json(first):
    assert decode_cmw(first + b'["a/b","AA"]') == Record("a/b", b"\0")
    assert decode_cmw(first + b'{"a":["a/b","AA"]}').entries == {"a": Record("a/b", b"\0")}


def test_a_label_of_another_kind_is_refused():
    for label, fits in ((1, True), (-1, True), ("x" * 256, True), (b"x", False), ("", False)):
        data = cbor.encode({label: [0, b""]})
        if fits:
            assert decode_cbor(data).entries == {label: Record(0, b"")}
        else:
            with pytest.raises(EatError, match="label of a collection"):
                decode_cbor(data)


def test_a_token_in_a_submodule_that_is_no_base64url_is_named():
    with pytest.raises(EatError) as caught:
        Eat.from_json(b'{"submods":{"a":["CBOR","!!"]}}')
    assert caught.value.message == "Claim submods is not what RFC 9711 or RFC 8392 has it be."


@pytest.mark.parametrize("name", ["iss", "jti", "swname"])
def test_half_a_character_is_no_text(name):
    with pytest.raises(EatError) as caught:
        Eat.from_json(b'{"%s":"\\ud800"}' % name.encode())
    assert caught.value.code == "eat.claim"
    whole = Eat.from_json(b'{"%s":"\\ud83d\\ude00"}' % name.encode())
    assert Eat.from_json(whole.to_json()) == whole


def test_an_id_that_is_no_text_cannot_be_written_in_json():
    eat = of(7, b"\xff")
    assert eat.token_id == b"\xff"
    assert Eat.from_cbor(eat.to_cbor()) == eat
    with pytest.raises(EatError) as caught:
        eat.to_json()
    assert caught.value.code == "eat.claim"


def test_what_an_indicator_says():
    # draft-ietf-rats-msg-wrap, the indicator: one bit for each kind of message
    kinds = ("REFERENCE_VALUES", "ENDORSEMENTS", "EVIDENCE", "ATTESTATION_RESULTS", "APPRAISAL_POLICY")
    assert [getattr(cmw, kind) for kind in kinds] == [1, 2, 4, 8, 16]


def test_a_record_is_no_tag_unless_it_is_asked_for():
    record = Record(60, b"x")
    assert cmw.encode_cbor(record) == cbor.encode([60, b"x"])
    assert cmw.encode_cbor(record, tagged=True)[0] == 0xDA
