"""A device's measurements against the golden values of verified manifests."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Final

from assay.evidence.nvidia import checks
from assay.evidence.nvidia.claims import Architecture, DeviceKind, ReferenceUse
from assay.evidence.nvidia.golden import Component

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from assay.evidence.ledger import CheckSpec, LedgerBuilder
    from assay.evidence.nvidia.golden import GoldenMeasurements
    from assay.evidence.verification import Anchor

NVDEC0_INDEX: Final = 35
"""The measurement of the video decoder's firmware, which is loaded only when the decoder is on."""


class Subject:
    """What is compared: the signed facts about one device.

    Args:
        architecture: Its family.
        chips: Names of its chip, by certificate and by firmware.
        driver: Version of its driver; empty for a switch.
        firmware: Version of its firmware.
        measurements: Digests by the index of the manifests, from 0.
        nvdec0_disabled: Whether the video decoder is off.
        anchor: The root in which its chain ended.
    """

    __slots__ = ("anchor", "architecture", "chips", "driver", "firmware", "measurements", "nvdec0_disabled")

    def __init__(
        self,
        architecture: Architecture,
        chips: tuple[str, ...],
        driver: str,
        firmware: str,
        measurements: Mapping[int, bytes],
        *,
        nvdec0_disabled: bool,
        anchor: Anchor,
    ) -> None:
        self.architecture = architecture
        self.chips = chips
        self.driver = driver
        self.firmware = firmware
        self.measurements = measurements
        self.nvdec0_disabled = nvdec0_disabled
        self.anchor = anchor


def compare(
    ledger: LedgerBuilder,
    subject: Subject,
    drivers: Sequence[GoldenMeasurements],
    firmware: Sequence[GoldenMeasurements],
    now: datetime,
) -> tuple[ReferenceUse, ...]:
    """Record ``GOLDEN_CHECKS`` for one device and return the manifests that it was compared with."""
    chosen: list[tuple[Component, GoldenMeasurements]] = []
    if subject.architecture.kind is DeviceKind.GPU:
        found = _choose(ledger, checks.GOLDEN_DRIVER, subject, subject.driver, drivers)
        if found is not None:
            chosen.append((Component.DRIVER, found))
    else:
        ledger.not_applicable(checks.GOLDEN_DRIVER, "a switch has no driver of its own")
    found = _choose(ledger, checks.GOLDEN_FIRMWARE, subject, subject.firmware, firmware)
    if found is not None:
        chosen.append((Component.VBIOS, found))
    if len(chosen) < (2 if subject.architecture.kind is DeviceKind.GPU else 1):
        reason = "not checked: a manifest for this device is missing"
        for spec in checks.GOLDEN_CHECKS[2:]:
            ledger.not_checked(spec, "nvidia.golden.missing", reason)
        return ()
    manifests = [golden for _, golden in chosen]
    _verdict(ledger, checks.GOLDEN_PRODUCT, _product(subject, manifests))
    _verdict(ledger, checks.GOLDEN_ANCHOR, _anchor(subject, manifests))
    _verdict(ledger, checks.GOLDEN_TIME, _time(manifests, now))
    _verdict(ledger, checks.GOLDEN_ACTIVE, _active(manifests))
    _verdict(ledger, checks.MEASUREMENTS, _measurements(subject, manifests))
    return tuple(_use(subject, component, golden) for component, golden in chosen)


def _verdict(ledger: LedgerBuilder, spec: CheckSpec, defect: tuple[str, str] | None) -> None:
    if defect is None:
        ledger.passed(spec)
    else:
        ledger.failed(spec, *defect)


def _choose(
    ledger: LedgerBuilder,
    spec: CheckSpec,
    subject: Subject,
    version: str,
    offered: Sequence[GoldenMeasurements],
) -> GoldenMeasurements | None:
    """Return the manifest for this version, the one for this chip first."""
    if not offered:
        ledger.not_checked(spec, "nvidia.golden.missing", "not checked: there is no such manifest")
        return None
    fitting = [golden for golden in offered if golden.version.casefold() == version.casefold()]
    if not fitting:
        ledger.failed(spec, spec.id, f"No manifest is for the version that is reported, {version!a}.")
        return None
    ledger.passed(spec)
    return next((golden for golden in fitting if _fits(subject, golden)), fitting[0])


