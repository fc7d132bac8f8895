"""What one appraisal was made with, written down so that another Verifier can make it again.

Evidence alone cannot be appraised: its report data is a digest of slots that are nowhere in it, its runtime
register replays from events, and its other registers are compared with Reference Values. A record holds all
of these, as canonical JSON (RFC 8785), and no secret: keys in it are public, a nonce has been used.

A record is the word of whoever kept the log. Most of it is confirmed by the Evidence itself: the slots by the
report data, the events by the runtime register. Reference Values, anchors and the digest of the launch
configuration are not: whoever reads them decides what they are worth.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import rfc8785

from assay.channel.binding import Purpose, SessionBinding
from assay.channel.runtime import MAX_EVENTS, RuntimeEvent
from assay.errors import ChannelError, LeaseError
from assay.evidence.roots import MAX_ANCHOR_BYTES, MAX_ANCHORS

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = "assay/appraisal-record/v1"
MAX_BYTES: Final = 1 << 20
LAUNCH_BYTES: Final = 48
MAX_TEXT: Final = 4096
"""Characters of one name, and bytes of one slot."""
MAX_REGISTERS: Final = 64
MAX_VALUES: Final = 1024
"""Reference Values of one register, and ids of required checks."""
MAX_VALUE_BYTES: Final = 64
_BYTE_SLOTS: Final = (
    "nonce",
    "owner_key",
    "channel_key",
    "receipt_key",
    "ssh_host_key",
    "hpke_key",
    "manifest",
)
_TEXT_SLOTS: Final = ("role", "platform", "lease")


@dataclass(frozen=True, slots=True)
class AppraisalRecord:
    """The arguments of one appraisal, besides the Evidence, its collateral and the time.

    Attributes:
        binding: Every slot that the report data is the digest of.
        isolation: Rung of isolation that the guest named.
        history: Every event of the runtime register that had to replay, in order.
        launch: SHA-384 of the launch configuration, 48 bytes: what MRCONFIGID had to be.
        nonce_made_at: When the nonce in the binding was made; aware.
        references: Reference Values by register; not those of the launch and of the history.
        anchors: Name and DER certificate of each root besides the pinned vendors'.
        policy: Name of the policy.
        policy_digest: Its digest, 32 bytes.
        required: Ids of the checks that settings required besides.
    """

    binding: SessionBinding
    isolation: str
    history: tuple[RuntimeEvent, ...]
    launch: bytes
    nonce_made_at: datetime
    references: Mapping[str, frozenset[bytes]]
    anchors: tuple[tuple[str, bytes], ...]
    policy: str
    policy_digest: bytes
    required: tuple[str, ...]

    def encode(self) -> bytes:
        """Return the record's only encoding."""
        binding = self.binding
        slots = {name: getattr(binding, name) for name in _TEXT_SLOTS}
        slots |= {name: getattr(binding, name).hex() for name in _BYTE_SLOTS}
        return rfc8785.dumps(
            {
                "schema": SCHEMA,
                "binding": {"purpose": Purpose(binding.purpose).value, **slots},
                "isolation": self.isolation,
                "history": [{"event": item.name, "payload": item.payload.hex()} for item in self.history],
                "launch": self.launch.hex(),
                "nonce_made_at": self.nonce_made_at.astimezone(UTC).isoformat(),
                "references": {
                    name: sorted(value.hex() for value in values) for name, values in self.references.items()
                },
                "anchors": [{"name": name, "certificate": der.hex()} for name, der in self.anchors],
                "policy": {"name": self.policy, "digest": self.policy_digest.hex()},
                "required": list(self.required),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> AppraisalRecord:
        """Return the record that ``data`` encodes, exactly.

        Args:
            data: At most 1 MiB; anybody's.

        Raises:
            LeaseError: ``lease.record.malformed`` for anything but one exact encoding.
        """
        if len(data) <= MAX_BYTES:
            try:
                found = _record(json.loads(data.decode("utf-8")))
                if found.encode() == data:
                    return found
            except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ChannelError):
                pass
        raise LeaseError(
            "lease.record.malformed", f"A record of an appraisal is not an exact encoding of {SCHEMA}."
        )


def _record(found: Any) -> AppraisalRecord:
    # What is added, missing or written otherwise than ``encode`` writes it differs when it is encoded again.
    made_at = datetime.fromisoformat(found["nonce_made_at"])
    if found["schema"] != SCHEMA or made_at.tzinfo is None:
        raise ValueError("schema")
    return AppraisalRecord(
        binding=_binding(found["binding"]),
        isolation=_text(found["isolation"]),
        history=tuple(
            RuntimeEvent(_text(item["event"]), _bytes(item["payload"], most=32))
            for item in _items(found["history"], MAX_EVENTS)
        ),
        launch=_bytes(found["launch"], least=LAUNCH_BYTES, most=LAUNCH_BYTES),
        nonce_made_at=made_at,
        references={
            _text(name): frozenset(
                _bytes(value, least=1, most=MAX_VALUE_BYTES) for value in _items(values, MAX_VALUES)
            )
            for name, values in _members(found["references"], MAX_REGISTERS).items()
        },
        anchors=tuple(
            (_text(item["name"]), _bytes(item["certificate"], least=1, most=MAX_ANCHOR_BYTES))
            for item in _items(found["anchors"], MAX_ANCHORS)
        ),
        policy=_text(found["policy"]["name"]),
        policy_digest=_bytes(found["policy"]["digest"], least=32, most=32),
        required=tuple(_text(item) for item in _items(found["required"], MAX_VALUES)),
    )


def _binding(found: Any) -> SessionBinding:
    role, platform, lease = (_text(found[name]) for name in _TEXT_SLOTS)
    slots = {name: _bytes(found[name], most=MAX_TEXT) for name in _BYTE_SLOTS}
    return SessionBinding(Purpose(found["purpose"]), role, platform, lease=lease, **slots)


def _items(value: Any, most: int) -> list[Any]:
    if type(value) is not list or len(value) > most:
        raise ValueError("list")
    return value


def _members(value: Any, most: int) -> dict[str, Any]:
    if type(value) is not dict or len(value) > most:
        raise ValueError("object")
    return value


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_TEXT:
        raise ValueError("text")
    value.encode()  # a lone surrogate is no text
    return value


def _bytes(value: Any, *, most: int, least: int = 0) -> bytes:
    found = bytes.fromhex(value)
    if not least <= len(found) <= most:
        raise ValueError("size")
    return found
