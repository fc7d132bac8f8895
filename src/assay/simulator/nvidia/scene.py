"""One presentation of simulated devices: reports, chains, manifests, OCSP answers, all changeable."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.simulator.nvidia.answers import AnswerDraft, answers
from assay.simulator.nvidia.device import DRIVER, FIRMWARE, SimulatedDevice
from assay.simulator.nvidia.manifest import ManifestDraft, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from assay.evidence.ocsp.reply import OcspReply
    from assay.simulator.nvidia.authority import SimulatedNvidia
    from assay.simulator.nvidia.device import ReportDraft


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """A signed manifest with the answers about its signer's chain.

    Attributes:
        document: The manifest.
        ocsp: The answers.
    """

    document: bytes
    ocsp: tuple[OcspReply, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is presented to a verifier.

    Attributes:
        evidence: The devices in JSON.
        ocsp: Answers about their certificates.
        drivers: Manifests of drivers.
        firmware: Manifests of firmware.
    """

    evidence: bytes
    ocsp: tuple[OcspReply, ...]
    drivers: tuple[SignedManifest, ...]
    firmware: tuple[SignedManifest, ...]


@dataclass(slots=True)
class PresentedManifest:
    """A manifest before it is signed, and the answers about its chain; None makes them for that chain."""

    draft: ManifestDraft
    answers: list[AnswerDraft] | None = None


class Scene:
    """Devices of one simulated NVIDIA that answer to one nonce.

    Args:
        nvidia: Who made them.
        now: The time of the scene.
        nonce: What they are asked with, 32 bytes.
        devices: Which; None for one Hopper GPU.

    Attributes:
        reports: Answers of the devices, before they are signed.
        architectures: What the container calls each.
        drivers: Manifests of drivers.
        firmware: Manifests of firmware.
        answers: OCSP answers about the devices; None makes them for the chains as they are presented.
        stated: More that the container says of each device.
        after: Changes the evidence.
    """

    def __init__(
        self,
        nvidia: SimulatedNvidia,
        now: datetime,
        nonce: bytes,
        devices: Sequence[SimulatedDevice] | None = None,
    ) -> None:
        self.nvidia = nvidia
        self.now = now
        self.nonce = nonce
        self.devices = list(devices or [SimulatedDevice(nvidia, "HOPPER", "0")])
        self.reports: list[ReportDraft] = [device.draft(nonce) for device in self.devices]
        self.architectures = [device.architecture for device in self.devices]
        families = sorted(set(self.architectures))
        self.drivers = [
            PresentedManifest(manifest(nvidia, family, "driver", DRIVER))
            for family in families
            if family != "LS10"
        ]
        self.firmware = [
            PresentedManifest(manifest(nvidia, family, "vbios", FIRMWARE[family])) for family in families
        ]
        self.answers: list[AnswerDraft] | None = None
        self.stated: list[dict[str, Any]] = [{"nonce": nonce.hex(), "version": "1.0"} for _ in self.devices]
        self.after: Callable[[bytes], bytes] = bytes

    @property
    def report(self) -> ReportDraft:
        """The answer of the first device."""
        return self.reports[0]

    def device_answers(self) -> list[AnswerDraft]:
        """Return the OCSP answers about every chain, without those about firmware; made once."""
        if self.answers is None:
            self.answers = [
                answer
                for report in self.reports
                for answer in answers(self.nvidia, report.chain[1:], self.now)
            ]
        return self.answers

    def manifest_answers(self, presented: PresentedManifest) -> list[AnswerDraft]:
        """Return the OCSP answers about a manifest's chain; made once."""
        if presented.answers is None:
            presented.answers = answers(self.nvidia, presented.draft.chain, self.now)
        return presented.answers

    def finish(self) -> Evidence:
        """Sign everything."""
        entries = [
            {
                "arch": family,
                "certificate": b64encode(report.pem()).decode(),
                "evidence": b64encode(report.sign()).decode(),
                **stated,
            }
            for family, report, stated in zip(self.architectures, self.reports, self.stated, strict=True)
        ]
        return Evidence(
            self.after(json.dumps(entries).encode()),
            tuple(answer.sign() for answer in self.device_answers()),
            tuple(self._signed(presented) for presented in self.drivers),
            tuple(self._signed(presented) for presented in self.firmware),
        )

    def _signed(self, presented: PresentedManifest) -> SignedManifest:
        replies = tuple(answer.sign() for answer in self.manifest_answers(presented))
        return SignedManifest(presented.draft.sign(), replies)
