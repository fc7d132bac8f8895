"""A DCAP quote in the texts and the JSON that tools put around it. Made by hand; no signature is checked."""

from __future__ import annotations

import base64
import json

import pytest

from assay.errors import EvidenceError
from assay.evidence.decoding import cbor
from assay.verification.firmware_log import CcelData
from assay.verification.opening import open_bundle, open_evidence

TDX = bytes.fromhex("0400020081000000") + bytes(range(256)) * 4 + b"\xfb\xff\xfe"
SGX = bytes.fromhex("0300020000000000") + bytes(range(255, -1, -1)) * 4
SNP = b"\2" + bytes(0x33) + b"\1" + bytes(1184 - 0x35)
BASE64 = base64.b64encode(TDX).decode()
URL_SAFE = base64.urlsafe_b64encode(TDX).decode()
LOG = base64.b64encode(b"an event log").decode()


def folded(text: str, width: int, end: str = "\n") -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width)) + end


def code(text: str) -> str:
    with pytest.raises(EvidenceError) as refused:
        open_evidence(text.encode())
    return refused.value.code


@pytest.mark.parametrize(
    "text",
    [
        folded(TDX.hex(), 60),
        folded(TDX.hex().upper(), 64, "\r\n"),
        json.dumps(TDX.hex()) + "\n",
        folded(BASE64, 76),
        json.dumps(BASE64),
        URL_SAFE,
        URL_SAFE.rstrip("="),
        json.dumps(URL_SAFE.rstrip("=")),
    ],
)
def test_texts_are_read_however_they_are_folded_and_quoted(text: str) -> None:
    assert open_evidence(text.encode()).evidence == TDX


def test_the_two_alphabets_of_base64_are_not_mixed() -> None:
    assert {"+", "/"} & set(BASE64)
    assert code(BASE64.replace("+", "-", 1)) == "verification.evidence.unrecognised"


@pytest.mark.parametrize("mixed", ["-+", "-/", "_+", "_/"])
def test_no_letter_of_one_alphabet_goes_with_one_of_the_other(mixed: str) -> None:
    assert code("BAACAIEAAAAA" + mixed + "AA") == "verification.evidence.unrecognised"


@pytest.mark.parametrize("more", [b"\xfb", b"\xff\xff", b"\xfb\xff", b"\x00\xff\xbe", b"\x00\x0f\xbe"])
@pytest.mark.parametrize("size", range(8, 12))
def test_base64_is_read_with_and_without_its_padding(more: bytes, size: int) -> None:
    quote = TDX[:size] + more
    plain, url_safe = base64.b64encode(quote).decode(), base64.urlsafe_b64encode(quote).decode()
    for text in (plain, url_safe, json.dumps({"quote": plain}), json.dumps({"quote": url_safe})):
        assert open_evidence(text.encode()).evidence == quote
    if plain != url_safe:
        assert open_evidence(url_safe.rstrip("=").encode()).evidence == quote
    for text in (plain.rstrip("="), url_safe.rstrip("=")):
        assert open_evidence(json.dumps({"quote": text}).encode()).evidence == quote


def test_padding_of_url_safe_text_is_whole_or_not_there() -> None:
    text = base64.urlsafe_b64encode(TDX + b"\xff").decode()
    assert text.endswith("==")
    assert "_" in text
    assert open_evidence(text.encode()).evidence == TDX + b"\xff"
    assert code(text[:-1]) == "verification.evidence.unrecognised"


@pytest.mark.parametrize(
    "text",
    [
        BASE64 + "!",
        URL_SAFE + "!",
        TDX.hex() + '"',
        '"' + TDX.hex(),
        '"' + BASE64,
        BASE64 + '"',
        '"',
        '""',
        "0x0x" + TDX.hex(),
    ],
)
def test_texts_with_anything_else_are_refused(text: str) -> None:
    assert code(text) == "verification.evidence.unrecognised"


def test_hexadecimal_text_may_say_so_behind_quotes() -> None:
    assert open_evidence(json.dumps("0x" + TDX.hex()).encode()).evidence == TDX


