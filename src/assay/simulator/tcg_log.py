"""The CCEL log of a simulated boot: a crypto-agile TCG log with SHA-384 alone.

Registers 1 to 4 of the log are RTMR0 to 3.

Source: TCG PC Client Platform Firmware Profile 1.06, section 10.2; UEFI 2.10, section 38.4.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_ACTION, SEPARATOR, EFI_ACTION, EFI_VARIABLE_DRIVER_CONFIG = 0x3, 0x4, 0x80000007, 0x80000001
_SHA384 = 0x000C
_GLOBAL_VARIABLE = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")


@dataclass(slots=True)
class BootEvent:
    """One event.

    Attributes:
        register: RTMR 0 to 3.
        kind: Event type.
        payload: Its data.
        digest: What was extended, 48 bytes.
    """

    register: int
    kind: int
    payload: bytes
    digest: bytes

    @classmethod
    def of(cls, register: int, kind: int, payload: bytes) -> BootEvent:
        """Return an event whose digest is the hash of its payload."""
        return cls(register, kind, payload, hashlib.sha384(payload).digest())


@dataclass(slots=True)
class BootLog:
    """The events of one boot, in order; an attack changes the list after the registers were extended."""

    events: list[BootEvent]

    @classmethod
    def usual(cls) -> BootLog:
        """Return a short boot: secure boot on, separators, the hand-over to the operating system."""
        return cls(
            [
                BootEvent.of(0, EFI_VARIABLE_DRIVER_CONFIG, _variable("SecureBoot", b"\x01")),
                *(BootEvent.of(register, SEPARATOR, bytes(4)) for register in (0, 1)),
                BootEvent.of(1, EFI_ACTION, b"Calling EFI Application from Boot Option"),
                BootEvent.of(1, EFI_ACTION, b"Exit Boot Services Invocation"),
                BootEvent.of(1, EFI_ACTION, b"Exit Boot Services Returned with Success"),
            ]
        )

    def extensions(self) -> Iterator[tuple[int, bytes]]:
        """Yield register and digest of each event, in order."""
        for event in self.events:
            yield event.register, event.digest

    def encode(self) -> bytes:
        """Return the log, its header first, without padding."""
        header = b"Spec ID Event03\0" + struct.pack("<IBBBBIHHB", 0, 0, 2, 0, 2, 1, _SHA384, 48, 0)
        first = struct.pack("<II20sI", 1, NO_ACTION, bytes(20), len(header)) + header
        return first + b"".join(
            struct.pack("<IIIH", event.register + 1, event.kind, 1, _SHA384)
            + event.digest
            + struct.pack("<I", len(event.payload))
            + event.payload
            for event in self.events
        )


def _variable(name: str, data: bytes) -> bytes:
    """Return a UEFI_VARIABLE_DATA of the global namespace."""
    return _GLOBAL_VARIABLE + struct.pack("<QQ", len(name), len(data)) + name.encode("utf-16-le") + data
