"""The authenticated Claims of NVIDIA GPUs and NVLink switches."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.evidence.facts import Window


class DeviceKind(StrEnum):
    """What a device is."""

    GPU = "gpu"
    SWITCH = "switch"


class Architecture(StrEnum):
    """The families of devices that attest, as evidence containers call them."""

    HOPPER = "HOPPER"
    BLACKWELL = "BLACKWELL"
    LS10 = "LS10"

    @property
    def kind(self) -> DeviceKind:
        """Whether devices of this family are GPUs or switches."""
        return DeviceKind.SWITCH if self is Architecture.LS10 else DeviceKind.GPU


class Mode(StrEnum):
    """How a GPU is passed through to the confidential machine."""

    SPT = "spt"
    MPT = "mpt"
    PPCIE = "ppcie"
    UNSTATED = "unstated"


@record
class ReferenceUse:
    """One reference integrity manifest that a device was compared with.

    Attributes:
        component: ``driver`` or ``vbios``.
        version: The version it is for, as it writes it.
        manifest_id: Its ``tagId``.
        anchor: Name of the root in which its chain ended.
        simulated: Whether that is no pinned root.
        held: Whether one of its certificates is on hold and was admitted all the same.
        window: When it can be relied on.
        compared: How many of its values were compared.
        responder_unasked: As of ``Revocation``, of the answers about its signers.
        fresh: As of ``Revocation``, of the same answers.
    """

    component: str
    version: str
    manifest_id: str
    anchor: str
    simulated: bool
    held: bool
    window: Window
    compared: int
    responder_unasked: bool
    fresh: bool


@record
class Revocation:
    """What the revocation service said of a device's chain.

    Attributes:
        this_update: Since when all that was said holds together: when the newest answer was signed.
        next_update: The earliest time at which a newer one is due.
        fresh: Whether every answer carried the nonce of its question.
        responder_unasked: Whether one was signed by a delegate that may itself be revoked: nobody was asked,
            and its certificate does not say that nobody needs to be (id-pkix-ocsp-nocheck).
    """

    this_update: datetime
    next_update: datetime
    fresh: bool
    responder_unasked: bool


@record
class DeviceClaims:
    """One GPU or switch (SPDM 1.1 measurements, NVIDIA opaque data, device certificate chain).

    Attributes:
        architecture: Its family.
        chip: The chip that its certificates name, such as ``GH100``.
        revision: The chip's revision, such as ``A01``.
        device_id: Number of the chip's own certificate authority, hexadecimal: names the device.
        nonce: What the requester asked with, 32 bytes.
        driver_version: Version of the driver; empty for a switch.
        vbios_version: Version of its firmware, five bytes in hexadecimal with dots: ``96.00.9F.00.01``.
        project: Board project, such as ``1010``; empty for a switch.
        project_sku: The board's SKU, such as ``0200``; empty for a switch.
        chip_sku: The chip's SKU, such as ``882``; empty for a switch.
        chip_info: Name of the chip by its firmware; empty when it does not say.
        fwid: SHA-384 of the first mutable firmware, 48 bytes, by certificate; what a report states is equal.
        measurements: What was measured, 48 bytes each, by the index of the manifests (from 0).
        mode: How the GPU is passed through.
        protected_pcie: Whether protected PCIe is on; None when the report does not say.
        nvdec0_disabled: Whether the video decoder is off, in which case measurement 35 means nothing.
        pdi: The switch's own device id, 8 bytes; None for a GPU.
        switch_pdis: Device ids of the switches behind the GPU's links, 8 bytes each, as switches state them;
            links that are off are left out.
        gpu_pdis: Device ids of the GPUs behind the switch's ports, 8 bytes each, in the switch's order.
        switch_locked: Whether the switch's configuration is locked; None when the report does not say.
        opaque: Every field of the opaque data by its number, as it stands there.
        references: The manifests that it was compared with.
        revocation: What is known about its certificates.
    """

    architecture: Architecture
    chip: str
    revision: str
    device_id: str
    nonce: bytes
    driver_version: str
    vbios_version: str
    project: str
    project_sku: str
    chip_sku: str
    chip_info: str
    fwid: bytes
    measurements: Mapping[int, bytes]
    mode: Mode
    protected_pcie: bool | None
    nvdec0_disabled: bool
    pdi: bytes | None
    switch_pdis: frozenset[bytes]
    gpu_pdis: tuple[bytes, ...]
    switch_locked: bool | None
    opaque: Mapping[int, bytes]
    references: tuple[ReferenceUse, ...]
    revocation: Revocation

    @property
    def kind(self) -> DeviceKind:
        """Whether it is a GPU or a switch."""
        return self.architecture.kind


@record
class NvidiaClaims:
    """The devices of one piece of evidence; all answered to one nonce.

    Attributes:
        devices: GPUs and switches, in the order of the evidence; each is another device.
        nonce: The nonce, 32 bytes.
    """

    devices: tuple[DeviceClaims, ...]
    nonce: bytes

    @property
    def gpus(self) -> tuple[DeviceClaims, ...]:
        """The GPUs."""
        return tuple(device for device in self.devices if device.kind is DeviceKind.GPU)

    @property
    def switches(self) -> tuple[DeviceClaims, ...]:
        """The switches."""
        return tuple(device for device in self.devices if device.kind is DeviceKind.SWITCH)
