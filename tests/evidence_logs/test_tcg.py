"""The parser of crypto-agile logs: what it accepts, and the code of everything it refuses."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.eventlog import Algorithm, parse
from assay.evidence.eventlog.tcg import MAX_EVENTS, MAX_LOG_BYTES, SIGNATURE
from support.eventlog_writer import event, header, write_log

PADDING = frozenset({0x00, 0xFF})


def code(data: bytes, padding: frozenset[int] = PADDING) -> str:
    with pytest.raises(EvidenceError) as caught:
        parse(data, padding=padding)
    return caught.value.code


def outcome(data: bytes) -> str:
    try:
        parse(data, padding=PADDING)
    except EvidenceError as error:
        return error.code
    return "parsed"


def test_reads_header_events_and_padding():
    log = write_log([(1, 4, bytes(4)), (2, 0x80000007, b"text")], padding=b"\xff" * 100)
    parsed = parse(log, padding=PADDING)
    assert parsed.algorithms == (Algorithm.SHA384,)
    assert [(found.register, found.kind, found.payload) for found in parsed.events] == [
        (1, 4, bytes(4)),
        (2, 0x80000007, b"text"),
    ]
    assert len(log) - parsed.end == 100


def test_events_that_measure_nothing_are_not_extended():
    log = write_log([(0, 3, b"SP800-155 Event3"), (1, 4, bytes(4))])
    extensions = list(parse(log, padding=PADDING).extensions(Algorithm.SHA384))
    assert extensions == [(1, hashlib.sha384(bytes(4)).digest())]


def test_a_bank_that_the_log_lacks():
    parsed = parse(write_log([]), padding=PADDING)
    with pytest.raises(EvidenceError) as caught:
        parsed.extensions(Algorithm.SHA256)
    assert caught.value.code == "eventlog.bank.absent"


def test_digests_come_in_any_order_and_are_put_into_the_headers():
    algorithms = (Algorithm.SHA256, Algorithm.SHA384)
    swapped = event(1, 4, bytes(4), tuple(reversed(algorithms)))
    parsed = parse(header(algorithms) + swapped, padding=PADDING)
    assert parsed.events[0].digests == (hashlib.sha256(bytes(4)).digest(), hashlib.sha384(bytes(4)).digest())


ONE = event(1, 4, bytes(4))
REFUSED = {
    "nothing": (b"", "eventlog.truncated"),
    "half a header": (header()[:20], "eventlog.truncated"),
    "header payload cut": (header()[:-1], "eventlog.truncated"),
    "a TPM 1.2 log": (struct.pack("<II20sI", 0, 8, bytes(20), 4) + b"abcd", "eventlog.header.signature"),
    "a header event without payload": (
        struct.pack("<II20sI", 0, 3, bytes(20), 0),
        "eventlog.header.signature",
    ),
    "padding of eight bytes and something": (header() + bytes(8) + b"\1", "eventlog.padding"),
    "another signature": (header(signature=b"Spec ID Event02\0"), "eventlog.header.signature"),
    "header of another type": (header(kind=4), "eventlog.header.signature"),
    "header with a digest": (header(digest=b"\1" * 20), "eventlog.header.digest"),
    "header of family 1.2": (header(major=1), "eventlog.header.version"),
    "no algorithm": (header(()), "eventlog.header.algorithms"),
    "too many algorithms": (header((Algorithm.SHA384,) * 9), "eventlog.header.algorithms"),
    "one algorithm twice": (header((Algorithm.SHA384,) * 2), "eventlog.header.algorithms"),
    "unknown algorithm": (header(raw=struct.pack("<IHH", 1, 0x99, 48) + b"\0"), "eventlog.header.algorithms"),
    "wrong digest size": (header(raw=struct.pack("<IHH", 1, 0x0C, 32) + b"\0"), "eventlog.header.algorithms"),
    "Spec ID cut": (header(raw=struct.pack("<I", 1)), "eventlog.header.truncated"),
    "Spec ID shorter than its fixed part": (header(payload=SIGNATURE), "eventlog.header.truncated"),
    "bytes behind the vendor data": (
        header(raw=struct.pack("<IHH", 1, 0x0C, 48) + b"\0junk"),
        "eventlog.header.size",
    ),
    "event cut in its head": (header() + ONE[:7], "eventlog.truncated"),
    "event cut in its digest": (header() + ONE[:30], "eventlog.truncated"),
    "event cut before its digest's algorithm": (header() + ONE[:13], "eventlog.truncated"),
    "event cut before its size": (header() + ONE[:63], "eventlog.truncated"),
    "event cut in its payload": (header() + ONE[:-1], "eventlog.truncated"),
    "event with no digest": (header() + struct.pack("<III", 1, 4, 0), "eventlog.event.digests"),
    "event with four billion digests": (
        header() + struct.pack("<III", 1, 4, 2**32 - 1),
        "eventlog.event.digests",
    ),
    "digest of an undeclared algorithm": (
        header() + event(1, 4, b"", (Algorithm.SHA256,)),
        "eventlog.event.digests",
    ),
    "the same digest twice": (
        header((Algorithm.SHA256, Algorithm.SHA384)) + event(1, 4, b"", (Algorithm.SHA256,) * 2),
        "eventlog.event.digests",
    ),
    "payload of four gigabytes": (header() + ONE[:62] + b"\xff\xff\xff\xff", "eventlog.truncated"),
    "padding with something in it": (header() + b"\xff" * 50 + b"\1" + b"\xff" * 50, "eventlog.padding"),
    "padding with something at its end": (header() + bytes(100) + b"\1", "eventlog.padding"),
    "mixed padding": (header() + b"\xff" * 64 + bytes(64), "eventlog.padding"),
    "too large": (header() + bytes(MAX_LOG_BYTES), "eventlog.size"),
    "too many events": (header() + ONE * (MAX_EVENTS + 1), "eventlog.events"),
}


@pytest.mark.parametrize(("data", "expected"), REFUSED.values(), ids=REFUSED)
def test_refuses(data, expected):
    assert code(data) == expected


@pytest.mark.parametrize("size", [4194304, 4194305])
def test_the_bound_of_a_log(size):
    log = header() + bytes(size - len(header()))
    assert outcome(log) == ("parsed" if size == 4194304 else "eventlog.size")


@pytest.mark.parametrize("count", [16384, 16385])
def test_the_bound_of_events(count):
    log = header() + event(1, 4, b"") * count
    assert outcome(log) == ("parsed" if count == 16384 else "eventlog.events")


def test_every_known_algorithm_at_once():
    every = tuple(Algorithm)
    assert len(every) == 8
    assert parse(header(every), padding=PADDING).algorithms == every


def test_algorithms_that_this_system_can_compute():
    for algorithm in Algorithm:
        known = algorithm is not Algorithm.SM3_256 or "sm3" in hashlib.algorithms_available
        assert algorithm.offered is known


def test_padding_is_refused_where_none_may_be():
    assert code(write_log([], padding=b"\xff" * 64), frozenset()) == "eventlog.event.digests"


def test_every_truncation_of_a_log_is_refused_or_ends_between_events():
    log = write_log([(1, 4, bytes(4)), (2, 0x80000007, b"text")])
    ends = {found.end for found in parse(log, padding=PADDING).events} | {len(header())}
    for size in range(len(log)):
        assert (outcome(log[:size]) == "parsed") == (size in ends)


EVENTS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.integers(1, 2**32 - 1),
        st.binary(max_size=64),
    ),
    max_size=12,
)


@given(EVENTS, st.sampled_from([b"", bytes(9), b"\xff" * 4096]))
def test_what_is_written_is_read_back(events, padding):
    log = write_log(events, padding=padding)
    parsed = parse(log, padding=PADDING)
    assert [(found.register, found.kind, found.payload) for found in parsed.events] == events
    assert parsed.end == len(log) - len(padding)
    assert [found.end for found in parsed.events[:-1]] == [found.start for found in parsed.events[1:]]


@given(st.binary(max_size=300), st.integers(0, 200))
def test_arbitrary_bytes_are_parsed_or_refused(junk, keep):
    log = write_log([(1, 4, bytes(4)), (2, 5, b"text")])
    assert outcome(log[:keep] + junk).startswith(("parsed", "eventlog."))
