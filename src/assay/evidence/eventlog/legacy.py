"""Parser of event logs in the old format: SHA-1 alone, no header. All integers are little-endian.

TPM 1.2 firmware writes them, and so does firmware of TPM 2.0 machines that offers the old interface only. A
first event in the old format whose payload is a ``Spec ID Event03`` begins a crypto-agile log (``tcg``).

Source: TCG PC Client Platform Firmware Profile 1.06, section 10.2.1 (TCG_PCClientPCREvent); TCG EFI Platform
Specification 1.22, section 7.
"""

from __future__ import annotations

from struct import Struct

from assay.errors import EvidenceError
from assay.evidence.eventlog import tcg
from assay.evidence.eventlog.algorithms import Algorithm

_EVENT = Struct("<II20sI")
_SPEC_ID_AT = _EVENT.size
PADDING = frozenset({0x00, 0xFF})
"""What fills the area behind the last event where a log is read from the table that holds it."""


def parse_boot_log(data: bytes) -> tcg.TcgLog:
    """Parse a firmware's log in whichever of the two formats it is.

    Args:
        data: The whole log with its padding, at most ``tcg.MAX_LOG_BYTES``.

    Raises:
        EvidenceError: ``eventlog.*`` names what is wrong with the log.
    """
    if data[_SPEC_ID_AT : _SPEC_ID_AT + len(tcg.SIGNATURE)] == tcg.SIGNATURE:
        return tcg.parse(data, padding=PADDING, subset=True)
    return parse_legacy(data)


def parse_legacy(data: bytes) -> tcg.TcgLog:
    """Parse a log in the old format.

    Args:
        data: The whole log with its padding, at most ``tcg.MAX_LOG_BYTES``.

    Raises:
        EvidenceError: ``eventlog.size``, ``eventlog.events``, ``eventlog.truncated``, ``eventlog.padding``,
            ``eventlog.empty``.
    """
    if len(data) > tcg.MAX_LOG_BYTES:
        raise EvidenceError("eventlog.size", f"The event log has {len(data)} bytes: too many.")
    events: list[tcg.TcgEvent] = []
    at = 0
    while at < len(data):
        if _padded(data, at):
            break
        if len(events) == tcg.MAX_EVENTS:
            raise EvidenceError("eventlog.events", f"The event log has more than {tcg.MAX_EVENTS} events.")
        if len(data) - at < _EVENT.size:
            raise EvidenceError("eventlog.truncated", f"The event log ends inside the event at offset {at}.")
        register, kind, digest, size = _EVENT.unpack_from(data, at)
        end = at + _EVENT.size + size
        if end > len(data):
            raise EvidenceError("eventlog.truncated", f"The event log ends inside the event at offset {at}.")
        events.append(tcg.TcgEvent(at, end, register, kind, (digest,), data[at + _EVENT.size : end]))
        at = end
    if not events:
        raise EvidenceError("eventlog.empty", "The event log holds no event.")
    return tcg.TcgLog((Algorithm.SHA1,), 0, tuple(events), at)


def _padded(data: bytes, at: int) -> bool:
    """Tell whether everything from ``at`` on is padding; no event is a header of 32 equal bytes.

    So what begins like padding is all padding, or refused: to read it as an event and look again behind it
    would read the rest of a log once for each such event.
    """
    head = data[at : at + _EVENT.size]
    fill = head[0]
    if fill not in PADDING or head.count(fill) != len(head):
        return False
    if data.count(fill, at) != len(data) - at:
        raise EvidenceError("eventlog.padding", "What follows the last event is not uniform padding.")
    return True
