"""The virtual machine configuration that a host states, and the documents inside it.

Nothing in it is authenticated. What it says about memory and image counts only where the quote's registers,
recomputed from it, come out as quoted.

Source: dstack 0.6.0, ``dstack-types/src/lib.rs`` (VmConfig, SysConfig).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assay.evidence.decoding import strictjson
from assay.evidence.dstack.fields import natural_member, refuse, text_member, unhex

MAX_CONFIG_BYTES = 256 * 1024
MAX_IMAGE_NAME = 256


@dataclass(frozen=True, slots=True)
class VmConfig:
    """What a host states about the virtual machine.

    Attributes:
        image: Name of the operating system image, or None.
        os_image_hash: SHA-256 of the image's checksum file, or None.
        memory_bytes: Size of the memory, or None.
        measurement: The ``tdx_measurement`` document as decoded JSON, or None; see ``os_image``.
        mr_config: The raw configuration document of MR_CONFIG_ID version 3, or None.
    """

    image: str | None
    os_image_hash: bytes | None
    memory_bytes: int | None
    measurement: Any
    mr_config: bytes | None


def parse_vm_config(data: bytes) -> VmConfig:
    """Parse a VM configuration, or a system configuration that embeds one as a string.

    Raises:
        EvidenceError: ``json.*`` or ``dstack.vm_config``.
    """
    outer = strictjson.parse_object(data, max_bytes=MAX_CONFIG_BYTES)
    document = _embedded(outer)
    image = text_member(document, "image", "vm_config")
    if image is not None and len(image) > MAX_IMAGE_NAME:
        refuse("vm_config", "The image name is too long.")
    name = text_member(document, "os_image_hash", "vm_config")
    mr_config = text_member(outer, "mr_config", "vm_config") or text_member(
        document, "mr_config", "vm_config"
    )
    return VmConfig(
        image=image,
        os_image_hash=None if name is None else unhex(name, "os_image_hash", "vm_config"),
        memory_bytes=natural_member(document, "memory_size", "vm_config"),
        measurement=document.get("tdx_measurement"),
        mr_config=None if mr_config is None else _encoded(mr_config),
    )


def vm_document(data: bytes) -> dict[str, Any]:
    """Return the members of a VM configuration, or of one that a system configuration embeds.

    Raises:
        EvidenceError: ``json.*`` or ``dstack.vm_config``.
    """
    return _embedded(strictjson.parse_object(data, max_bytes=MAX_CONFIG_BYTES))


def _embedded(outer: dict[str, Any]) -> dict[str, Any]:
    found = outer.get("vm_config")
    if found is None:
        return outer
    if type(found) is not str:
        refuse("vm_config", "The embedded VM configuration is not a string.")
    return strictjson.parse_object(_encoded(found), max_bytes=MAX_CONFIG_BYTES)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        refuse("vm_config", "A string of the VM configuration is not valid Unicode.")
