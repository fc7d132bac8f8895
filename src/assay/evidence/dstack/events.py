"""dstack's events and their digests.

A log is a list of events: boot events of the firmware (RTMR0 to RTMR2, taken from CCEL, payloads often
stripped) and runtime events of dstack (RTMR3, event type 0x08000001). A runtime event's digest is a hash over
its name and payload, so it is recomputed here and never believed:

- version 1: SHA-384 of ``LE32(type) ":" name ":" payload``. A name with a colon would make the split between
  name and payload ambiguous, so it is refused;
- version 2: SHA-384 of the canonical JSON ``{"name":...,"payload":hex,"type":134217729}`` (RFC 8785). The log
  must carry that preimage, and it must be the one rebuilt from name and payload.

Source: dstack 0.6.0, ``cc-eventlog/src/runtime_events.rs`` and ``cc-eventlog/src/tdx.rs``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from assay.errors import EvidenceError
from assay.evidence.eventlog.replay import DIGEST_BYTES, RTMR_COUNT

RUNTIME_EVENT_TYPE = 0x08000001
RUNTIME_REGISTER = 3
MAX_EVENTS = 4096
"""Most events in one log; real ones have about thirty."""
MAX_NAME_BYTES = 256
MAX_PAYLOAD_BYTES = 64 * 1024
_VERSIONS = (1, 2)
_V1_PREFIX = RUNTIME_EVENT_TYPE.to_bytes(4, "little") + b":"


@dataclass(frozen=True, slots=True)
class DstackEvent:
    """One event as a log states it; nothing in it is authenticated.

    Attributes:
        register: RTMR that it was extended into, 0 to 3.
        kind: Event type.
        name: Name of a runtime event, or the label that the guest gave a boot event.
        payload: The event's data; empty when stripped.
        digest: The stated digest, 48 bytes, or empty when a runtime event was stripped of it.
        version: 1 or 2; how the digest of a runtime event is made.
        preimage: What the log says was hashed, or None.
    """

    register: int
    kind: int
    name: str
    payload: bytes
    digest: bytes
    version: int = 1
    preimage: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.register < RTMR_COUNT:
            raise EvidenceError(
                "dstack.log.register", f"An event names register {self.register}; RTMRs are 0 to 3."
            )
        if not 0 <= self.kind < 1 << 32:
            raise EvidenceError("dstack.log.type", "An event type does not fit 32 bits.")
        if self.version not in _VERSIONS:
            raise EvidenceError("dstack.log.version", "An event has a version other than 1 and 2.")
        if len(self.payload) > MAX_PAYLOAD_BYTES:
            raise EvidenceError("dstack.log.payload", f"A payload has more than {MAX_PAYLOAD_BYTES} bytes.")
        if len(self.digest) != DIGEST_BYTES and not (self.runtime and not self.digest):
            raise EvidenceError("dstack.log.digest", "An event's digest does not have 48 bytes.")
        _check_name(self.name)

    @property
    def runtime(self) -> bool:
        """Whether this is a runtime event of dstack."""
        return self.kind == RUNTIME_EVENT_TYPE

    def rebuilt_preimage(self) -> bytes:
        """Return what dstack hashed to make the digest of this runtime event.

        Raises:
            EvidenceError: ``dstack.event.name`` when a version 1 name holds a colon.
        """
        if self.version == 2:
            return canonical_json(self.name, self.payload)
        if ":" in self.name:
            raise EvidenceError(
                "dstack.event.name",
                "A version 1 event has a colon in its name: where the name ends is ambiguous.",
            )
        return _V1_PREFIX + self.name.encode() + b":" + self.payload

    def recomputed_digest(self) -> bytes:
        """Return the digest that this runtime event was extended with if its name and payload are true.

        Raises:
            EvidenceError: ``dstack.event.*`` when the event contradicts itself.
        """
        preimage = self.rebuilt_preimage()
        if self.version == 2 and self.preimage is None:
            raise EvidenceError(
                "dstack.event.preimage_missing", "A version 2 event comes without its preimage."
            )
        if self.preimage is not None and self.preimage != preimage:
            raise EvidenceError(
                "dstack.event.preimage", "An event's preimage is not the one that its name and payload make."
            )
        digest = hashlib.sha384(preimage).digest()
        if self.digest and self.digest != digest:
            raise EvidenceError(
                "dstack.event.digest", "An event's digest is not the hash of its name and payload."
            )
        return digest


def canonical_json(name: str, payload: bytes) -> bytes:
    """Return the canonical JSON (RFC 8785) that a version 2 digest is made over."""
    # The keys are in order and the number is an integer, so only the string rules of RFC 8785 3.2.2.2 are
    # left; the standard library follows them when it does not escape beyond ASCII.
    quoted = json.dumps(name, ensure_ascii=False)
    return f'{{"name":{quoted},"payload":"{payload.hex()}","type":{RUNTIME_EVENT_TYPE}}}'.encode()


def _check_name(name: str) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise EvidenceError("dstack.log.name", "An event's name is not valid Unicode.") from error
    if size > MAX_NAME_BYTES:
        raise EvidenceError("dstack.log.name", f"An event's name has more than {MAX_NAME_BYTES} bytes.")