@pytest.mark.parametrize(
    ("answer", "quote"),
    [
        ({"cc_eventlog": None, "quote": BASE64}, TDX),
        ({"quote": base64.b64encode(SGX).decode()}, SGX),
        ({"quote": BASE64, "runtime_data": None}, TDX),
        ({"tdx": {"quote": BASE64, "runtime_data": "AAAA"}}, TDX),
        ({"sgx": {"quote": base64.b64encode(SGX).decode()}}, SGX),
        ({"provider": "tdx_guest", "outblob": BASE64, "generation": 1}, TDX),
        ({"quote": TDX.hex()}, TDX),
        ({"quote": list(TDX)}, TDX),
        ({"tdx": {"quote": list(TDX)}}, TDX),
        ({"quote": "0x" + TDX.hex().upper(), "report_data": "00"}, TDX),
    ],
)
def test_the_json_around_a_quote_is_opened(answer: dict[str, object], quote: bytes) -> None:
    opened = open_evidence(json.dumps(answer).encode())
    assert opened.evidence == quote
    assert opened.platform == ("tdx" if quote is TDX else "sgx")
    assert opened.presented is None
    assert opened.form == f"{len(quote)} bytes, from JSON"


def test_the_cbor_around_a_quote_is_opened() -> None:
    answer = {"provider": "tdx_guest", "outblob": TDX, "auxblob": b"more", "privlevel": None}
    opened = open_evidence(cbor.encode(answer))
    assert (opened.platform, opened.evidence) == ("tdx", TDX)
    assert opened.unverified == ("auxblob",)
    with pytest.raises(EvidenceError) as caught:
        open_evidence(cbor.encode(answer | {"outblob": SGX}))
    assert caught.value.code == "verification.evidence.unrecognised"


def test_it_is_said_that_something_beside_a_quote_is_not_read() -> None:
    opened = open_evidence(json.dumps({"quote": BASE64, "event_log": LOG, "runtime_data": None}).encode())
    assert opened.evidence == TDX
    assert opened.unverified == ("event_log",)


def test_the_firmwares_log_beside_a_quote_is_read() -> None:
    opened = open_evidence(json.dumps({"quote": BASE64, "cc_eventlog": LOG}).encode())
    assert opened.evidence == TDX
    assert opened.firmware_log == CcelData(b"an event log", frozenset({0, 1}))
    assert opened.unverified == ()


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        ({"provider": "tdx_guest", "outblob": BASE64, "generation": 1}, ("generation",)),
        ({"provider": "tdx_guest", "outblob": BASE64}, ()),
        ({"provider": "tdx_guest", "outblob": BASE64, "quote": BASE64}, ("quote",)),
        ({"quote": BASE64, "outblob": BASE64, "provider": "another"}, ("outblob", "provider")),
        ({"tdx": {"quote": BASE64, "runtime_data": "AAAA"}}, ("runtime_data",)),
        ({"tdx": {"quote": BASE64, "runtime_data": "AAAA"}, "more": 1}, ("runtime_data", "more")),
        ({"quote": BASE64, "runtime_data": "AAAA", "cc_eventlog": ""}, ("cc_eventlog", "runtime_data")),
        ({"quote": "0x" + TDX.hex(), "report_data": "00"}, ("report_data",)),
        ({"quote": BASE64, "cc_eventlog": LOG, "more": 0}, ("more",)),
    ],
)
def test_what_stands_beside_a_quote_is_named(answer: dict[str, object], left: tuple[str, ...]) -> None:
    opened = open_evidence(json.dumps(answer).encode())
    assert opened.unverified == left
    assert (opened.firmware_log is not None) is (answer.get("cc_eventlog") == LOG)
    log = " with an event log" if opened.firmware_log else ""
    assert opened.form == f"{len(TDX)} bytes, from JSON{log}"


@pytest.mark.parametrize("size", [63, 64, 65])
def test_names_of_what_is_not_verified_are_bounded(size: int) -> None:
    names = [f"{at:03}" for at in range(size)]
    opened = open_evidence(json.dumps({"quote": BASE64} | dict.fromkeys(names, 1)).encode())
    assert (opened.unverified, opened.unnamed) == ((tuple(names), 0) if size < 65 else (tuple(names[:63]), 2))
    (found,) = open_evidence(json.dumps({"quote": BASE64, "x" * size: 1}).encode()).unverified
    assert found == ("x" * size if size < 65 else "x" * 64 + "...")


@pytest.mark.parametrize(
    ("inner", "outer", "shown", "more"),
    [(60, 4, 64, 0), (60, 5, 63, 2), (64, 1, 63, 2), (64, 64, 63, 65), (100, 0, 63, 37), (100, 10, 63, 47)],
)
def test_what_wrappings_in_each_other_leave_out_is_counted_in_all_of_them(
    inner: int, outer: int, shown: int, more: int
) -> None:
    quote = {"quote": BASE64} | {f"a{at:03}": 1 for at in range(inner)}
    envelope = {"platform": "tdx", "evidence": quote} | {f"b{at:03}": 1 for at in range(outer)}
    names = open_bundle(json.dumps(envelope).encode()).unverified
    named = [f"a{at:03}" for at in range(inner)] + [f"b{at:03}" for at in range(outer)]
    assert names == (*named[:shown], *([f"{more} more"] if more else []))
    assert shown + more == inner + outer


