"""Golden measurements as a reference integrity manifest states them, without the XML in which it does.

``assay.reference.rim`` makes these values, and only from manifests that it verified. Here they are plain
values: evidence knows neither XML nor where a manifest came from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.facts import Window
    from assay.evidence.verification import Anchor


class Component(StrEnum):
    """What a manifest is about."""

    DRIVER = "driver"
    VBIOS = "vbios"


@dataclass(frozen=True, slots=True)
class GoldenMeasurements:
    """The values of one verified manifest.

    Attributes:
        product: The chip, such as ``GH100``.
        version: The version of the component, as the manifest writes it: ``550.90.07``, ``96.00.9F.00.01``.
        manifest_id: Its ``tagId``.
        active: Index -> the values of which the measurement must be one, 48 bytes each.
        listed: Every index that it lists, the inactive ones included.
        anchor: The root in which its chain ended.
        window: When it can be relied on: chain and revocation answers together.
        held: Whether one of its certificates is on hold and was admitted all the same.
        digest: SHA-256 of the manifest's bytes that are signed, 32 bytes: names the values.
        responder_unasked: Whether an answer about a certificate was signed by a delegate that may itself be
            revoked.
        fresh: Whether every answer about its certificates carried the nonce of its question.
    """

    product: str
    version: str
    manifest_id: str
    active: Mapping[int, frozenset[bytes]]
    listed: frozenset[int]
    anchor: Anchor
    window: Window
    held: bool
    digest: bytes
    responder_unasked: bool
    fresh: bool

    def name(self) -> bytes:
        """Return what tells it from every other, 32 bytes: its digest, and what is known beside its bytes."""
        known = (
            f"{self.anchor.simulated} {self.held} {self.responder_unasked} {self.fresh} {self.window.start}"
            f" {self.window.end} {len(self.active)}"
        )
        return hashlib.sha256(self.digest + self.anchor.fingerprint + known.encode()).digest()
