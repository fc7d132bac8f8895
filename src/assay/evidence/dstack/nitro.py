"""dstack's VersionedAttestation where it carries a Nitro document: of an enclave, or of a NitroTPM.

Both versions hold the document, the runtime events, report data and a configuration string. Nitro has no
register that dstack extends, so that nothing vouches for the events: they are what the guest says. The report
data are the document's ``user_data``, and the configuration names the image by a hash over the first three
registers; both can be compared with a verified document.

Source: dstack 0.6.0, ``dstack-attest/src/attestation.rs`` (LegacyVersionedAttestation) and
``dstack-attest/src/v1.rs``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.decoding import strictjson
from assay.evidence.dstack import msgpack
from assay.evidence.dstack.attestation import (
    MAX_ATTESTATION_BYTES,
    V1_STACKS,
    VARIANTS,
    bounded,
    byte_string,
    members,
    runtime_event,
    sequence,
    text,
)
from assay.evidence.dstack.fields import refuse, unhex
from assay.evidence.dstack.report_data import REPORT_DATA_BYTES, Tag, tagged
from assay.evidence.dstack.scale import ScaleReader
from assay.evidence.ledger import CheckSpec, LedgerBuilder

if TYPE_CHECKING:
    from assay.evidence.ledger import Ledger
    from assay.evidence.nitro.claims import NitroClaims, Platform

_PLATFORMS: Final[dict[str, tuple[Platform, str]]] = {
    "nitro-enclave": ("nitro", "nsm_quote"),
    "aws-nitro-tpm": ("nitro-tpm", "attestation_doc"),
}
_MAX_CONFIG_BYTES: Final = 64 * 1024

NITRO_REPORT_DATA = CheckSpec(
    "dstack.nitro.report_data",
    "the report data beside the document are the ones that it signs",
    "dstack 0.6.0, dstack-attest: report data are the document's user_data",
)
NITRO_IMAGE = CheckSpec(
    "dstack.nitro.image",
    "the image that the configuration names is the one that the document's registers show",
    "dstack 0.6.0, dstack-attest: os_image_hash is SHA-256 of PCR 0, 1 and 2",
)
"""Of enclaves alone: the registers of a NitroTPM are those of another boot."""


@dataclass(frozen=True, slots=True)
class NitroAttestation:
    """What an attestation carries; nothing in it is authenticated.

    Attributes:
        platform: ``nitro`` or ``nitro-tpm``.
        document: The attestation document.
        events: Name and payload of each runtime event; no register holds them.
        report_data: 64 bytes that the document should hold.
        config: JSON, at most 64 KiB.
    """

    platform: Platform
    document: bytes
    events: tuple[tuple[str, bytes], ...]
    report_data: bytes
    config: str


def parse_nitro_attestation(data: bytes) -> NitroAttestation:
    """Parse an attestation of version 0 or 1.

    Raises:
        EvidenceError: ``dstack.attestation.variant`` for another platform; ``dstack.attestation.*``,
            ``dstack.scale``, ``dstack.msgpack`` or ``dstack.log.*`` when it is malformed.
    """
    if len(data) > MAX_ATTESTATION_BYTES:
        refuse("attestation.size", f"The attestation has more than {MAX_ATTESTATION_BYTES} bytes.")
    if data[:1] == b"\0":
        found = _version_0(ScaleReader(data))
    elif data and (0x80 <= data[0] < 0x90 or data[0] in (0xDE, 0xDF)):
        found = _version_1(msgpack.unpack(data))
    else:
        refuse("attestation.version", "The attestation is neither of version 0 nor of version 1.")
    if len(found.report_data) != REPORT_DATA_BYTES:
        refuse("attestation.report_data", "The attestation's report data does not have 64 bytes.")
    if len(found.config) > _MAX_CONFIG_BYTES:
        refuse("attestation.size", f"The configuration has more than {_MAX_CONFIG_BYTES} characters.")
    return found


def _version_0(reader: ScaleReader) -> NitroAttestation:
    reader.byte()
    variant = reader.byte()
    platform, _ = _nitro(VARIANTS[variant] if variant < len(VARIANTS) else "unknown")
    document = reader.vector()
    events = tuple([(reader.text(), reader.vector()) for _ in range(bounded(reader.compact()))])
    found = NitroAttestation(platform, document, events, reader.take(REPORT_DATA_BYTES), reader.text())
    reader.finish()
    return found


def _version_1(value: Any) -> NitroAttestation:
    top = members(value, {"version", "platform", "stack"})
    if type(top["version"]) is not int or top["version"] != 1:
        refuse("attestation.version", "The attestation is of a version after 1.")
    evidence = members(top["platform"], {"kind", "data"})
    platform, name = _nitro(evidence["kind"])
    document = byte_string(members(evidence["data"], {name})[name])
    stack = members(top["stack"], {"kind", "data"})
    if stack["kind"] not in V1_STACKS:
        refuse("attestation.stack", "The attestation is of an unknown stack.")
    pod = stack["kind"] == "dstack-pod"
    names = {"report_data", "runtime_events", "config"} | ({"report_data_payload"} if pod else set())
    said = members(stack["data"], names)
    report_data = byte_string(said["report_data"])
    if pod and tagged(Tag.APP_DATA, text(said["report_data_payload"]).encode()) != report_data:
        refuse("attestation.report_data", "The attestation's report data is not the hash of its payload.")
    events = tuple([runtime_event(event) for event in sequence(said["runtime_events"])])
    return NitroAttestation(platform, document, events, report_data, text(said["config"]))


def _nitro(kind: Any) -> tuple[Platform, str]:
    found = _PLATFORMS.get(kind) if type(kind) is str else None
    if found is None:
        known = kind if kind in VARIANTS else "unknown"
        refuse("attestation.variant", f"The attestation is of the platform {known}, not of Nitro.")
    return found


def compare(attestation: NitroAttestation, claims: NitroClaims) -> Ledger:
    """Compare what stands beside a document with what it signs.

    Args:
        attestation: The attestation.
        claims: The Claims of its document, verified.
    """
    ledger = LedgerBuilder((NITRO_REPORT_DATA, NITRO_IMAGE))
    if claims.user_data == attestation.report_data:
        ledger.passed(NITRO_REPORT_DATA)
    else:
        ledger.failed(
            NITRO_REPORT_DATA, "dstack.nitro.report_data", "The report data are not the document's user data."
        )
    _judge_image(ledger, attestation, claims)
    return ledger.close()


def os_image_hash(claims: NitroClaims) -> bytes:
    """Return what dstack calls an enclave's image: SHA-256 of PCR 0, 1 and 2, 32 bytes."""
    return hashlib.sha256(b"".join(claims.pcrs.get(index, b"") for index in range(3))).digest()


def _judge_image(ledger: LedgerBuilder, attestation: NitroAttestation, claims: NitroClaims) -> None:
    if attestation.platform != "nitro":
        ledger.not_applicable(NITRO_IMAGE, "the registers of a NitroTPM name no image")
        return
    try:
        config = strictjson.parse_object(attestation.config.encode(), max_bytes=4 * _MAX_CONFIG_BYTES)
        stated = unhex(config.get("os_image_hash"), "The image hash", "nitro.image")
    except EvidenceError as error:
        ledger.failed(NITRO_IMAGE, "dstack.nitro.image", f"The configuration names no image: {error.message}")
        return
    if stated == os_image_hash(claims):
        ledger.passed(NITRO_IMAGE)
    else:
        ledger.failed(NITRO_IMAGE, "dstack.nitro.image", "The registers show another image.")
