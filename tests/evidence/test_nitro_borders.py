"""Bounds of Nitro documents, each tried at its limit and beyond it; what is shown of one; its checks."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import get_args

import pytest

from assay.evidence.ledger import Outcome
from assay.evidence.nitro import checks
from assay.evidence.nitro.claims import Carrier, Platform, Validity
from assay.evidence.nitro.document import MAX_DOCUMENT_BYTES
from support.nitro_scenes import BINDING, HOUR, NOW, PLATFORMS, draft, judge, module, reissue

IDS = (
    "nitro.cose.layout nitro.cose.headers nitro.payload.layout nitro.payload.platform "
    "nitro.payload.module_id nitro.payload.digest nitro.payload.timestamp nitro.payload.pcrs "
    "nitro.payload.certificates nitro.payload.optional nitro.root.pinned nitro.chain.layout "
    "nitro.chain.keys nitro.chain.names nitro.chain.roles nitro.chain.signatures "
    "nitro.chain.validity nitro.chain.archived nitro.cose.signature nitro.binding"
)


def test_the_checks_are_made_under_these_names():
    """Policies and ledgers name them: a name that changes breaks both."""
    assert [check.id for check in judge(draft().encode()).ledger] == IDS.split()


@pytest.mark.parametrize(
    ("milliseconds", "outcome"),
    [
        (0, Outcome.FAILED),
        (1, Outcome.PASSED),
        (253_402_300_799_999, Outcome.PASSED),
        (253_402_300_800_000, Outcome.FAILED),
        (1.0, Outcome.FAILED),
        (True, Outcome.FAILED),
    ],
)
def test_the_last_millisecond_of_the_calendar(milliseconds, outcome):
    found = draft()
    found.members["timestamp"] = milliseconds
    result = judge(found.encode())
    assert result.ledger[checks.NITRO_TIMESTAMP.id].outcome is outcome


def codes(found, **options) -> list[str]:
    return [check.code for check in judge(found.encode(), **options).ledger.failed()]


def member(name: str, value):
    found = draft()
    found.members[name] = value
    return found


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 47, 48, 49, 63, 64, 65])
def test_a_register_has_the_size_of_a_hash(size):
    found = member("pcrs", {0: b"\1" * 48, 7: b"\2" * size})
    if size in (32, 48, 64):
        assert judge(found.encode()).claims.pcrs == {0: b"\1" * 48, 7: b"\2" * size}
    else:
        assert codes(found) == ["nitro.payload.pcrs"]


@pytest.mark.parametrize(("index", "accepted"), [(0, True), (31, True), (32, False), (-1, False)])
def test_the_index_of_a_register_is_0_to_31(index, accepted):
    found = member("pcrs", {5: b"\1" * 48} | {index: b"\1" * 48})
    assert codes(found) == ([] if accepted else ["nitro.payload.pcrs"])


def test_there_may_be_32_registers():
    registers = dict.fromkeys(range(32), b"\1" * 32)
    assert judge(member("pcrs", registers).encode()).claims.pcrs == registers
    assert codes(member("pcrs", {3: b"\1" * 48})) == []
    assert codes(member("pcrs", {})) == ["nitro.payload.pcrs"]


@pytest.mark.parametrize("name", ["public_key", "user_data", "nonce"])
@pytest.mark.parametrize(("size", "accepted"), [(0, True), (1, True), (1024, True), (1025, False)])
def test_what_the_workload_puts_in_has_at_most_1024_bytes(name, size, accepted):
    result = judge(member(name, b"x" * size).encode(), binding=None)
    assert [check.code for check in result.ledger.failed()] == (
        [] if accepted else ["nitro.payload.optional"]
    )
    if accepted:
        assert getattr(result.claims, name) == b"x" * size
    assert getattr(judge(member(name, None).encode(), binding=None).claims, name) is None


@pytest.mark.parametrize(
    ("text", "accepted"), [("m", True), ("m" * 128, True), ("m" * 129, False), ("", False), ("m\n", False)]
)
def test_a_module_id_has_1_to_128_characters(text, accepted):
    # A module of another name than the certified one is refused further on.
    assert codes(member("module_id", text)) == [
        "nitro.chain.module" if accepted else "nitro.payload.module_id"
    ]


@pytest.mark.parametrize(
    ("count", "code"),
    [
        (0, "nitro.payload.certificates"),
        (1, "nitro.chain.length"),
        (3, "nitro.chain.length"),
        (5, "nitro.chain.length"),
        (8, "nitro.chain.length"),
        (9, "nitro.payload.certificates"),
    ],
)
def test_a_bundle_has_1_to_8_certificates_and_a_chain_has_4(count, code):
    found = draft()
    ders = [issued.der for issued in found.chain[:-1]]
    found.members["cabundle"] = (ders * 3)[:count]
    assert codes(found) == [code]


@pytest.mark.parametrize("place", ["certificate", "cabundle"])
@pytest.mark.parametrize(
    ("size", "code"),
    [
        (0, "nitro.payload.certificates"),
        (1, "nitro.chain.malformed"),
        (1024, "nitro.chain.malformed"),
        (1025, "nitro.payload.certificates"),
    ],
)
def test_a_certificate_has_1_to_1024_bytes(place, size, code):
    found = draft()
    ders = [issued.der for issued in found.chain[:-1]]
    found.members[place] = bytes(size) if place == "certificate" else [ders[0], bytes(size), *ders[2:]]
    assert codes(found) == [code]


def test_a_document_has_at_most_16384_bytes():
    found = draft()
    found.after = lambda data: data.ljust(MAX_DOCUMENT_BYTES, b"\0")
    assert codes(found) == ["nitro.cose.layout"]
    assert MAX_DOCUMENT_BYTES == 16384
    found.after = lambda data: data.ljust(MAX_DOCUMENT_BYTES + 1, b"\0")
    assert codes(found) == ["nitro.cose.oversized"]


@pytest.mark.parametrize("size", [0, 95, 97])
def test_a_signature_has_96_bytes(size):
    found = draft()
    # The signature is the last item: two bytes of head, then 96.
    found.after = lambda data: data[:-98] + (bytes([0x40]) if not size else bytes([0x58, size])) + bytes(size)
    assert codes(found) == ["nitro.cose.signature_length"]


@pytest.mark.parametrize("payload", [b"", b"\xa0"])
def test_an_empty_payload_is_none(payload):
    found = draft()
    found.after_payload = lambda _: payload
    assert codes(found) == ["nitro.payload.layout" if payload else "nitro.cose.payload"]


# --- What may be asked for, and what is said


@pytest.mark.parametrize("carrier", get_args(Carrier))
@pytest.mark.parametrize("validity", get_args(Validity))
@pytest.mark.parametrize("platform", get_args(Platform))
def test_every_word_that_a_caller_may_use(platform, carrier, validity):
    found = draft(platform)
    found.members |= {"user_data": None, "nonce": None, "public_key": None, carrier: BINDING}
    claims = judge(found.encode(), platform, carrier=carrier, validity=validity).claims
    assert (claims.carrier, claims.validity) == (carrier, validity)


def test_these_are_all_the_words():
    assert set(get_args(Carrier)) == {"user_data", "nonce", "public_key"}
    assert set(get_args(Validity)) == {"now", "document"}
    assert get_args(Platform) == PLATFORMS


@pytest.mark.parametrize("tagged", [True, False])
def test_every_field_that_is_shown(tagged):
    found = draft(nonce=b"\1\2", public_key=b"")
    found.tagged = tagged
    found.members["pcrs"] = {10: b"\x0a" * 48, 2: b"\x02" * 48}
    result = judge(found.encode())
    shown = {
        "module_id": module().module_id,
        "digest": "SHA384",
        "timestamp": "2026-11-10T09:30:00.000+00:00",
        "pcrs": {"2": "02" * 48, "10": "0a" * 48},
        "public_key": "",
        "user_data": BINDING.hex(),
        "nonce": "0102",
        "cabundle": 4,
        "tagged": tagged,
    }
    assert result.decoded == shown
    assert list(result.decoded["pcrs"]) == ["2", "10"]
    assert repr(result.decoded) == f"DecodedDocument({shown!r})"
    assert result.decoded["cabundle"] == 4
    assert "x" not in result.decoded


def test_what_is_signed_is_named_by_its_digest():
    found = draft()
    signed = b"\x84\x6aSignature1\x44\xa1\x01\x38\x22\x40"
    payload = found.payload()
    signed += b"\x59" + len(payload).to_bytes(2, "big") + payload
    assert judge(found.encode()).signed_digest == hashlib.sha256(signed).digest()


def test_a_document_that_cannot_be_read_is_unsigned_from_end_to_end():
    data = draft().encode() + b"\0"
    result = judge(data)
    assert [(region.start, region.end) for region in result.unsigned] == [(0, len(data))]
    assert result.signed_digest == hashlib.sha256(data).digest()
    assert (result.anchor, result.needs, dict(result.decoded)) == (None, (), {})


# --- Times


@pytest.mark.parametrize("validity", get_args(Validity))
def test_a_chain_is_valid_in_its_first_and_last_second(validity):
    claims = judge(draft().encode()).claims
    start, end = claims.chain_valid_from, claims.chain_valid_until
    second = timedelta(seconds=1)
    name = {"now": "nitro.chain.validity", "document": "nitro.chain.archived"}[validity]
    for at, accepted in ((start, True), (end, True), (start - second, False), (end + second, False)):
        found = draft()
        found.members["timestamp"] = round(at.timestamp() * 1000) if validity == "document" else 1
        result = judge(found.encode(), now=at, validity=validity)
        assert result.ledger[name].outcome is (Outcome.PASSED if accepted else Outcome.FAILED)
        assert result.bound is accepted
        if not accepted:
            stamps = [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (start, end, at)]
            said = f"The chain is valid {stamps[0]} to {stamps[1]}, the time is {stamps[2]}."
            assert (result.ledger[name].code, result.ledger[name].reason) == (name, said)


def test_the_window_is_what_every_certificate_of_the_chain_covers():
    found = draft()
    plain = judge(found.encode()).claims
    reissue(found, 2, not_before=NOW - HOUR / 4)
    reissue(found, 3, not_after=NOW + HOUR / 4)
    claims = judge(found.encode()).claims
    assert claims.chain_valid_from == max(plain.chain_valid_from, NOW - HOUR / 4)
    assert claims.chain_valid_until == NOW + HOUR / 4


def test_the_check_that_is_not_made_says_why():
    data = draft().encode()
    now = judge(data).ledger["nitro.chain.archived"]
    kept = judge(data, validity="document").ledger["nitro.chain.validity"]
    assert {now.outcome, kept.outcome} == {Outcome.NOT_APPLICABLE}
    assert now.reason == "the chain is judged at the given time"
    assert kept.reason == "the caller asked for the chain as it was when the document was made"


@pytest.mark.parametrize("place", [1, 2, 3, 4])
@pytest.mark.parametrize("edge", ["not_before", "not_after"])
def test_each_certificate_of_the_chain_limits_its_window(place, edge):
    found = draft()
    at = {"not_before": NOW - HOUR / 60, "not_after": NOW + HOUR / 60}[edge]
    reissue(found, place, **{edge: at})
    claims = judge(found.encode()).claims
    assert at in (claims.chain_valid_from, claims.chain_valid_until)


def test_what_passed_before_a_document_was_refused_stands_in_the_ledger():
    names = IDS.split()

    def outcomes(found) -> list[str]:
        return [check.outcome.value for check in judge(found.encode()).ledger]

    # A malformed header shows before the rest of the message is looked at.
    spoilt = draft()
    spoilt.unprotected = {4: b"kid"}
    assert outcomes(spoilt)[:3] == ["not_checked", "failed", "not_checked"]
    spoilt = draft()
    spoilt.members["other"] = b""
    assert outcomes(spoilt)[:4] == ["passed", "passed", "failed", "not_checked"]
    for place, (name, value) in enumerate(
        (
            ("module_id", ""),
            ("digest", "SHA256"),
            ("timestamp", -1),
            ("pcrs", {}),
            ("cabundle", []),
            ("nonce", "text"),
        ),
        names.index("nitro.payload.module_id"),
    ):
        expected = ["passed"] * place + ["failed"] + ["not_checked"] * (len(names) - place - 1)
        assert outcomes(member(name, value)) == expected