def _fits(subject: Subject, golden: GoldenMeasurements) -> bool:
    return any(same_chip(chip, golden.product) for chip in subject.chips)


def same_chip(one: str, other: str) -> bool:
    """Return whether two names are of one chip: ``LS_10`` is ``LS10``, an ``X`` stands for any character."""
    if one == other:
        return bool(one)
    first, second = (name.replace("_", "").upper() for name in (one, other))
    if not first or len(first) != len(second):
        return False
    return all(a == b or "X" in (a, b) for a, b in zip(first, second, strict=True))


def _product(subject: Subject, manifests: Sequence[GoldenMeasurements]) -> tuple[str, str] | None:
    other = next((golden for golden in manifests if not _fits(subject, golden)), None)
    if other is None:
        return None
    return "nvidia.golden.product", f"The manifest {other.version!a} is for {other.product!a}."


def _anchor(subject: Subject, manifests: Sequence[GoldenMeasurements]) -> tuple[str, str] | None:
    if subject.anchor.simulated or not any(golden.anchor.simulated for golden in manifests):
        return None
    return "nvidia.golden.anchor", "A manifest is under a root that is not pinned; the device is not."


def _time(manifests: Sequence[GoldenMeasurements], now: datetime) -> tuple[str, str] | None:
    other = next((golden for golden in manifests if now not in golden.window), None)
    if other is None:
        return None
    limits = f"{other.window.start.isoformat()} to {other.window.end.isoformat()}"
    return "nvidia.golden.time", f"The manifest {other.version!a} can be relied on from {limits}."


def _active(manifests: Sequence[GoldenMeasurements]) -> tuple[str, str] | None:
    for golden in manifests:
        if not golden.active:
            return "nvidia.golden.empty", f"The manifest {golden.version!a} has no active value."
    for one, other in combinations(manifests, 2):
        if not one.active.keys().isdisjoint(other.active):
            return "nvidia.golden.conflict", "Two manifests have active values at one index."
    return None


def _measurements(subject: Subject, manifests: Sequence[GoldenMeasurements]) -> tuple[str, str] | None:
    measured = subject.measurements
    for golden in manifests:
        for index, values in golden.active.items():
            if index == NVDEC0_INDEX and subject.nvdec0_disabled:
                continue
            found = measured.get(index)
            if found is None:
                return "nvidia.measurement.missing", f"Measurement {index} is active and was not measured."
            if found not in values:
                return "nvidia.measurement.mismatch", f"Measurement {index} is none of its golden values."
    extra = measured.keys() - manifests[0].listed
    for golden in manifests[1:]:
        extra -= golden.listed
    if extra:
        return "nvidia.measurement.extra", f"Measurement {min(extra)} is listed in no manifest."
    return None


def _use(subject: Subject, component: Component, golden: GoldenMeasurements) -> ReferenceUse:
    skipped = subject.nvdec0_disabled and NVDEC0_INDEX in golden.active
    return ReferenceUse(
        component=component.value,
        version=golden.version,
        manifest_id=golden.manifest_id,
        anchor=golden.anchor.name,
        simulated=golden.anchor.simulated,
        held=golden.held,
        window=golden.window,
        compared=len(golden.active) - skipped,
        responder_unasked=golden.responder_unasked,
        fresh=golden.fresh,
    )


def manifest_ids(
    architecture: Architecture,
    chips: tuple[str, ...],
    driver: str,
    firmware: str,
    board: tuple[str, str, str],
) -> dict[str, str]:
    """Return the names under which NVIDIA publishes the manifests of a device, by component.

    Args:
        architecture: Its family.
        chips: Names of its chip, by certificate and by firmware.
        driver: Version of its driver.
        firmware: Version of its firmware.
        board: Project, SKU of the project, SKU of the chip.
    """
    flat = firmware.replace(".", "").upper()
    if architecture is Architecture.LS10:
        return {Component.VBIOS.value: f"NV_SWITCH_BIOS_5612_0002_890_{flat}"}
    named = "_".join(part.upper() for part in board)
    if architecture is Architecture.HOPPER:
        prefix = "NV_GPU_DRIVER_GH100_"
    else:
        prefix = f"NV_GPU_CC_DRIVER_{next((chip for chip in reversed(chips) if chip), 'GB100')}_"
    return {
        Component.DRIVER.value: prefix + driver,
        Component.VBIOS.value: f"NV_GPU_VBIOS_{named}_{flat}",
    }
