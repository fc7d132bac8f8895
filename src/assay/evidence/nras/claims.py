"""The authenticated Claims of an answer of NVIDIA's Remote Attestation Service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeviceClaims:
    """What the service says of one device.

    Attributes:
        name: Its name in the answer: ``GPU-0``.
        hardware: ``hwmodel``.
        ueid: Its identity, as text.
        driver: Version of the driver; empty for a switch.
        firmware: Version of VBIOS or BIOS.
        debug_status: ``dbgstat``: ``disabled`` or not.
        secure_boot: ``secboot``; None when it is not stated.
        flags: The statements ``x-nvidia-*`` that are true or false, under their whole names.
        warning: What the service warns of; empty without.
        token: Every claim of the device's token.
    """

    name: str
    hardware: str
    ueid: str
    driver: str
    firmware: str
    debug_status: str
    secure_boot: bool | None
    flags: Mapping[str, bool]
    warning: str
    token: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NrasClaims:
    """What an authentic answer says.

    Attributes:
        issuer: The service.
        version: Version of the claims.
        issued_at: When the overall token was issued.
        expires_at: Until when it is valid.
        nonce: The nonce that every device answered, 32 bytes in practice.
        devices: The devices, in the order of the answer.
        token: Every claim of the overall token.
    """

    issuer: str
    version: str
    issued_at: datetime
    expires_at: datetime
    nonce: bytes
    devices: tuple[DeviceClaims, ...]
    token: Mapping[str, Any] = field(repr=False)
