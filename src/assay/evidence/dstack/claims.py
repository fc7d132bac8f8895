"""The Claims of a dstack guest, and what a caller can expect of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.evidence.verification import Expected, Unchecked

if TYPE_CHECKING:
    from assay.evidence.dstack.config_id import ConfigForm
    from assay.evidence.dstack.key_provider import KeyProvider
    from assay.evidence.dstack.system import SystemEvents
    from assay.evidence.eventlog.ccel import CcelEvent


@dataclass(frozen=True, slots=True)
class AppEvent:
    """An event that the application wrote behind ``system-ready``; its meaning is the application's.

    Attributes:
        name: At most 256 bytes of any Unicode; escape it before it is shown.
        payload: At most 64 KiB.
    """

    name: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class ImageStatement:
    """What is known about the operating system image.

    Attributes:
        os_image_hash: SHA-256 of the image's checksum file, when its measurement document explains all of
            MRTD and RTMR0 to RTMR2; None otherwise. The document's author is unknown: compare the hash.
        key_server_hash: The image hash that the key server wrote into RTMR3 at boot, or None. It is the key
            server's word, and may name the same image by another document.
        rootfs_hash: Hash of the root file system (dstack 0.4), or None.
        is_dev: Whether it is a development image, whose console and SSH are open to root; None when that is
            not proven. As good as ``os_image_hash`` is known.
        is_dev_reason: Why ``is_dev`` is what it is, as a sentence.
        stated_name: The image's name as the host states it; proves nothing.
        memory_bytes: Size of the memory, when ``os_image_hash`` was proven with it; None otherwise.
        qemu_two_pass: Whether MRTD is the one of QEMU 8; None without ``os_image_hash``.
    """

    os_image_hash: bytes | None
    key_server_hash: bytes | None
    rootfs_hash: bytes | None
    is_dev: bool | None
    is_dev_reason: str
    stated_name: str | None
    memory_bytes: int | None
    qemu_two_pass: bool | None


@dataclass(frozen=True, slots=True)
class DstackClaims:
    """What the registers of an authentic quote and a log that replays to them prove.

    All of it was written by the guest's operating system: it is as good as the proof that the operating
    system is dstack's (``image``, or reference values of MRTD and RTMR0 to RTMR2).

    Attributes:
        app_id: 20 bytes: the deployed application; with a key server, its contract. Says nothing about code.
        compose_hash: SHA-256 of the raw application compose document, 32 bytes: what runs.
        instance_id: 20 bytes, or empty where the application has none.
        key_provider: Who gave the guest its keys, and so who else could have them.
        config_form: In which form MR_CONFIG_ID commits to the application.
        image: The operating system image.
        system: All system events, read.
        app_events: What the application wrote behind ``system-ready``, in order.
        mr_system: SHA-256 over MRTD, RTMR0 to RTMR2 and the hash of the key provider.
        mr_aggregated: SHA-256 over MRTD, all RTMRs and, when one of them is set, the configuration registers.
        report_data: The quote's report data, 64 bytes.
        key_attestation: The key that the report data spells out (``dip1::...``), or None.
        boot_events: Events of RTMR0 to RTMR2 with what is bound of each payload; empty when the guest left
            them out of its log.
    """

    app_id: bytes
    compose_hash: bytes
    instance_id: bytes
    key_provider: KeyProvider
    config_form: ConfigForm
    image: ImageStatement
    system: SystemEvents
    app_events: tuple[AppEvent, ...]
    mr_system: bytes
    mr_aggregated: bytes
    report_data: bytes
    key_attestation: str | None
    boot_events: tuple[CcelEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Expectations:
    """What the caller knows and wants compared; each is given, or left open with a reason.

    Attributes:
        app_id: 20 bytes.
        compose_hash: 32 bytes; SHA-256 of the compose document that was deployed.
        instance_id: 20 bytes, or empty.
        key_provider: Name and id.
        os_images: Every name that the evidence may give its image.
        report_data: 64 bytes; see ``report_data.tagged``.
    """

    app_id: Expected | Unchecked
    compose_hash: Expected | Unchecked
    instance_id: Expected | Unchecked
    key_provider: KeyProvider | Unchecked
    os_images: frozenset[bytes] | Unchecked
    report_data: Expected | Unchecked

    @classmethod
    def nothing(cls, reason: str) -> Expectations:
        """Return expectations that leave everything open, for one reason."""
        left = Unchecked(reason)
        return cls(left, left, left, left, left, left)
