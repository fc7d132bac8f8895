"""CCEL logs against quotes: every published log, and each check refuted alone."""

from __future__ import annotations

import json

import pytest

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm, Coverage, ccel, parse_ccel, replay_rtmrs, verify_ccel
from assay.evidence.ledger import Outcome
from support import vectors
from support.dstack_quotes import taken_as_verified
from support.eventlog_writer import event, header, write_log

EVENTS = [(1, 0x4, bytes(4)), (2, 0x80000007, b"Calling EFI Application from Boot Option"), (3, 0x6, b"tag")]
LOG = write_log(EVENTS, padding=b"\xff" * 512)
BOOT = frozenset({0, 1, 2})


def quote_of(log: bytes, **fields: bytes):
    registers = {f"rtmr{index}": value for index, value in enumerate(parse_ccel(log).replay())}
    return taken_as_verified(**(registers | fields))


@pytest.mark.parametrize("entry", vectors.entries(kind="ccel"), ids=lambda entry: entry["file"])
def test_published_logs_replay_as_stated(entry):
    stated = entry["expected"]["key_fields"]
    log = parse_ccel(vectors.read(entry["file"]))
    expected = tuple(stated["replayed"]["sha384"].get(str(index), "00" * 48) for index in range(1, 5))
    assert tuple(value.hex() for value in log.replay()) == expected
    measuring_nothing = stated["event_types"]["0x3"]
    assert len(log.events) == stated["events"] - measuring_nothing
    padding = [region for region in log.unsigned if region.name == "padding"]
    assert [region.start for region in padding] == [stated["log_bytes_used"]]
    assert not any(found.binding.coverage is Coverage.CONTRADICTED for found in log.events)
    vectors.record(entry["family"], entry["kind"])


def test_logs_of_the_trustee_suite_replay_as_stated():
    stated = json.loads(vectors.read("trustee/derived/ccel_expected_rtmrs.json"))
    stated.pop("note")
    for name, registers in stated.items():
        log = parse_ccel(vectors.read(f"trustee/trustee/deps/eventlog/test_data/{name}"))
        assert [value.hex() for value in log.replay()] == registers, name


def test_dstacks_sample_has_the_events_of_its_snapshot():
    log = parse_ccel(vectors.read("dstack/dstack-main/dstack_cc-eventlog_samples_ccel.bin"))
    snapshot = vectors.read(
        "dstack/dstack-main/dstack_cc-eventlog_src_snapshots_cc_eventlog__tests__parse_ccel-2.snap"
    ).decode()
    stated = json.loads(snapshot[snapshot.index("[\n") :])
    found = [(e.register, e.kind, e.digest.hex(), e.payload.hex()) for e in log.events]
    assert found == [(e["imr"], e["event_type"], e["digest"], e["event_payload"]) for e in stated]


def test_a_true_log_is_proven():
    result = verify_ccel(quote_of(LOG), LOG, registers=BOOT)
    assert result.authentic
    assert result.complete
    assert [found.bound for found in result.claims.events] == [payload for _, _, payload in EVENTS]
    assert result.ledger["ccel.replay.rtmr3"].outcome is Outcome.NOT_APPLICABLE
    assert [region.name for region in result.unsigned] == ["header of the event log", "padding"]
    assert any("type of an event" in sentence for sentence in result.not_proven)


@pytest.mark.parametrize("registers", [frozenset(), frozenset({4}), frozenset({0, -1})])
def test_a_log_is_verified_against_some_register(registers):
    with pytest.raises(EvidenceError) as caught:
        verify_ccel(quote_of(LOG), LOG, registers=registers)
    assert caught.value.code == "ccel.registers"


def test_captions_are_counted_as_not_proven():
    log = header() + event(1, 0xA, b"ACPI DATA", measured=b"tables")
    result = verify_ccel(quote_of(log), log, registers=BOOT)
    assert result.claims.events[0].bound == b""
    assert any(sentence.startswith("1 of 1 payloads") for sentence in result.not_proven)


def test_only_named_registers_are_claimed():
    result = verify_ccel(quote_of(LOG, rtmr2=bytes(48)), LOG, registers=frozenset({0, 1}))
    assert {found.register for found in result.claims.events} == {0, 1}


def test_a_register_without_events_must_be_zero():
    log = write_log(EVENTS[:1])
    result = verify_ccel(quote_of(log, rtmr1=b"\1" * 48), log, registers=BOOT)
    assert result.ledger["ccel.replay.rtmr1"].code == "ccel.replay.mismatch"


def test_events_that_measure_nothing_are_unsigned():
    log = header() + event(0, 3, b"SP800-155 Event3") + event(1, 4, bytes(4))
    assert [region.name for region in parse_ccel(log).unsigned] == [
        "header of the event log",
        "event that measures nothing",
    ]


CONTRADICTED = header() + event(1, 0x80000007, b"Exit Boot Services", measured=b"something else")
SEVEN = b"\7" * 48
REFUTED = {
    "ccel.quote": (taken_as_verified(authentic=False), LOG, "ccel.quote.unauthenticated"),
    "ccel.layout": (quote_of(LOG), LOG[:-1] + b"\0", "eventlog.padding"),
    "ccel.replay.rtmr0": (quote_of(LOG, rtmr0=SEVEN), LOG, "ccel.replay.mismatch"),
    "ccel.replay.rtmr1": (quote_of(LOG, rtmr1=SEVEN), LOG, "ccel.replay.mismatch"),
    "ccel.replay.rtmr2": (quote_of(LOG, rtmr2=SEVEN), LOG, "ccel.replay.mismatch"),
    "ccel.replay.rtmr3": (quote_of(LOG, rtmr3=SEVEN), LOG, "ccel.replay.mismatch"),
    "ccel.payload": (quote_of(CONTRADICTED), CONTRADICTED, "ccel.payload.contradicted"),
}


@pytest.mark.parametrize("check_id", REFUTED)
def test_a_check_refutes_alone(check_id):
    quote, log, code = REFUTED[check_id]
    result = verify_ccel(quote, log, registers=frozenset(range(4)))
    assert [(check.id, check.code) for check in result.ledger.failed()] == [(check_id, code)]
    assert not result.authentic
    with pytest.raises(EvidenceError, match=code) as caught:
        _ = result.claims
    assert caught.value.code == "evidence.claims.unauthenticated"


def test_every_check_is_among_the_refuted():
    assert [spec.id for spec in ccel.CHECKS] == list(REFUTED)
    assert all(spec.source and spec.title for spec in ccel.CHECKS)


@pytest.mark.parametrize("register", [0, 5, 2**32 - 2])
def test_registers_that_tdx_lacks(register):
    with pytest.raises(EvidenceError) as caught:
        parse_ccel(write_log([(register, 4, bytes(4))]))
    assert caught.value.code == "eventlog.register"


def test_a_log_without_sha384():
    algorithms = (Algorithm.SHA256,)
    with pytest.raises(EvidenceError) as caught:
        parse_ccel(header(algorithms) + event(1, 4, bytes(4), algorithms))
    assert caught.value.code == "eventlog.bank.absent"


def test_replay_begins_at_zero():
    assert replay_rtmrs([]) == (bytes(48),) * 4


def test_a_log_that_cannot_be_read_leaves_nothing_to_say():
    result = verify_ccel(quote_of(LOG), LOG[:40], registers=BOOT)
    assert not result.authentic
    assert result.not_proven == ()
