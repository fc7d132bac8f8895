"""Which bytes of a boot's logs no quoted PCR covers.

A PCR covers the digests of its own events in one bank, and through them the payloads that were hashed. All
else is the word of whoever kept the log: the header, events that measure nothing, events of other PCRs, the
types of all events, digests of other banks, and captions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.cel import CONTENT_TEXT
from assay.evidence.eventlog.payload import FIRMWARE_HASHED_TYPES, binding
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assay.evidence.eventlog.cel import CelRecord
    from assay.evidence.eventlog.tcg import TcgEvent, TcgLog

_TYPE_AT = 4
_DIGESTS_AT = 12
_RECORD_DIGESTS_AT = 24
"""Behind a record's number (13 bytes), its register (6) and the head of its digests (5)."""
_TLV_HEAD = 5


def unsigned_regions(
    data: bytes, log: TcgLog, bank: Algorithm, explained: frozenset[int]
) -> tuple[UnsignedRegion, ...]:
    """Return the regions of a log that was replayed, in order.

    Args:
        data: The log.
        log: The same, parsed.
        bank: The bank in which it was replayed.
        explained: The PCRs that were replayed.
    """
    found = [UnsignedRegion(0, log.header_end, "header of the event log")] if log.header_end else []
    for event in log.events:
        if not event.extended:
            found.append(UnsignedRegion(event.start, event.end, "event that measures nothing"))
        elif event.register not in explained:
            found.append(UnsignedRegion(event.start, event.end, "event of a PCR that is not explained"))
        else:
            found.extend(_of_event(data, log, event, bank))
    if log.end < len(data):
        found.append(UnsignedRegion(log.end, len(data), "padding"))
    return tuple(found)


def _of_event(data: bytes, log: TcgLog, event: TcgEvent, bank: Algorithm) -> Iterator[UnsignedRegion]:
    at = event.start + _TYPE_AT
    yield UnsignedRegion(at, at + 4, "type of an event")
    if log.header_end:
        at = event.start + _DIGESTS_AT
        for _ in range(sum(map(bool, event.digests))):
            algorithm = Algorithm(int.from_bytes(data[at : at + 2], "little"))
            end = at + 2 + algorithm.size
            if algorithm is not bank:
                yield UnsignedRegion(at, end, "digest of another bank")
            at = end
    digest = event.digests[log.algorithms.index(bank)]
    proven = binding(event.kind, event.payload, digest, bank, hashed=FIRMWARE_HASHED_TYPES)
    start = event.end - len(event.payload)
    if proven.start:
        yield UnsignedRegion(start, start + proven.start, "caption of an event")
    if start + proven.end < event.end:
        yield UnsignedRegion(start + proven.end, event.end, "caption of an event")


def unsigned_records(
    records: Sequence[CelRecord], bank: Algorithm, explained: frozenset[int]
) -> tuple[UnsignedRegion, ...]:
    """Return the regions of a canonical log that was replayed, in order.

    Args:
        records: The records.
        bank: The bank in which they were replayed.
        explained: The PCRs that were replayed.
    """
    found: list[UnsignedRegion] = []
    for record in records:
        if record.register not in explained:
            what = "record of a PCR that is not explained"
            found.append(UnsignedRegion(record.start, record.end, what))
        elif record.kind == CONTENT_TEXT:
            what = "record in JSON: only its PCR, its digest and a text of that hash are proven"
            found.append(UnsignedRegion(record.start, record.end, what))
        else:
            at = record.start + _RECORD_DIGESTS_AT
            for algorithm, digest in record.digests:
                end = at + _TLV_HEAD + len(digest)
                if algorithm is not bank:
                    found.append(UnsignedRegion(at, end, "digest of another bank"))
                at = end
    return tuple(found)
