"""What vouches for NVIDIA devices besides their own chain: revocation answers, verified manifests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.verification import Expected

if TYPE_CHECKING:
    from assay.evidence.nvidia.golden import GoldenMeasurements
    from assay.evidence.ocsp.reply import OcspReply

MAX_REPLIES = 512
MAX_MANIFESTS = 64


@dataclass(frozen=True, slots=True)
class NvidiaEndorsements:
    """Endorsements and Reference Values for a set of devices.

    Attributes:
        chain: The device's certificate chain as PEM, leaf first, root last, when the evidence is a bare
            report; empty when the evidence carries the chains.
        ocsp: Answers about the device's certificates below the root, its firmware's own certificate left out:
            no authority keeps a status for it. At most 512.
        drivers: Verified manifests of drivers. At most 64.
        firmware: Verified manifests of firmware (VBIOS, switch BIOS). At most 64.
        digest: SHA-256 over the answers and their nonces, 32 bytes: part of the key of remembered facts.
        references: SHA-256 over what names the manifests, 32 bytes: likewise.

    Raises:
        EvidenceError: ``nvidia.endorsements.oversized``.
    """

    chain: bytes = b""
    ocsp: tuple[OcspReply, ...] = ()
    drivers: tuple[GoldenMeasurements, ...] = ()
    firmware: tuple[GoldenMeasurements, ...] = ()
    digest: bytes = field(init=False, repr=False)
    references: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        manifests = max(len(self.drivers), len(self.firmware))
        if len(self.ocsp) > MAX_REPLIES or manifests > MAX_MANIFESTS:
            raise EvidenceError(
                "nvidia.endorsements.oversized",
                f"A set has at most {MAX_REPLIES} OCSP answers and {MAX_MANIFESTS} manifests of a kind.",
            )
        seal = hashlib.sha256()
        for reply in self.ocsp:
            nonce = b"\1" + reply.nonce.value if isinstance(reply.nonce, Expected) else b"\0"
            for part in (reply.response, nonce):
                seal.update(len(part).to_bytes(4, "big") + part)
        object.__setattr__(self, "digest", seal.digest())
        seal = hashlib.sha256()
        for group in (self.drivers, self.firmware):
            seal.update(len(group).to_bytes(4, "big"))
            for golden in group:
                seal.update(golden.name())
        object.__setattr__(self, "references", seal.digest())
