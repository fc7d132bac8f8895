"""The guest's runtime register: what the agent extended into it, and what value that must give.

Before a workload starts the agent extends RTMR3 with three digests, in this order:

    isolation   SHA-384 of ``assay/rtmr3/isolation``, a NUL byte, and the rung's name
    manifest    SHA-384 of ``assay/rtmr3/manifest``, a NUL byte, and the manifest's digest
    bundle      SHA-384 of ``assay/rtmr3/bundle``, a NUL byte, and the bundle's digest

The history of a guest is the list of all its events since launch. It comes from the guest and is worth what
its replay is worth: the register in verified Evidence must have exactly the value that ``replay`` gives.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from assay.channel.frames import malformed

REGISTER = 3
REGISTER_BYTES = 48
MAX_EVENTS = 1024
MAX_BYTES = 256 * 1024
PAYLOAD_BYTES = 64
EVENTS = ("isolation", "manifest", "bundle")


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """One extension of the runtime register.

    Attributes:
        name: ``isolation``, ``manifest`` or ``bundle``.
        payload: Name of the rung (ASCII), or a digest of 32 bytes.
    """

    name: str
    payload: bytes

    def __post_init__(self) -> None:
        right = 0 < len(self.payload) <= 32 if self.name == "isolation" else len(self.payload) == 32
        if self.name not in EVENTS or not right:
            raise malformed("an event of the runtime register is unknown or has a payload of the wrong size")

    def digest(self) -> bytes:
        """Return what is extended, 48 bytes."""
        return hashlib.sha384(b"assay/rtmr3/" + self.name.encode() + b"\0" + self.payload).digest()


def events_of_start(isolation: str, manifest: bytes, bundle: bytes) -> tuple[RuntimeEvent, ...]:
    """Return the events of one start, in their order.

    Args:
        isolation: Name of the rung.
        manifest: Digest of the manifest, 32 bytes.
        bundle: Digest of the bundle, 32 bytes.
    """
    return (
        RuntimeEvent("isolation", isolation.encode()),
        RuntimeEvent("manifest", manifest),
        RuntimeEvent("bundle", bundle),
    )


def replay(events: tuple[RuntimeEvent, ...]) -> bytes:
    """Return the register's value after ``events``, 48 bytes: SHA-384 of its old value and each digest."""
    value = bytes(REGISTER_BYTES)
    for event in events:
        value = hashlib.sha384(value + event.digest()).digest()
    return value


def encode_events(events: tuple[RuntimeEvent, ...]) -> bytes:
    """Return ``events`` as JSON: a list of ``{"register", "event", "payload", "digest"}``, in hex."""
    return json.dumps(
        [
            {
                "register": REGISTER,
                "event": event.name,
                "payload": event.payload.hex(),
                "digest": event.digest().hex(),
            }
            for event in events
        ],
        separators=(",", ":"),
    ).encode()


def decode_events(data: bytes) -> tuple[RuntimeEvent, ...]:
    """Return the events in ``data``; their digests are recomputed from the payloads.

    Raises:
        ChannelError: ``channel.message.malformed``, also when a stated digest is not that of its payload.
    """
    if len(data) > MAX_BYTES:
        raise malformed("the event list is too large")
    try:
        found = json.loads(data.decode("utf-8"))
        events = tuple(_event(item) for item in found)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise malformed("the event list is not one") from error
    if len(events) > MAX_EVENTS or encode_events(events) != data:
        raise malformed("the event list is too long or not in its only form")
    return events


def _event(item: Any) -> RuntimeEvent:
    return RuntimeEvent(str(item["event"]), bytes.fromhex(item["payload"]))
