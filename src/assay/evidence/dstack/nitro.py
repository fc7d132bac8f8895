"""dstack's VersionedAttestation where it carries a Nitro document: of an enclave, or of a NitroTPM.

Both versions hold the document, the runtime events, report data and a configuration string. The report data
are the document's ``user_data``. An enclave has no register that dstack extends, so that nothing vouches for
its events: they are what the guest says; its configuration names the image by a hash over the first three
registers. What a NitroTPM's registers show beyond that stands in ``guest``.

Source: dstack 0.6.0, ``dstack-attest/src/attestation.rs`` (LegacyVersionedAttestation) and
``dstack-attest/src/v1.rs``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError
from assay.evidence.decoding import strictjson
from assay.evidence.dstack.fields import refuse, unhex
from assay.evidence.dstack.versioned import open_attestation
from assay.evidence.ledger import CheckSpec, Ledger, LedgerBuilder

if TYPE_CHECKING:
    from assay.evidence.ledger import Check
    from assay.evidence.nitro.claims import NitroClaims, Platform

PLATFORMS: Final[dict[str, Platform]] = {"nitro-enclave": "nitro", "aws-nitro-tpm": "nitro-tpm"}
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
    found = open_attestation(data, variants=tuple(PLATFORMS))
    if len(found.config) > _MAX_CONFIG_BYTES:
        refuse("attestation.size", f"The configuration has more than {_MAX_CONFIG_BYTES} characters.")
    events = tuple([(event.name, event.payload) for event in found.runtime])
    platform = PLATFORMS[found.variant]
    return NitroAttestation(platform, found.evidence, events, found.report_data, found.config)


def compare(attestation: NitroAttestation, claims: NitroClaims) -> Ledger:
    """Compare what stands beside a document with what it signs.

    Args:
        attestation: The attestation.
        claims: The Claims of its document, verified.
    """
    checks = compare_parts(attestation.platform, attestation.report_data, attestation.config, claims)
    return Ledger(checks)


def compare_parts(
    platform: Platform, report_data: bytes, config: str, claims: NitroClaims
) -> tuple[Check, ...]:
    """Compare the parts of an attestation with what its document signs; as ``compare``."""
    ledger = LedgerBuilder((NITRO_REPORT_DATA, NITRO_IMAGE))
    if claims.user_data == report_data:
        ledger.passed(NITRO_REPORT_DATA)
    else:
        ledger.failed(
            NITRO_REPORT_DATA, "dstack.nitro.report_data", "The report data are not the document's user data."
        )
    _judge_image(ledger, platform, config, claims)
    return ledger.close().checks


def os_image_hash(claims: NitroClaims) -> bytes:
    """Return what dstack calls an enclave's image: SHA-256 of PCR 0, 1 and 2, 32 bytes."""
    return hashlib.sha256(b"".join(claims.pcrs[index] for index in range(3) if index in claims.pcrs)).digest()


def _judge_image(ledger: LedgerBuilder, platform: Platform, text: str, claims: NitroClaims) -> None:
    if platform != "nitro":
        ledger.not_applicable(NITRO_IMAGE, "the registers of a NitroTPM name no image")
        return
    try:
        config = strictjson.parse_object(text.encode(), max_bytes=4 * _MAX_CONFIG_BYTES)
        stated = unhex(config.get("os_image_hash"), "The image hash", "nitro.image")
    except EvidenceError as error:
        ledger.failed(NITRO_IMAGE, "dstack.nitro.image", f"The configuration names no image: {error.message}")
        return
    if stated == os_image_hash(claims):
        ledger.passed(NITRO_IMAGE)
    else:
        ledger.failed(NITRO_IMAGE, "dstack.nitro.image", "The registers show another image.")
