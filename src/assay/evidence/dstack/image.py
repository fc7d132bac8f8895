"""Checks of the operating system image against an authentic quote."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.decoding import strictjson
from assay.evidence.dstack import checks
from assay.evidence.dstack.claims import ImageStatement
from assay.evidence.dstack.os_image import (
    METADATA_FILE,
    acpi_digests,
    fixed_kernel,
    known_form,
    parse_document,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.evidence.dstack.events import DstackEvent
    from assay.evidence.dstack.os_image import ImageMeasurement
    from assay.evidence.dstack.system import SystemEvents
    from assay.evidence.dstack.vm_config import VmConfig
    from assay.evidence.ledger import LedgerBuilder
    from assay.evidence.tdx.claims import TdxClaims

MAX_METADATA_BYTES = 64 * 1024
_DEV_PREFIX = "dstack-dev"
_RECOMPUTED = (checks.IMAGE_MRTD, *checks.IMAGE_RTMR)


def check_image(
    ledger: LedgerBuilder,
    td: TdxClaims,
    events: Sequence[DstackEvent],
    system: SystemEvents,
    config: VmConfig | None,
    metadata: bytes | None,
) -> ImageStatement:
    """Recompute MRTD and RTMR0 to RTMR2 from the image's measurement document, where there is one.

    Every outcome is recorded in the ledger; what the returned statement says holds only if none failed.
    """
    measurement = _document(ledger, config)
    memory = config.memory_bytes if config is not None else None
    proven = measurement if measurement and _explains(ledger, td, events, measurement, memory) else None
    is_dev, reason = _metadata(ledger, proven, metadata)
    stated = config.image if config is not None else None
    if is_dev is None and stated is not None and stated.startswith(_DEV_PREFIX):
        reason = f"The host calls it {stated!a}, the name of a development image. " + reason
    return ImageStatement(
        os_image_hash=proven.os_image_hash if proven is not None else None,
        key_server_hash=system.os_image_hash,
        rootfs_hash=system.rootfs_hash,
        is_dev=is_dev,
        is_dev_reason=reason,
        stated_name=stated,
        memory_bytes=memory if proven is not None else None,
        qemu_two_pass=None if proven is None else td.mr_td == proven.mrtd_two_pass,
    )


def _explains(
    ledger: LedgerBuilder,
    td: TdxClaims,
    events: Sequence[DstackEvent],
    measurement: ImageMeasurement,
    memory: int | None,
) -> bool:
    """Return whether the document explains all four registers; three of them name no image."""
    found = [
        _check_mrtd(ledger, td, measurement),
        _check_rtmr0(ledger, td, events, measurement, memory),
        _check_rtmr1(ledger, td, measurement, memory),
        _compare(ledger, 2, td, measurement.rtmr2()),
    ]
    return all(found)


def _document(ledger: LedgerBuilder, config: VmConfig | None) -> ImageMeasurement | None:
    if config is None or config.measurement is None:
        for spec in (checks.IMAGE_DOCUMENT, *_RECOMPUTED):
            ledger.not_applicable(spec, "no measurement document of the image was presented")
        return None
    if not known_form(config.measurement):
        for spec in (checks.IMAGE_DOCUMENT, *_RECOMPUTED):
            ledger.not_checked(
                spec,
                "dstack.os_image.document_form",
                "the measurement document is of a form that is not known",
            )
        return None
    try:
        measurement = parse_document(config.measurement)
    except EvidenceError as error:
        raise ledger.fail(checks.IMAGE_DOCUMENT, error.code, error.message) from error
    if config.os_image_hash not in (None, measurement.os_image_hash):
        raise ledger.fail(
            checks.IMAGE_DOCUMENT,
            "dstack.os_image.hash",
            "The VM configuration names another image than the checksum file that it carries.",
        )
    ledger.passed(checks.IMAGE_DOCUMENT)
    return measurement


def _check_mrtd(ledger: LedgerBuilder, td: TdxClaims, measurement: ImageMeasurement) -> bool:
    if td.mr_td in (measurement.mrtd_two_pass, measurement.mrtd_single_pass):
        ledger.passed(checks.IMAGE_MRTD)
        return True
    ledger.failed(
        checks.IMAGE_MRTD,
        "dstack.os_image.mrtd",
        "The image's firmware makes another MRTD than the quoted one.",
    )
    return False


def _check_rtmr0(
    ledger: LedgerBuilder,
    td: TdxClaims,
    events: Sequence[DstackEvent],
    measurement: ImageMeasurement,
    memory: int | None,
) -> bool:
    spec = checks.IMAGE_RTMR[0]
    if memory is None:
        ledger.not_checked(
            spec, "dstack.os_image.memory", "the VM configuration does not state the memory size"
        )
        return False
    try:
        expected = measurement.rtmr0(memory, acpi_digests(events))
    except EvidenceError as error:
        raise ledger.fail(spec, error.code, error.message) from error
    return _compare(ledger, 0, td, expected)


def _check_rtmr1(
    ledger: LedgerBuilder, td: TdxClaims, measurement: ImageMeasurement, memory: int | None
) -> bool:
    expected = measurement.rtmr1()
    if expected != td.rtmrs[1] and memory is not None and not fixed_kernel(memory):
        ledger.not_checked(
            checks.IMAGE_RTMR[1],
            "dstack.os_image.memory",
            "for this memory size the measured kernel cannot be computed without the image",
        )
        return False
    return _compare(ledger, 1, td, expected)


def _compare(ledger: LedgerBuilder, register: int, td: TdxClaims, expected: bytes) -> bool:
    spec = checks.IMAGE_RTMR[register]
    if td.rtmrs[register] == expected:
        ledger.passed(spec)
        return True
    ledger.failed(
        spec,
        f"dstack.os_image.rtmr{register}",
        f"The image makes another RTMR{register} than the quoted one.",
    )
    return False


def _metadata(
    ledger: LedgerBuilder, proven: ImageMeasurement | None, metadata: bytes | None
) -> tuple[bool | None, str]:
    """Return whether the image is one for development, and why that is known or not."""
    spec = checks.IMAGE_METADATA
    if metadata is None:
        ledger.not_applicable(spec, "no metadata of the image was presented")
        return None, "Nothing that the image's hash covers says what it is; a name is the host's word."
    if proven is None:
        ledger.not_checked(
            spec, "dstack.os_image.unproven", "no checksum file that could list it belongs to these registers"
        )
        return None, "The image's metadata was presented, but nothing proves the image that it belongs to."
    if proven.files.get(METADATA_FILE) != hashlib.sha256(metadata).digest():
        raise ledger.fail(
            spec,
            "dstack.os_image.metadata",
            "The metadata is not the one that the image's checksum file lists.",
        )
    try:
        document = strictjson.parse_object(metadata, max_bytes=MAX_METADATA_BYTES)
        is_dev: bool = strictjson.member(document, "is_dev", bool)
    except EvidenceError as error:
        raise ledger.fail(spec, error.code, error.message) from error
    ledger.passed(spec)
    return is_dev, "The image's metadata says it; that is as good as the image's hash is known."
