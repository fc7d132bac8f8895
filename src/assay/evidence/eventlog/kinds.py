"""Event types of the TCG PC Client Platform Firmware Profile (1.06 revision 52, section 10.4.1).

The type of an event is never measured: whoever holds the log can change it without changing a register. A
decision that rests on a type therefore also needs the payload to be bound (see ``payload``).
"""

from __future__ import annotations

from enum import IntEnum


class EventType(IntEnum):
    """The types that this package gives a meaning to."""

    NO_ACTION = 0x3
    SEPARATOR = 0x4
    ACTION = 0x5
    EVENT_TAG = 0x6
    S_CRTM_CONTENTS = 0x7
    S_CRTM_VERSION = 0x8
    PLATFORM_CONFIG_FLAGS = 0xA
    IPL = 0xD
    OMIT_BOOT_DEVICE_EVENTS = 0x12
    EFI_VARIABLE_DRIVER_CONFIG = 0x80000001
    EFI_VARIABLE_BOOT = 0x80000002
    EFI_BOOT_SERVICES_APPLICATION = 0x80000003
    EFI_GPT_EVENT = 0x80000006
    EFI_ACTION = 0x80000007
    EFI_HANDOFF_TABLES2 = 0x8000000B
    EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000000A
    EFI_VARIABLE_BOOT2 = 0x8000000C
    EFI_HCRTM_EVENT = 0x80000010
    EFI_VARIABLE_AUTHORITY = 0x800000E0


_NAMES = {int(kind): f"EV_{kind.name}" for kind in EventType}


def name(kind: int) -> str:
    """Return the specification's name of an event type, or its number in hexadecimal."""
    return _NAMES.get(kind) or f"0x{kind:08x}"
