from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from assay.channel import runtime
from assay.channel.binding import Purpose, SessionBinding
from assay.errors import LeaseError
from assay.leases.record import MAX_BYTES, AppraisalRecord
from support.lease_gate import AGENT, NOW, Scene

RECORD = AppraisalRecord(
    binding=SessionBinding(
        Purpose.START, "guest", "tdx", b"n" * 32, "asy-0123456789ab", b"owner", b"channel", b"receipt",
        b"", b"", b"m" * 32,
    ),
    isolation="bubblewrap",
    history=runtime.events_of_start("bubblewrap", b"m" * 32, b"b" * 32),
    launch=b"l" * 48,
    nonce_made_at=datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC),
    references={"mr_td": frozenset({b"\x02" * 48, b"\x01" * 48})},
    anchors=(("this installation", b"0der"),),
    policy="local",
    policy_digest=b"p" * 32,
    required=("dcap.quote.signature",),
)  # fmt: skip


def refused(data: bytes) -> bool:
    with pytest.raises(LeaseError) as caught:
        AppraisalRecord.decode(data)
    return caught.value.code == "lease.record.malformed"


def with_member(path: tuple, value) -> bytes:
    """Return the canonical JSON of the record with one member changed, added or (by ``...``) removed."""
    plain = json.loads(RECORD.encode())
    place = plain
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return rfc8785.dumps(plain)


def test_a_record_is_read_as_it_was_written():
    assert AppraisalRecord.decode(RECORD.encode()) == RECORD
    assert json.loads(RECORD.encode())["schema"] == "assay/appraisal-record/v1"


def test_a_time_in_another_zone_is_the_same_time():
    other = replace(RECORD, nonce_made_at=RECORD.nonce_made_at.astimezone(timezone(timedelta(hours=5))))
    assert other.encode() == RECORD.encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "assay/appraisal-record/v2"),
        (("more",), 1),
        (("isolation",), ...),
        (("isolation",), 7),
        (("isolation",), "x" * 4097),
        (("launch",), "00" * 47),
        (("launch",), "AA" * 48),
        (("launch",), None),
        (("nonce_made_at",), "2026-11-21T12:00:00"),
        (("nonce_made_at",), "2026-11-21T12:00:00Z"),
        (("nonce_made_at",), 1),
        (("binding", "nonce"), "00"),
        (("binding", "purpose"), "any"),
        (("binding", "more"), ""),
        (("binding", "hpke_key"), ...),
        (("binding", "owner_key"), "00" * 4097),
        (("binding",), []),
        (("history", 0, "event"), "else"),
        (("history", 1, "payload"), "00" * 33),
        (("history", 0, "digest"), "00"),
        (("history",), {}),
        (("history",), [{"event": "isolation", "payload": "00"}] * 1025),
        (("references",), []),
        (("references", "mr_td"), ["02" * 48, "01" * 48]),
        (("references", "mr_td"), ["01" * 48, "01" * 48]),
        (("references", "mr_td"), [""]),
        (("references", "mr_td"), ["00" * 65]),
        (("references",), {f"r{number}": [] for number in range(65)}),
        (("anchors", 0, "certificate"), ""),
        (("anchors", 0, "certificate"), "00" * 4097),
        (("anchors",), [{"name": "a", "certificate": "00"}] * 33),
        (("policy", "digest"), "00"),
        (("policy", "name"), ["local"]),
        (("policy", "more"), 0),
        (("required",), "dcap.quote.signature"),
        (("required",), [1]),
        (("required",), [""] * 1025),
    ],
)
def test_nothing_but_the_one_encoding(path, value):
    assert refused(with_member(path, value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"7",
        b"\xff",
        b"[" * 100_000,
        RECORD.encode() + b"\n",
        b" " + RECORD.encode(),
        RECORD.encode().replace(b'"launch"', b'"launch":"","launch"', 1),
        RECORD.encode().replace(b'"bubblewrap"', b'"\\ud800"'),
        RECORD.encode() + b" " * MAX_BYTES,
    ],
)
def test_other_bytes(data):
    assert refused(data)


@given(st.binary(max_size=200) | st.integers(0, len(RECORD.encode()) - 1).map(lambda at: bytes([at % 256])))
def test_any_bytes(data):
    assert refused(data)


@given(st.integers(0, len(RECORD.encode()) - 1), st.integers(0, 255))
def test_one_changed_byte_gives_another_record_or_none(place, value):
    data = bytearray(RECORD.encode())
    if data[place] == value:
        return
    data[place] = value
    try:
        found = AppraisalRecord.decode(bytes(data))
    except LeaseError:
        return
    assert found != RECORD
    assert found.encode() == data


def test_the_gate_judges_with_the_record_that_it_keeps(tmp_path):
    scene = Scene.at(tmp_path / "intel")
    gate = scene.gate(required=("dcap.quote.signature",))
    binding = scene.binding()
    record = gate.record(binding, isolation="bubblewrap", history=(), nonce_made_at=NOW)
    assert record.references == {"mr_td": frozenset({AGENT})}
    assert record.anchors == ((scene.intel.anchor_name, scene.intel.root_der),)
    assert (record.policy, record.policy_digest) == ("local", gate.policy.digest)
    read = AppraisalRecord.decode(record.encode())
    evidence = scene.offered(binding).evidence
    assert gate.judge(evidence, read, now=NOW).accepted
    for changed in (
        replace(read, launch=bytes(48)),
        replace(read, references={}),
        replace(read, required=("no.such.check",)),
        replace(read, binding=scene.binding(nonce=bytes(32))),
        replace(read, history=runtime.events_of_start("none", bytes(32), bytes(32))),
    ):
        assert not gate.judge(evidence, changed, now=NOW).accepted
