"""Recognising evidence: it routes, and decides nothing."""

from __future__ import annotations

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
    open_event_log,
    open_evidence,
)
from assay.verification.recognition import recognise
from support import vectors

QUOTE = vectors.read("tdx/phala-dcap-qvl/quote_v4.bin")
INFO = vectors.read("dstack/crabbox-phala/real_attestation_info.json")
CRABBOX = vectors.read("dstack/crabbox-phala/real_tdx_quote.bin")
LITE = vectors.read("dstack/dstack-main/dstack_verifier_fixtures_tdx-lite-getquote.json")
TCB = vectors.read("dstack/near-mpc/tcb_info.json")


@pytest.mark.parametrize(
    ("head", "platform"),
    [
        ("0300020000000000", "sgx"),
        ("0300020081000000", "sgx"),
        ("0400020000000000", "sgx"),
        ("0400020081000000", "tdx"),
        ("0500020081000000", "tdx"),
        ("0500020000000000", "sgx"),
        ("0400020001000000", None),
        ("0200020000000000", None),
        ("0600020081000000", None),
        ("04000200810000", None),
        ("", None),
    ],
)
def test_platforms_are_told_by_the_header(head: str, platform: str | None) -> None:
    assert recognise(bytes.fromhex(head)) == platform


def test_a_raw_quote_is_taken_as_it_is() -> None:
    assert open_evidence(QUOTE).evidence is QUOTE


@pytest.mark.parametrize("text", [QUOTE.hex(), "0x" + QUOTE.hex() + "\n", " " + QUOTE.hex().upper() + "\r\n"])
def test_hexadecimal_text_is_decoded(text: str) -> None:
    assert open_evidence(text.encode()).evidence == QUOTE


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


def test_what_belongs_to_another_quote_is_left_behind() -> None:
    own = open_event_log(INFO, CRABBOX)
    other = open_event_log(INFO, QUOTE)
    assert isinstance(own, Presented)
    assert isinstance(other, Presented)
    assert own.spki is not None
    assert own.stated
    assert (other.quote, other.spki, dict(other.stated)) == (QUOTE, None, {})


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