@pytest.mark.parametrize("log", [LOG[:-1], LOG + "\n", "\ud800"])
def test_a_firmwares_log_that_cannot_be_read_is_refused(log: str) -> None:
    assert code(json.dumps({"quote": BASE64, "cc_eventlog": log})) == "verification.log.base64"


@pytest.mark.parametrize(
    "answer",
    [
        {"quote": base64.b64encode(SGX).decode(), "cc_eventlog": LOG},  # an enclave has no such registers
        {"quote": BASE64, "cc_eventlog": [1, 2]},
    ],
)
def test_a_log_that_can_explain_nothing_is_named(answer: dict[str, object]) -> None:
    opened = open_evidence(json.dumps(answer).encode())
    assert opened.firmware_log is None
    assert opened.unverified == ("cc_eventlog",)


def test_a_guests_whole_answer_keeps_its_event_log() -> None:
    opened = open_evidence(json.dumps({"quote": TDX.hex(), "event_log": "[]"}).encode())
    assert opened.presented is not None
    assert opened.presented.log == b"[]"


def test_a_guests_whole_answer_may_have_its_quote_in_base64() -> None:
    config = {"event_log": "[]", "vm_config": "{}"}
    whole = open_evidence(json.dumps({"quote": TDX.hex(), **config}).encode())
    opened = open_evidence(json.dumps({"quote": BASE64, **config, "more": 1}).encode())
    assert opened.presented == whole.presented
    assert (opened.evidence, opened.unverified) == (TDX, ("more",))
    assert opened.form.endswith(" with an event log")
    for log in ("", "e30=", "{}", 7, []):
        opened = open_evidence(json.dumps({"quote": BASE64, "event_log": log}).encode())
        assert (opened.presented, opened.unverified) == (None, ("event_log",))
    assert code(json.dumps({"quote": BASE64, "event_log": "[]", "vm_config": 7})) == "dstack.answer.member"
    enclave = {"quote": base64.b64encode(SGX).decode(), "event_log": "[]"}
    assert open_evidence(json.dumps(enclave).encode()).unverified == ("event_log",)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"quote": base64.b64encode(b"nothing of the kind").decode()}, "dstack.answer.quote"),
        ({"quote": BASE64 + "!"}, "dstack.answer.quote"),
        ({"quote": 7}, "dstack.answer.quote"),
        ({"quote": [*TDX, 256]}, "dstack.answer.quote"),
        ({"quote": [*TDX, True]}, "dstack.answer.quote"),
        ({"quote": [*TDX, -1]}, "dstack.answer.quote"),
        ({"quote": []}, "dstack.answer.quote"),
        ({"quote": "0x" + TDX.hex(), "event_log": "[]"}, "dstack.answer.quote"),
        ({"quote": None}, "dstack.answer.quote"),
        ({"quote": SNP.hex()}, "dstack.answer.member"),
        ({"provider": "tdx_guest", "quote": BASE64}, "dstack.answer.quote"),
        ({"outblob": BASE64}, "verification.answer.unrecognised"),
        ({"gpu": {"quote": BASE64}}, "verification.answer.unrecognised"),
        ({"tdx": BASE64}, "verification.answer.unrecognised"),
        ({"tdx": [BASE64]}, "verification.answer.unrecognised"),
        ({"provider": "another_guest", "outblob": BASE64}, "verification.answer.unrecognised"),
        ({"tdx": {"more": BASE64}, "quotes": 1}, "verification.answer.unrecognised"),
        ({"nested": {"quote": BASE64}}, "verification.answer.unrecognised"),
        ([list(TDX)], "verification.evidence.unrecognised"),
    ],
)
def test_what_is_no_quote_in_json_is_refused(answer: object, expected: str) -> None:
    assert code(json.dumps(answer)) == expected


@pytest.mark.parametrize("text", [TDX.hex(), BASE64, json.dumps({"quote": BASE64})])
def test_a_mark_of_utf_8_before_text_is_passed_over(text: str) -> None:
    assert open_evidence(text.encode("utf-8-sig")).evidence == TDX
    assert code("\ufeff\ufeff" + text) == "verification.evidence.unrecognised"
