"""Crypto-agile logs of any bank, without padding."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.eventlog import Algorithm, parse
from support.eventlog_writer import event, header, write_log

SEEDS = [
    write_log([(0, 8, b"version"), (7, 0x80000001, bytes(40))]),
    header((Algorithm.SHA1, Algorithm.SHA256)) + event(9, 0xD, b"x", (Algorithm.SHA1, Algorithm.SHA256)),
]


def target(data: bytes) -> None:
    """Parse; the events lie behind each other and fill the log."""
    try:
        log = parse(data, padding=frozenset())
    except AssayError:
        return
    at = log.header_end
    for found in log.events:
        if found.start != at:
            raise RuntimeError("events do not lie behind each other")
        at = found.end
    if at != len(data) or log.end != len(data):
        raise RuntimeError("bytes of the log belong to no event")
