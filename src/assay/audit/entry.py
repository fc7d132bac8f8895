"""Entries: one canonical JSON object (RFC 8785) each, chained to the one before.

    {"facts":{...},"kind":"lease.intended","lease":"...","prev":"<64 hex>","seq":0,"time":"...Z","v":1}

``prev`` is the leaf hash of the previous entry, 64 zeros in the first. ``time`` is UTC with milliseconds, the
writer's own word. ``facts`` holds names (lower snake case, sorted) and strings, integers, booleans or null:
digests and short codes, never command lines, environments or output. ``lease`` may be empty.

The grammar is small enough for one regular expression, which accepts exactly the canonical form: an entry can
be checked without being parsed, and there is one way to write it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Final

from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fact = str | int | bool | None

VERSION = 1
LARGEST_ENTRY = 65535
"""Bytes; the length prefix in an entry bundle has 16 bits (C2SP tlog-tiles)."""
LONGEST_STRING = 512
"""Bytes of UTF-8 in one fact: room for digests and codes, none for anybody's output."""
MOST_FACTS = 64
LARGEST_INTEGER = 10**15 - 1
"""In absolute value; exact in every JSON reader."""
NO_PREVIOUS: Final = "0" * 64

_KIND = re.compile(r"[a-z][a-z0-9_]{0,31}(?:\.[a-z][a-z0-9_]{0,31}){1,3}")
_FACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_LEASE = re.compile(r"[A-Za-z0-9_.:-]{0,128}")

_PLAIN = rb'[^"\\\x00-\x1f]*+'  # in one step; an alternative for each character takes three times as long
_STRING = rb'"' + _PLAIN + rb'(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))' + _PLAIN + rb')*+"'
_VALUE = rb"(?:" + _STRING + rb"|0|-?[1-9][0-9]{0,14}|true|false|null)"
_PAIR = rb'"[a-z][a-z0-9_]{0,63}":' + _VALUE
CANONICAL: Final = re.compile(
    rb'\{"facts":\{((?:' + _PAIR + rb"(?:," + _PAIR + rb"){0,63}+)?)\},"
    rb'"kind":"([a-z][a-z0-9_]{0,31}(?:\.[a-z][a-z0-9_]{0,31}){1,3})",'
    rb'"lease":"([A-Za-z0-9_.:-]{0,128})",'
    rb'"prev":"([0-9a-f]{64})",'
    rb'"seq":(0|[1-9][0-9]{0,18}),'
    rb'"time":"([0-9]{4}-[0-9]{2}-[0-9]{2})(T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z)",'
    rb'"v":1\}'
)
"""Groups: facts (without braces), kind, lease, prev, seq, date, rest of the time."""
FACT_NAMES: Final = re.compile(rb'"([a-z][a-z0-9_]*)":')
"""The names in a facts group that ``CANONICAL`` matched: an unescaped quote before a colon ends a name, and
nothing else."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, decoded; see the module for the meaning of each field."""

    seq: int
    prev: str
    time: datetime
    kind: str
    lease: str
    facts: Mapping[str, Fact]


def encode(
    *, seq: int, prev: bytes | None, time: float, kind: str, lease: str, facts: Mapping[str, Fact]
) -> bytes:
    """Return the canonical bytes of one entry, at most 65,535.

    Args:
        seq: Its index in the log.
        prev: Leaf hash of the previous entry, 32 bytes; None in the first.
        time: Seconds since 1970-01-01 UTC.
        kind: Dotted, lower case: ``lease.intended``.
        lease: The lease's id, or empty.
        facts: At most 64; a string at most 512 bytes.

    Raises:
        AuditError: ``audit.entry.kind``, ``audit.entry.lease``, ``audit.entry.fact``, ``audit.entry.size``,
            ``audit.entry.time``.
    """
    if not _is_kind(kind):
        raise AuditError("audit.entry.kind", f"{kind!r} is not a kind of entry: dotted, lower case.")
    if not _is_lease(lease):
        raise AuditError("audit.entry.lease", f"{lease!r} cannot stand as a lease's id in the log.")
    if len(facts) > MOST_FACTS:
        raise AuditError("audit.entry.fact", f"An entry holds at most {MOST_FACTS} facts, not {len(facts)}.")
    told = ",".join([f"{mark}{_written(name, facts[name])}" for name, mark in _marks(tuple(facts))])
    try:
        seconds, milliseconds = divmod(int(time * 1000), 1000)
        shown = _shown(seconds)
    except (ValueError, OverflowError, OSError):
        raise AuditError("audit.entry.time", f"The clock says {time}: that is no time.") from None
    before = NO_PREVIOUS if prev is None else prev.hex()
    data = (
        f'{{"facts":{{{told}}},"kind":"{kind}","lease":"{lease}","prev":"{before}","seq":{seq},'
        f'"time":"{shown}.{milliseconds:03d}Z","v":{VERSION}}}'
    ).encode()
    if len(data) > LARGEST_ENTRY:
        raise AuditError("audit.entry.size", f"An entry has at most {LARGEST_ENTRY} bytes, not {len(data)}.")
    return data


def decode(data: bytes) -> Entry:
    """Read one entry; only the canonical form is accepted.

    Raises:
        AuditError: ``audit.format.entry``.
    """
    failed = AuditError("audit.format.entry", "An entry does not have the form that Assay writes.")
    found = CANONICAL.fullmatch(data)
    if found is None or len(data) > LARGEST_ENTRY:
        raise failed
    names = FACT_NAMES.findall(found[1])
    if names != sorted(set(names)):
        raise failed
    try:
        plain = json.loads(data)
        time = datetime.fromisoformat(plain["time"])
    except ValueError:
        raise failed from None
    if any(
        isinstance(value, str) and len(value.encode()) > LONGEST_STRING for value in plain["facts"].values()
    ):
        raise failed
    return Entry(plain["seq"], plain["prev"], time, plain["kind"], plain["lease"], plain["facts"])


@lru_cache(maxsize=256)
def _is_kind(text: str) -> bool:
    return _KIND.fullmatch(text) is not None


@lru_cache(maxsize=256)
def _is_lease(text: str) -> bool:
    return _LEASE.fullmatch(text) is not None


@lru_cache(maxsize=64)
def _shown(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


@lru_cache(maxsize=256)
def _marks(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names of an entry's facts in their order, each with what stands before its value."""
    for name in names:
        if not _FACT_NAME.fullmatch(name):
            raise AuditError("audit.entry.fact", f"{name!r} is not the name of a fact: lower snake case.")
    return tuple((name, f'"{name}":') for name in sorted(names))


def _written(name: str, value: Fact) -> str:
    """Return a fact's value as RFC 8785 writes it; a test compares that with a library."""
    if isinstance(value, str):
        if len(value) > LONGEST_STRING or not value.isascii():
            _check_text(name, value)
        return encode_basestring(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, int):
        raise AuditError("audit.entry.fact", f"The fact {name!r} is of type {type(value).__name__}.")
    if abs(value) > LARGEST_INTEGER:
        raise AuditError("audit.entry.fact", f"The fact {name!r} is too large a number.")
    return str(int(value))


def _check_text(name: str, value: str) -> None:
    try:
        long = len(value.encode()) > LONGEST_STRING
    except UnicodeEncodeError:
        raise AuditError("audit.entry.fact", f"The fact {name!r} is not valid Unicode.") from None
    if long:
        raise AuditError(
            "audit.entry.fact",
            f"The fact {name!r} has over {LONGEST_STRING} bytes: the log holds digests and codes.",
        )
