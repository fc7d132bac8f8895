"""Writes crypto-agile event logs, well-formed or not."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from assay.evidence.eventlog import Algorithm
from assay.evidence.eventlog.tcg import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterable

SHA384 = (Algorithm.SHA384,)


def header(
    algorithms: tuple[Algorithm, ...] = SHA384,
    *,
    kind: int = 3,
    digest: bytes = bytes(20),
    signature: bytes = SIGNATURE,
    major: int = 2,
    raw: bytes | None = None,
    payload: bytes | None = None,
) -> bytes:
    """Return a header event; ``raw`` replaces what follows the fixed part of its Spec ID structure."""
    if raw is None:
        sizes = b"".join(struct.pack("<HH", algorithm, algorithm.size) for algorithm in algorithms)
        raw = struct.pack("<I", len(algorithms)) + sizes + b"\0"
    if payload is None:
        payload = struct.pack("<16sIBBBB", signature, 0, 0, major, 0, 2) + raw
    return struct.pack("<II20sI", 0, kind, digest, len(payload)) + payload


def event(
    register: int,
    kind: int,
    payload: bytes,
    algorithms: tuple[Algorithm, ...] = SHA384,
    *,
    measured: bytes | None = None,
) -> bytes:
    """Return one event whose digests are hashes over ``measured``, by default over its payload."""
    hashed = payload if measured is None else measured
    digests = b"".join(struct.pack("<H", algorithm) + algorithm.digest(hashed) for algorithm in algorithms)
    head = struct.pack("<III", register, kind, len(algorithms))
    return head + digests + struct.pack("<I", len(payload)) + payload


def write_log(events: Iterable[tuple[int, int, bytes]], *, padding: bytes = b"") -> bytes:
    """Return a log of events whose payloads are hashed."""
    return header() + b"".join(event(*found) for found in events) + padding
