"""Recognising evidence: it routes, and decides nothing."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.dstack import Presented
from assay.verification.firmware_log import CcelData
from assay.verification.opening import (
    MAX_EVIDENCE_BYTES,
    MAX_LOG_BYTES,
    open_bundle,
    open_event_log,
    open_evidence,
)
from support import vectors

QUOTE = vectors.read("tdx/phala-dcap-qvl/quote_v4.bin")
INFO = vectors.read("dstack/crabbox-phala/real_attestation_info.json")
CRABBOX = vectors.read("dstack/crabbox-phala/real_tdx_quote.bin")
LITE = vectors.read("dstack/dstack-main/dstack_verifier_fixtures_tdx-lite-getquote.json")
TCB = vectors.read("dstack/near-mpc/tcb_info.json")


def test_a_raw_quote_is_taken_as_it_is() -> None:
    assert open_evidence(QUOTE).evidence is QUOTE


@pytest.mark.parametrize("text", [QUOTE.hex(), "0x" + QUOTE.hex() + "\n", " " + QUOTE.hex().upper() + "\r\n"])
def test_hexadecimal_text_is_decoded(text: str) -> None:
    assert open_evidence(text.encode()).evidence == QUOTE


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_of_numbers_is_taken_for_the_bytes_that_it_is(indent: int | None) -> None:
    opened = open_evidence(json.dumps(list(QUOTE), indent=indent).encode() + b"\n")
    assert opened.evidence == QUOTE
    assert opened.form == f"{len(QUOTE)} bytes, from a list of numbers"


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        json.dumps([256, *QUOTE[1:]]),
        json.dumps([-4, *QUOTE[1:]]),
        json.dumps([4.0, *QUOTE[1:]]),
        json.dumps(["4", *QUOTE[1:]]),
        json.dumps([list(QUOTE)]),
        json.dumps(list(QUOTE))[:-1],
    ],
)
def test_an_array_of_anything_but_bytes_is_no_evidence(text: str) -> None:
    with pytest.raises(EvidenceError):
        open_evidence(text.encode())


def test_answers_of_a_dstack_guest_are_taken_apart() -> None:
    opened = open_evidence(INFO)
    assert opened.evidence.rstrip(b"\0") == CRABBOX.rstrip(b"\0")
    assert opened.presented is not None
    assert open_evidence(LITE).presented is not None


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "verification.evidence.unrecognised"),
        (b"hello", "verification.evidence.unrecognised"),
        (b"\xff" * 100, "verification.evidence.unrecognised"),
        (b"00" * 100, "verification.evidence.unrecognised"),
        (b"{}", "verification.answer.unrecognised"),
        (TCB, "verification.answer.unrecognised"),
        (b"HCLA" + bytes(2596), "verification.evidence.hcl_alone"),
        ((b"HCLA" + bytes(2596)).hex().encode(), "verification.evidence.hcl_alone"),
        (bytes(MAX_EVIDENCE_BYTES + 1), "verification.evidence.oversized"),
        (b"ASSAYTPM".ljust((80 << 20) + 1), "verification.evidence.oversized"),
    ],
)
def test_what_is_no_evidence_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(EvidenceError) as caught:
        open_evidence(data)
    assert caught.value.code == code


def test_logs_are_told_apart() -> None:
    assert isinstance(open_event_log(vectors.read("tdx/coco-trustee/CCEL_data.bin"), QUOTE), CcelData)
    assert isinstance(open_event_log(b"garbage", QUOTE), CcelData)
    for data in INFO, LITE, TCB:
        assert isinstance(open_event_log(data, QUOTE), Presented)
    events = json.dumps(json.loads(TCB)["event_log"]).encode() if b'"event_log"' in TCB else b"[]"
    assert isinstance(open_event_log(events if events[:1] == b"[" else b"[]", QUOTE), Presented)
    with pytest.raises(EvidenceError) as caught:
        open_event_log(bytes(MAX_LOG_BYTES + 1), QUOTE)
    assert caught.value.code == "verification.log.oversized"


@pytest.mark.parametrize("written", [bytes.hex, lambda log: base64.encodebytes(log).decode()])
def test_a_firmwares_log_is_taken_out_of_its_text(written) -> None:
    log = vectors.read("tdx/coco-trustee/CCEL_data_ovmf.bin")
    text = written(log).encode() + b"\n"
    assert open_event_log(text, QUOTE) == open_event_log(log, QUOTE) == CcelData.whole(log)
    other = b"00" * 100
    assert open_event_log(other, QUOTE) == CcelData.whole(other)


def test_what_belongs_to_another_quote_is_left_behind() -> None:
    own = open_event_log(INFO, CRABBOX)
    other = open_event_log(INFO, QUOTE)
    assert isinstance(own, Presented)
    assert isinstance(other, Presented)
    assert own.spki is not None
    assert own.stated
    assert (other.quote, other.spki, dict(other.stated)) == (QUOTE, None, {})


def test_the_bounds_of_what_is_opened() -> None:
    assert open_evidence(QUOTE.ljust(1 << 20, b"\0")).platform == "tdx"
    with pytest.raises(EvidenceError) as caught:
        open_evidence(QUOTE.ljust((1 << 20) + 1, b"\0"))
    assert caught.value.code == "verification.evidence.oversized"
    assert isinstance(open_event_log(bytes(4 << 20), QUOTE), CcelData)
    with pytest.raises(EvidenceError) as caught:
        open_event_log(bytes((4 << 20) + 1), QUOTE)
    assert caught.value.code == "verification.log.oversized"


def test_one_piece_is_called_what_it_is() -> None:
    bundle = open_bundle(QUOTE.hex().encode())
    assert bundle.form == bundle.parts[0].form == f"{len(QUOTE)} bytes, from hexadecimal text"
    assert bundle.parts[0].name == ""
    assert open_bundle(QUOTE).form == f"{len(QUOTE)} bytes"
    assert open_bundle(base64.b64encode(QUOTE)).form == f"{len(QUOTE)} bytes, from base64"
    answered = open_bundle(INFO)
    assert answered.form == f"{len(answered.parts[0].evidence)} bytes, from a dstack guest's answer"


@pytest.mark.parametrize(
    ("quote", "platform"),
    [("0400020081000000", "tdx"), ("0300020000000000", "sgx"), ("0700020000000000", "tdx")],
)
def test_the_quote_of_an_answer_goes_to_the_verifier_that_reads_it(quote: str, platform: str) -> None:
    """One that is none of the known ones goes where a guest's quotes go, to be refused there."""
    answer = json.dumps({"quote": quote + "00" * 40, "event_log": "[]"}).encode()
    assert open_evidence(answer).platform == platform


