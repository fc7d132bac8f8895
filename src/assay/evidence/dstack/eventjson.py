"""The JSON form of dstack's event log.

An array of ``{"imr","event_type","digest","event","event_payload"[,"version"][,"preimage"]}``; bytes are
lower-case hexadecimal.

Source: dstack 0.6.0, ``cc-eventlog/src/tdx.rs`` (TdxEvent).
"""

from __future__ import annotations

from typing import Any

from assay.evidence.decoding import strictjson
from assay.evidence.dstack.events import MAX_EVENTS, DstackEvent
from assay.evidence.dstack.fields import refuse, unhex

MAX_LOG_BYTES = 1024 * 1024
"""Largest log as JSON; real ones have less than 20 KiB."""
_REQUIRED = frozenset({"imr", "event_type", "event", "event_payload"})
_KNOWN = _REQUIRED | {"digest", "version", "preimage"}


def parse_event_log(data: bytes) -> tuple[DstackEvent, ...]:
    """Parse a log.

    Args:
        data: The JSON array, at most ``MAX_LOG_BYTES``.

    Raises:
        EvidenceError: ``json.*`` when it is not strict JSON, ``dstack.log.*`` when it is not a log.
    """
    return read_events(strictjson.parse(data, max_bytes=MAX_LOG_BYTES))


def read_events(values: Any) -> tuple[DstackEvent, ...]:
    """Turn a decoded JSON array into events.

    Raises:
        EvidenceError: ``dstack.log.*``.
    """
    if type(values) is not list:
        refuse("log.type", "The event log is not an array.")
    if len(values) > MAX_EVENTS:
        refuse("log.events", f"The event log has more than {MAX_EVENTS} events.")
    return tuple([_event(value) for value in values])


def _event(value: Any) -> DstackEvent:
    if type(value) is not dict or not _REQUIRED <= value.keys() <= _KNOWN:
        refuse("log.member", "An event does not have the members of dstack's events.")
    preimage = value.get("preimage")
    name = value["event"]
    if type(name) is not str:
        refuse("log.name", "An event's name is not a string.")
    return DstackEvent(
        register=_number(value["imr"], "log.register"),
        kind=_number(value["event_type"], "log.type"),
        name=name,
        payload=unhex(value["event_payload"], "An event's payload", "log.payload"),
        digest=unhex(value.get("digest", ""), "An event's digest", "log.digest"),
        version=_number(value.get("version", 1), "log.version"),
        preimage=None if preimage is None else unhex(preimage, "A preimage", "log.preimage"),
    )


def _number(value: Any, code: str) -> int:
    if type(value) is not int:
        refuse(code, "A number of an event is not a whole number.")
    return value
