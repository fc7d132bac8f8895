"""Entries: what is read is what would be written."""

from __future__ import annotations

import json

import rfc8785

from assay.audit import entry
from assay.errors import AuditError

SEEDS: list[bytes] = [
    entry.encode(seq=0, prev=None, time=0.0, kind="log.opened", lease="", facts={}),
    entry.encode(
        seq=1,
        prev=bytes(32),
        time=1.5e9,
        kind="a.b.c",
        lease="x-1",
        facts={"a": '",\\\x1f', "b": -1, "c": None, "d": True},
    ),
]


def target(data: bytes) -> None:
    """Read an entry; the reader accepts canonical JSON only."""
    try:
        entry.decode(data)
    except AuditError:
        return
    plain = json.loads(data)
    if plain["seq"] < 1 << 53 and rfc8785.dumps(plain) != data:
        raise AssertionError("an entry that is not canonical was read")
