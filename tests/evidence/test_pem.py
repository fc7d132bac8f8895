"""Strict PEM: a text is exactly its certificates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.evidence.decoding.pem import MAX_CHAIN_BYTES, PemError, certificates, certificates_of, encode

ONE, TWO = b"\x30\x03abc", bytes(range(200))
BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"


def refused(text: bytes, count: int) -> str:
    with pytest.raises(PemError) as error:
        certificates(text, count=count)
    assert error.value.message.isprintable()
    return error.value.code


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4))
def test_what_is_written_is_read(ders):
    text = encode(*ders)
    assert certificates(text, count=len(ders)) == tuple(ders)
    assert certificates(text.replace(b"\n", b"\r\n"), count=len(ders)) == tuple(ders)
    assert certificates(text.rstrip(b"\n"), count=len(ders)) == tuple(ders)
    assert certificates(text + b"\0", count=len(ders)) == tuple(ders)
    assert certificates(text.rstrip(b"\n") + b"\0", count=len(ders)) == tuple(ders)
    assert refused(text, len(ders) + 1) == "pem.count"


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_byte_that_is_put_in_is_noticed(der, data):
    text = encode(der)
    at = data.draw(st.integers(0, len(text)))
    byte = data.draw(st.integers(0, 255))
    changed = text[:at] + bytes([byte]) + text[at:]
    try:
        found = certificates(changed, count=1)
    except PemError:
        return
    assert found != (der,) or changed.replace(b"\r", b"").strip(b"\n\0") == text.strip(b"\n")


def test_lines_of_64_or_76_characters_and_no_mixture():
    body = encode(TWO).split(b"\n")[1:-2]
    joined = b"".join(body)

    def lines(width):
        return b"".join(joined[at : at + width] + b"\n" for at in range(0, len(joined), width))

    for width in (64, 76):
        assert certificates(BEGIN + lines(width) + END, count=1) == (TWO,)
    for width in (4, 60, 72, 80, 400):
        assert refused(BEGIN + lines(width) + END, 1) == "pem.malformed"
    mixed = joined[:64] + b"\n" + joined[64:140] + b"\n" + joined[140:] + b"\n"
    assert refused(BEGIN + mixed + END, 1) == "pem.malformed"


def test_the_line_end_between_two_certificates_may_be_missing():
    for end in (b"\n", b"", b"\0"):
        assert certificates(encode(ONE).rstrip() + encode(TWO).rstrip() + end, count=2) == (ONE, TWO)
    assert refused(encode(ONE).rstrip() + encode(TWO), 1) == "pem.count"


@pytest.mark.parametrize(
    "text",
    [
        b"x" + encode(ONE),
        encode(ONE) + b"x",
        encode(ONE) + b" \n" + encode(TWO),
        encode(ONE) + b"\n" + encode(TWO),
        encode(ONE) + b"\n",
        encode(ONE) + b"\0\0",
        encode(ONE).rstrip() + b" " + encode(TWO),
        encode(ONE).rstrip() + b"\r" + encode(TWO),
        encode(ONE).rstrip() + encode(TWO)[1:],
        encode(ONE).rstrip() + b"\r",
        encode(ONE) + b"\0" + encode(TWO),
        encode(ONE).replace(b"BEGIN CERT", b"BEGIN X509 CERT"),
        encode(ONE).replace(b"-----END", b"----END"),
        BEGIN + END,
        BEGIN + b"MA==\n" + END,
        BEGIN + b"MAA\n" + END,
        BEGIN + b"MAB=\n" + END,
        BEGIN + b"=MAA\n" + END,
        BEGIN + b"MAA=\nMAA=\n" + END,
        BEGIN + b"MDBh" + END,
        BEGIN[:-1] + b"MDBh\n" + END,
    ],
)
def test_texts_that_are_refused(text):
    if text == BEGIN + b"MA==\n" + END:
        assert certificates(text, count=1) == (b"0",)
        return
    assert refused(text, 2 if text.count(b"BEGIN") == 2 else 1) == "pem.malformed"


def test_counts_and_bounds():
    assert refused(b"", 1) == "pem.count"
    assert refused(b"\0", 1) == "pem.count"
    assert refused(encode(ONE, TWO), 1) == "pem.count"
    big = encode(bytes(12052))
    whole = big.replace(b"\n", b"\r\n", MAX_CHAIN_BYTES - len(big))
    assert len(whole) == MAX_CHAIN_BYTES
    assert certificates(whole, count=1) == (bytes(12052),)
    assert refused(whole + b"\0", 1) == "pem.oversized"
    assert encode() == b""


def test_a_text_of_json_has_as_many_certificates_as_it_says():
    three = [b"1", b"2", b"3"]
    for count in (1, 2, 3):
        text = b"".join(map(encode, three[:count])).decode()
        assert certificates_of(text, most=3) == tuple(three[:count])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "pem.count"),
        ("certificates", "pem.count"),
        (encode(b"0").decode() * 4, "pem.count"),
        (encode(b"0").decode().replace("MA==", "M\ud800A=="), "pem.malformed"),
        (encode(b"0").decode().replace("MA==", "M\u00e9A=="), "pem.malformed"),
    ],
    ids=["empty", "none", "one too many", "half a character", "another character"],
)
def test_a_text_of_json_that_is_refused(text, code):
    with pytest.raises(PemError) as refused:
        certificates_of(text, most=3)
    assert refused.value.code == code
