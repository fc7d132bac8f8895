"""Parser of TCG crypto-agile event logs: the format of TPM logs and of the CCEL table of TDX.

A log is a header event in the old format, whose payload is the ``Spec ID Event03`` structure, and then events
with one digest for each algorithm that the header declares. All integers are little-endian.

Source: TCG PC Client Platform Firmware Profile 1.06 revision 52, sections 10.2.1 (TCG_PCClientPCREvent),
10.2.2 (TCG_PCR_EVENT2) and 10.4.5.1 (Specification ID Version Event).
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, NoReturn

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.kinds import EventType

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LOG_BYTES = 4 * 1024 * 1024
"""Largest log: four times the largest table seen in the field (td-shim: 1 MiB)."""
MAX_EVENTS = 16_384
"""Most events in one log; a GRUB boot of a distribution makes some hundreds."""

SIGNATURE = b"Spec ID Event03\0"
_OLD_HEADER = Struct("<II20sI")
_SPEC_ID = Struct("<16sIBBBBI")
_ALGORITHM = Struct("<HH")
_EVENT = Struct("<III")
_U16 = Struct("<H")
_U32 = Struct("<I")


@dataclass(frozen=True, slots=True)
class TcgEvent:
    """One event of a crypto-agile log.

    Attributes:
        start: Offset of its first byte in the log.
        end: Offset behind its last byte.
        register: Index as it stands in the log: PCR number, or CC measurement register index (1 is RTMR0).
        kind: Event type; never measured.
        digests: Digest of each algorithm of the header, in the header's order; empty bytes for one that the
            event lacks (only in logs that were read with ``subset``).
        payload: The event's data; what it proves is the business of ``payload.binding``.
    """

    start: int
    end: int
    register: int
    kind: int
    digests: tuple[bytes, ...]
    payload: bytes

    @property
    def extended(self) -> bool:
        """False for EV_NO_ACTION, which tells the reader something and measures nothing."""
        return self.kind != EventType.NO_ACTION


@dataclass(frozen=True, slots=True)
class TcgLog:
    """A parsed log.

    Attributes:
        algorithms: The header's algorithms, in its order.
        header_end: Offset behind the header event; no register covers the header.
        events: All events behind the header.
        end: Offset behind the last event; what follows is padding.
    """

    algorithms: tuple[Algorithm, ...]
    header_end: int
    events: tuple[TcgEvent, ...]
    end: int

    def extensions(self, algorithm: Algorithm) -> Iterator[tuple[int, bytes]]:
        """Yield register and digest of every extended event in one bank, in log order.

        Raises:
            EvidenceError: ``eventlog.bank.absent`` when the log has no digests of that algorithm.
        """
        if algorithm not in self.algorithms:
            _refuse("bank.absent", f"The event log holds no {algorithm.name} digests.")
        column = self.algorithms.index(algorithm)
        return ((event.register, event.digests[column]) for event in self.events if event.extended)


def _refuse(what: str, why: str) -> NoReturn:
    raise EvidenceError(f"eventlog.{what}", why)


def parse(data: bytes, *, padding: frozenset[int], subset: bool = False) -> TcgLog:
    """Parse a log in one pass.

    Args:
        data: The whole log, at most ``MAX_LOG_BYTES``.
        padding: Byte values that may fill everything behind the last event; empty when nothing may follow it.
        subset: Whether an event may lack digests of algorithms that the header declares, as those do that
            Windows adds to the log of its firmware.

    Raises:
        EvidenceError: ``eventlog.*`` names what is wrong with the log.
    """
    if len(data) > MAX_LOG_BYTES:
        _refuse("size", f"The event log has {len(data)} bytes, more than {MAX_LOG_BYTES}.")
    algorithms, at = _header(data)
    header_end = at
    events: list[TcgEvent] = []
    while at < len(data):
        if _padded(data, at, padding):
            break
        if len(events) == MAX_EVENTS:
            _refuse("events", f"The event log has more than {MAX_EVENTS} events.")
        event = _event(data, at, algorithms, subset=subset)
        events.append(event)
        at = event.end
    return TcgLog(algorithms, header_end, tuple(events), at)


def _padded(data: bytes, at: int, padding: frozenset[int]) -> bool:
    """Tell whether everything from ``at`` on is padding; reads it all only if it can be nothing else."""
    head = data[at : at + 8]
    fill = head[0]
    if fill not in padding or head.count(fill) != len(head):
        return False
    rest = len(data) - at
    if data.count(fill, at) != rest:
        _refuse("padding", f"The {rest} bytes behind the last event are not uniform padding.")
    return True


def _header(data: bytes) -> tuple[tuple[Algorithm, ...], int]:
    if len(data) < _OLD_HEADER.size:
        _refuse("truncated", "The event log ends inside its header.")
    _, kind, digest, size = _OLD_HEADER.unpack_from(data)
    end = _OLD_HEADER.size + size
    if end > len(data):
        _refuse("truncated", "The event log ends inside its header.")
    payload = data[_OLD_HEADER.size : end]
    if kind != EventType.NO_ACTION or not payload.startswith(SIGNATURE):
        _refuse("header.signature", "The event log does not begin with a Spec ID Event03: not crypto-agile.")
    if digest != bytes(20):
        _refuse("header.digest", "The event log's header event has a digest; the format has zeros there.")
    return _spec_id(payload), end


def _spec_id(payload: bytes) -> tuple[Algorithm, ...]:
    if len(payload) < _SPEC_ID.size:
        _refuse("header.truncated", "The event log's Spec ID structure is cut short.")
    _, _, _minor, major, _errata, _uintn, count = _SPEC_ID.unpack_from(payload)
    if major != 2:
        _refuse("header.version", f"The event log follows version {major} of its specification, not 2.")
    if count == 0:
        _refuse("header.algorithms", "The event log declares no digest algorithm.")
    at = _SPEC_ID.size
    if len(payload) < at + _ALGORITHM.size * count + 1:
        _refuse("header.truncated", "The event log's Spec ID structure is cut short.")
    found: list[Algorithm] = []
    for _ in range(count):
        number, size = _ALGORITHM.unpack_from(payload, at)
        at += _ALGORITHM.size
        found.append(_algorithm(number, size, found))
    if len(payload) != at + 1 + payload[at]:
        _refuse("header.size", "The event log's Spec ID structure does not end with its vendor data.")
    return tuple(found)


def _algorithm(number: int, size: int, before: list[Algorithm]) -> Algorithm:
    try:
        algorithm = Algorithm(number)
    except ValueError:
        _refuse("header.algorithms", f"The event log declares the unknown digest algorithm 0x{number:04x}.")
    if size != algorithm.size or algorithm in before:
        _refuse("header.algorithms", f"The event log declares {algorithm.name} twice or with {size} bytes.")
    return algorithm


def _event(data: bytes, start: int, algorithms: tuple[Algorithm, ...], *, subset: bool) -> TcgEvent:
    if len(data) < start + _EVENT.size:
        _refuse("truncated", f"The event log ends inside the event at offset {start}.")
    register, kind, count = _EVENT.unpack_from(data, start)
    if count != len(algorithms) and not (subset and 1 <= count < len(algorithms)):
        _refuse(
            "event.digests",
            f"The event at offset {start} has {count} digests; the header declares {len(algorithms)}.",
        )
    at = start + _EVENT.size
    digests, at = _digests(data, at, algorithms, count)
    if len(data) < at + 4:
        _refuse("truncated", f"The event log ends inside the event at offset {start}.")
    (size,) = _U32.unpack_from(data, at)
    at += 4
    if len(data) - at < size:
        _refuse("truncated", f"The event log ends inside the event at offset {start}.")
    return TcgEvent(start, at + size, register, kind, digests, data[at : at + size])


def _digests(
    data: bytes, at: int, algorithms: tuple[Algorithm, ...], count: int
) -> tuple[tuple[bytes, ...], int]:
    """Read digests of declared algorithms, none twice; firmware writes them in any order."""
    found: dict[int, bytes] = {}
    for _ in range(count):
        if len(data) < at + 2:
            _refuse("truncated", f"The event log ends inside a digest at offset {at}.")
        (number,) = _U16.unpack_from(data, at)
        if number not in algorithms or number in found:
            _refuse(
                "event.digests", f"The digest at offset {at} is of no declared algorithm, or a second one."
            )
        end = at + 2 + Algorithm(number).size
        if len(data) < end:
            _refuse("truncated", f"The event log ends inside a digest at offset {at}.")
        found[number] = data[at + 2 : end]
        at = end
    return tuple([found.get(algorithm, b"") for algorithm in algorithms]), at
