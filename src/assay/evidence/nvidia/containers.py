"""Evidence as tools write it: a list of devices in JSON, or one bare report.

    [{"arch": "HOPPER", "evidence": base64, "certificate": base64 of PEM, "nonce": hex, ...}, ...]
    {"device_evidence_list": [{"arch": ..., "uuid": ..., "evidence": ..., "certificate": ...}, ...]}
    {"evidences": [{"arch": ..., "evidence": ..., "certificate": ..., "nonce": ...}, ...], "result_code": 0}
    {"arch": ..., "nonce": ..., "evidence_list": [{"evidence": ..., "certificate": ...}, ...]}

The first is what NVIDIA's SDK keeps, the third what its command ``nvattest collect-evidence`` prints, and the
last what its attestation service is asked with: services that attest GPUs hand that on.

Nothing but report and chain of each device is relied on; what else a container says is compared with what
the device signed.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.decoding.canonical import canonical_base64
from assay.evidence.decoding.pem import MAX_CHAIN_BYTES
from assay.evidence.decoding.strictjson import JsonError, parse
from assay.evidence.nvidia.spdm import MAX_REPORT_BYTES
from assay.evidence.verification import UnsignedRegion

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CONTAINER_BYTES: Final = 2 << 20
MAX_DEVICES: Final = 96
_LISTS: Final = ("device_evidence_list", "evidences", "evidence_list")
_LONGEST_TEXT: Final = 128
_TEXTS: Final = ("arch", "nonce", "driver_version", "vbios_version")
_SPACE: Final = b" \t\r\n"


class ContainerError(EvidenceError):
    """The evidence is no container of NVIDIA devices; code ``nvidia.container``."""


@dataclass(frozen=True, slots=True)
class PresentedDevice:
    """One device as it is presented; nothing about it is verified.

    Attributes:
        report: The SPDM report.
        chain: The certificate chain as PEM; empty for a bare report.
        stated: What the container says of it, by member: ``arch``, ``nonce``, ``driver_version``,
            ``vbios_version``; text of at most 128 characters.
    """

    report: bytes
    chain: bytes
    stated: Mapping[str, str]


def is_container(evidence: bytes) -> bool:
    """Return whether the evidence is JSON and not a bare report, which begins with a version of SPDM."""
    return evidence.lstrip(_SPACE)[:1] in (b"[", b"{")


def read_container(evidence: bytes) -> tuple[tuple[PresentedDevice, ...], tuple[UnsignedRegion, ...]]:
    """Decode a container.

    Args:
        evidence: At most 2 MiB, of at most 96 devices.

    Returns:
        Its devices, and the regions around reports and chains, which nobody signed.

    Raises:
        ContainerError: It is anything else.
    """
    try:
        value = parse(evidence, max_bytes=MAX_CONTAINER_BYTES)
    except JsonError as error:
        raise ContainerError("nvidia.container", error.message) from None
    whole: dict[str, Any] = {}
    if type(value) is dict:
        lists = [value[name] for name in _LISTS if name in value]
        if len(lists) == 1:
            whole = {name: value[name] for name in _TEXTS if name in value}
        value = lists[0] if len(lists) == 1 else [value]
    if type(value) is not list or not 0 < len(value) <= MAX_DEVICES:
        raise ContainerError("nvidia.container", f"Evidence is a list of 1 to {MAX_DEVICES} devices.")
    devices = tuple(_device(item, whole) for item in value)
    return devices, _regions(evidence, devices)


def _device(item: Any, whole: Mapping[str, Any]) -> PresentedDevice:
    """Decode a device; what the container states for all of them, each of them states."""
    if type(item) is not dict:
        raise ContainerError("nvidia.container", "A device of the evidence is no object.")
    stated: dict[str, str] = {}
    for name, text in ((name, source.get(name)) for name in _TEXTS for source in (whole, item)):
        if text is None:
            continue
        if type(text) is not str or len(text) > _LONGEST_TEXT:
            raise ContainerError("nvidia.container", f"Member {name} of a device is no short text.")
        if stated.setdefault(name, text).casefold() != text.casefold():
            raise ContainerError("nvidia.container", f"A device states another {name} than all together.")
    return PresentedDevice(
        _base64(item.get("evidence"), MAX_REPORT_BYTES),
        _base64(item.get("certificate"), MAX_CHAIN_BYTES),
        stated,
    )


def _base64(text: Any, limit: int) -> bytes:
    if type(text) is not str or not text or len(text) > limit * 4 // 3 + 4:
        raise ContainerError("nvidia.container", "A device lacks its report or chain, or it is too long.")
    found = canonical_base64(text)
    if found is None:
        raise ContainerError("nvidia.container", "A report or chain is not canonical base64.")
    return found


def _regions(evidence: bytes, devices: tuple[PresentedDevice, ...]) -> tuple[UnsignedRegion, ...]:
    """Return what lies between the reports; all of it when one is written with JSON escapes.

    Chains count as covered: each byte of them is verified.
    """
    covered = []
    for part in {part for device in devices for part in (device.report, device.chain)}:
        text = b64encode(part)
        at = evidence.find(text)
        if at < 0:
            return (UnsignedRegion(0, len(evidence), "the container"),)
        while at >= 0:
            covered.append((at, at + len(text)))
            at = evidence.find(text, at + len(text))
    found, pos = [], 0
    for start, end in sorted(covered):
        if start > pos:
            found.append(UnsignedRegion(pos, start, "the container around a device"))
        pos = max(pos, end)
    if pos < len(evidence):
        found.append(UnsignedRegion(pos, len(evidence), "the container around a device"))
    return tuple(found)
