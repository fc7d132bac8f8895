"""A DCAP quote in the texts and the JSON that tools put around it. Made by hand; no signature is checked."""

from __future__ import annotations

import base64
import json

import pytest

from assay.errors import EvidenceError
from assay.verification.firmware_log import CcelData
from assay.verification.opening import open_evidence

TDX = bytes.fromhex("0400020081000000") + bytes(range(256)) * 4 + b"\xfb\xff\xfe"
SGX = bytes.fromhex("0300020000000000") + bytes(range(255, -1, -1)) * 4
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


def test_it_is_said_that_something_beside_a_quote_is_not_read() -> None:
    opened = open_evidence(json.dumps({"quote": BASE64, "event_log": LOG, "runtime_data": None}).encode())
    assert opened.evidence == TDX
    assert opened.unverified == ("event_log",)


def test_the_firmwares_log_beside_a_quote_is_read() -> None:
    opened = open_evidence(json.dumps({"quote": BASE64, "cc_eventlog": LOG}).encode())
    assert opened.evidence == TDX
    assert opened.firmware_log == CcelData(b"an event log", frozenset({0, 1}))
    assert opened.unverified == ()


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


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"quote": base64.b64encode(b"nothing of the kind").decode()}, "dstack.answer.quote"),
        ({"quote": BASE64 + "!"}, "dstack.answer.quote"),
        ({"quote": 7}, "dstack.answer.quote"),
        ({"quote": [*TDX, 256]}, "dstack.answer.quote"),
        ({"quote": [*TDX, True]}, "dstack.answer.quote"),
        ({"quote": [*TDX, -1]}, "dstack.answer.quote"),
        ({"provider": "another_guest", "outblob": BASE64}, "verification.answer.unrecognised"),
        ({"tdx": {"quote": BASE64}, "more": 1}, "verification.answer.unrecognised"),
        ({"nested": {"quote": BASE64}}, "verification.answer.unrecognised"),
        (list(TDX), "verification.evidence.unrecognised"),
    ],
)
def test_what_is_no_quote_in_json_is_refused(answer: object, expected: str) -> None:
    assert code(json.dumps(answer)) == expected
