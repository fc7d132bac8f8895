"""The system events of a guest, read into typed values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.evidence.dstack.fields import refuse
from assay.evidence.dstack.key_provider import KeyProvider, parse_key_provider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.evidence.dstack.events import DstackEvent

APP_ID_BYTES = 20
INSTANCE_ID_BYTES = 20
HASH_BYTES = 32
_SIZES = {
    "system-preparing": (0,),
    "rootfs-hash": (HASH_BYTES,),
    "app-id": (APP_ID_BYTES,),
    "compose-hash": (HASH_BYTES,),
    "init-script-hash": (HASH_BYTES,),
    "gpu-policy-hash": (HASH_BYTES,),
    "instance-id": (0, INSTANCE_ID_BYTES),
    "boot-mr-done": (0,),
    "mr-kms": (HASH_BYTES,),
    "os-image-hash": (HASH_BYTES,),
    "system-ready": (0,),
}
"""Sizes that the payload of a system event may have, in bytes."""


@dataclass(frozen=True, slots=True)
class SystemEvents:
    """What the system events say.

    Attributes:
        app_id: 20 bytes: the deployed application.
        compose_hash: SHA-256 of the raw application compose document.
        instance_id: 20 bytes, or empty where the application has none.
        key_provider: Who gave the guest its keys.
        key_provider_payload: The event's payload as it was measured.
        os_image_hash: The image hash that the key server wrote at boot, or None.
        rootfs_hash: Hash of the root file system (dstack 0.4), or None.
        mr_kms: Measurement of the key server (dstack 0.5), or None.
        init_script_hashes: In order of execution.
        gpu_policy_hash: SHA-256 of the application's GPU policy, or None.
        storage_fs: File system of the guest's storage, or None.
    """

    app_id: bytes
    compose_hash: bytes
    instance_id: bytes
    key_provider: KeyProvider
    key_provider_payload: bytes
    os_image_hash: bytes | None
    rootfs_hash: bytes | None
    mr_kms: bytes | None
    init_script_hashes: tuple[bytes, ...]
    gpu_policy_hash: bytes | None
    storage_fs: str | None


def read_system_events(system: Sequence[DstackEvent]) -> SystemEvents:
    """Read events whose order, uniqueness and completeness were checked.

    Raises:
        EvidenceError: ``dstack.events.payload`` when a payload has a size that it cannot have,
            ``dstack.key_provider.malformed`` or ``json.*`` when the key provider is not one.
    """
    for event in system:
        sizes = _SIZES.get(event.name)
        if sizes is not None and len(event.payload) not in sizes:
            refuse("events.payload", f"The payload of {event.name} has {len(event.payload)} bytes.")
    by_name = {event.name: event.payload for event in system}
    storage = by_name.get("storage-fs")
    return SystemEvents(
        app_id=by_name["app-id"],
        compose_hash=by_name["compose-hash"],
        instance_id=by_name["instance-id"],
        key_provider=parse_key_provider(by_name["key-provider"]),
        key_provider_payload=by_name["key-provider"],
        os_image_hash=by_name.get("os-image-hash"),
        rootfs_hash=by_name.get("rootfs-hash"),
        mr_kms=by_name.get("mr-kms"),
        init_script_hashes=tuple(event.payload for event in system if event.name == "init-script-hash"),
        gpu_policy_hash=by_name.get("gpu-policy-hash"),
        storage_fs=None if storage is None else _word(storage),
    )


def _word(payload: bytes) -> str:
    if len(payload) > 32 or not payload.isalnum():
        refuse("events.payload", "The payload of storage-fs is not a word.")
    return payload.decode("ascii")