def test_a_log_is_held_against_the_quote_that_is_given() -> None:
    events = json.dumps([]).encode()
    assert open_event_log(b" \n" + events, QUOTE) == Presented(quote=QUOTE, log=b" \n" + events)
    stored = open_event_log(b"\n" + TCB, QUOTE)
    assert isinstance(stored, Presented)
    assert (stored.quote, bool(stored.log)) == (QUOTE, True)
    # Zeros behind a quote say nothing: the one that is given stands for the one in the answer.
    longer = CRABBOX + bytes(7)
    own = open_event_log(INFO, longer)
    assert isinstance(own, Presented)
    assert own.quote == longer
    assert own.spki is not None
    for behind, given_quote, stated in (
        (bytes(9), CRABBOX, {"report_data": b"\0"}),
        (bytes(9), CRABBOX + b"X", {}),
        (b"X", CRABBOX, {}),
        (b"", CRABBOX[:-1] + b"\1", {}),
    ):
        answer = {"quote": (CRABBOX + behind).hex(), "event_log": "[]", "report_data": "00"}
        found = open_event_log(json.dumps(answer).encode(), given_quote)
        assert isinstance(found, Presented)
        assert (found.quote, found.stated) == (given_quote, stated)


@pytest.mark.parametrize("answer", [{}, {"events": []}, {"app_compose": "{}"}])
def test_an_answer_without_a_log_explains_nothing(answer: dict[str, object]) -> None:
    with pytest.raises(EvidenceError) as caught:
        open_event_log(json.dumps(answer).encode(), QUOTE)
    assert caught.value.code == "verification.answer.unrecognised"


@given(st.binary(max_size=400))
def test_any_bytes_open_or_are_refused(data: bytes) -> None:
    for opened in (lambda: open_evidence(data), lambda: open_event_log(data, QUOTE)):
        try:
            opened()
        except EvidenceError:
            continue


@given(st.sampled_from([b"{", b"[", b'{"quote":', b'{"app_cert":']), st.binary(max_size=200))
def test_anything_like_json_opens_or_is_refused(start: bytes, rest: bytes) -> None:
    for opened in (lambda: open_evidence(start + rest), lambda: open_event_log(start + rest, QUOTE)):
        try:
            opened()
        except EvidenceError:
            continue
