from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from assay.audit import entry
from assay.errors import AuditError

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,63}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
VALUES = TEXTS | st.integers(-(10**15) + 1, 10**15 - 1) | st.booleans() | st.none()
FACTS = st.dictionaries(NAMES, VALUES, max_size=8)
KINDS = st.from_regex(r"[a-z][a-z0-9_]{0,9}(\.[a-z][a-z0-9_]{0,9}){1,3}", fullmatch=True)
GOOD = {"kind": "lease.intended", "lease": "lease-1", "facts": {"a": 1, "b": "x"}}


def encode(**changes):
    return entry.encode(**{"seq": 0, "prev": None, "time": 1.5, **GOOD, **changes})


def refused(**changes):
    with pytest.raises(AuditError) as caught:
        encode(**changes)
    return caught.value.code


@given(FACTS, KINDS, st.integers(0, 2**62), st.binary(min_size=32, max_size=32), st.floats(0, 4e9))
def test_entries_are_canonical_json_and_come_back(facts, kind, seq, prev, time):
    data = entry.encode(seq=seq, prev=prev, time=time, kind=kind, lease="l", facts=facts)
    plain = json.loads(data)
    if seq < 2**53:
        assert rfc8785.dumps(plain) == data
    found = entry.decode(data)
    assert (found.seq, found.prev, found.kind, found.lease, found.facts) == (
        seq,
        prev.hex(),
        kind,
        "l",
        facts,
    )
    assert abs(found.time.timestamp() - time) < 0.002


def test_a_published_example():
    assert encode() == (
        b'{"facts":{"a":1,"b":"x"},"kind":"lease.intended","lease":"lease-1","prev":"'
        + b"0" * 64
        + b'","seq":0,'
        b'"time":"1970-01-01T00:00:01.500Z","v":1}'
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"kind": "lease"}, "audit.entry.kind"),
        ({"time": 1e18}, "audit.entry.time"),
        ({"time": float("nan")}, "audit.entry.time"),
        ({"kind": "Lease.intended"}, "audit.entry.kind"),
        ({"kind": "lease.intended\n"}, "audit.entry.kind"),
        ({"lease": "a b"}, "audit.entry.lease"),
        ({"lease": 'a"b'}, "audit.entry.lease"),
        ({"lease": "x" * 129}, "audit.entry.lease"),
        ({"facts": {"A": 1}}, "audit.entry.fact"),
        ({"facts": {"": 1}}, "audit.entry.fact"),
        ({"facts": {"a": "x" * 513}}, "audit.entry.fact"),
        ({"facts": {"a": "é" * 257}}, "audit.entry.fact"),
        ({"facts": {"a": "\ud800"}}, "audit.entry.fact"),
        ({"facts": {"a": 1.5}}, "audit.entry.fact"),
        ({"facts": {"a": b"x"}}, "audit.entry.fact"),
        ({"facts": {"a": ["x"]}}, "audit.entry.fact"),
        ({"facts": {"a": 10**15}}, "audit.entry.fact"),
        ({"facts": {"a": -(10**15)}}, "audit.entry.fact"),
        ({"facts": {f"a{n}": 1 for n in range(65)}}, "audit.entry.fact"),
        ({"facts": {f"a{n}": "\x01" * 512 for n in range(64)}}, "audit.entry.size"),
    ],
)
def test_what_an_entry_cannot_hold(changes, code):
    assert refused(**changes) == code


LINE = encode(facts={"a": "x", "b": 1}).decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{", " {"),
        (',"v":1}', ',"v":2}'),
        (',"v":1}', ',"v":1,"w":1}'),
        (',"v":1}', ',"v":1} '),
        (',"v":1}', ',"v":1}\n'),
        ('"a":"x","b":1', '"b":1,"a":"x"'),
        ('"a":"x","b":1', '"a":"x","a":"x"'),
        ('"a":"x"', '"a":"\\u0061"'),
        ('"a":"x"', '"a":"\\/"'),
        ('"a":"x"', '"a":"\\u000a"'),
        ('"a":"x"', '"a":"\\u001F"'),
        ('"a":"x"', '"a":"\x1f"'),
        ('"a":"x"', '"a":"' + "x" * 513 + '"'),
        ('"a":"x"', '"a":["x"]'),
        ('"b":1', '"b":01'),
        ('"b":1', '"b":-0'),
        ('"b":1', '"b":1.0'),
        ('"b":1', '"b":1e3'),
        ('"b":1', '"b":1000000000000000'),
        ('"b":1', '"b": 1'),
        ('"seq":0', '"seq":00'),
        ('"seq":0', '"seq":-1'),
        ("1970-01-01", "1970-02-30"),
        ("1970-01-01", "1970-13-01"),
        ("00:00:01.500Z", "24:00:01.500Z"),
        ("00:00:01.500Z", "00:00:60.500Z"),
        ("00:00:01.500Z", "00:00:01Z"),
        ("00:00:01.500Z", "00:00:01.500+00:00"),
        ('"lease":"lease-1"', '"lease":""x'),
    ],
)
def test_only_the_canonical_form_is_read(old, new):
    assert LINE.count(old) >= 1
    with pytest.raises(AuditError) as caught:
        entry.decode(LINE.replace(old, new, 1).encode())
    assert caught.value.code == "audit.format.entry"


def test_what_is_not_utf_8_is_not_read():
    with pytest.raises(AuditError) as caught:
        entry.decode(LINE.encode().replace(b'"x"', b'"\xff"'))
    assert caught.value.code == "audit.format.entry"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data):
    with pytest.raises(AuditError):
        entry.decode(data)


@given(FACTS)
def test_fact_names_are_found_whatever_the_values_look_like(facts):
    data = encode(facts={**facts, "z": '","y":1,"', "zz": 'a,"b":'})
    found = entry.CANONICAL.fullmatch(data)
    assert [name.decode() for name in entry.FACT_NAMES.findall(found[1])] == sorted({*facts, "z", "zz"})
