"""A Hopper GPU's evidence, with the manifests and OCSP answers that vouch for it."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.endorsements.bundle import Bundle
from assay.endorsements.nvidia import NONCE_PART, OCSP, RESPONSE_PART
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.evidence.facts import Window
from assay.evidence.verification import Expected
from assay.simulator.nvidia import Scene, SimulatedNvidia
from assay.simulator.nvidia.attacks import ATTACKS, stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.simulator.nvidia.attacks import NvidiaAttack

NONCE_BYTES: Final = 32
_POLICY: Final = ("[nvidia]", 'architectures = ["HOPPER"]', "gpus = 1", "fresh_revocation = true")


def simulation(_platform: str) -> Simulation:
    """Return how a GPU's evidence is made."""
    attacks = tuple(Wrong(entry.name, entry.description, _refused_with(entry)) for entry in ATTACKS.values())
    return Simulation("evidence of an NVIDIA GPU", attacks, _make)


def _refused_with(entry: NvidiaAttack) -> str:
    """Return the code with which ``assay verify`` refuses it.

    A manifest that does not verify is not there; what is wrong with its signer is so for all of them.
    """
    if not entry.code.startswith("rim."):
        return entry.code
    all_of_them = entry.code in ("rim.revocation.status", "rim.chain.root")
    return "nvidia.golden.missing" if all_of_them else "nvidia.golden.driver"


def _make(order: Order) -> Made:
    now = order.now.replace(microsecond=0)
    nvidia = SimulatedNvidia.of(order.installation)
    nonce = order.binding[:NONCE_BYTES]
    scene = Scene(nvidia, now, nonce)
    evidence = stage(order.attack, scene) if order.attack else scene.finish()
    about = {entry.wanted: entry for entry in _endorsements(scene)}
    return Made(
        name="evidence.json",
        evidence=evidence.evidence,
        options=("--nonce", nonce.hex()),
        roots=(nvidia.device_root.der, nvidia.manifest_root.der),
        holds="its OCSP answers are valid for a day",
        tables=_POLICY,
        endorsements={
            "ocsp.bundle": Bundle.of(about.values(), created=now).encode(),
            "driver.xml": evidence.drivers[0].document,
            "vbios.xml": evidence.firmware[0].document,
        },
    )


def _endorsements(scene: Scene) -> Iterator[Endorsement]:
    """Yield the OCSP answers of a scene, each about a certificate and all above it."""
    presented = [*reversed(scene.firmware), *reversed(scene.drivers)]
    drafts = [draft for each in presented for draft in scene.manifest_answers(each)]
    chains = [report.chain for report in scene.reports] + [each.draft.chain for each in presented]
    above = {issued.der: chain[place:] for chain in chains for place, issued in enumerate(chain)}
    for draft in (*scene.device_answers(), *drafts):
        reply = draft.sign()
        asked = reply.nonce.value if isinstance(reply.nonce, Expected) else b""
        ders = b"".join(issued.der for issued in above.get(draft.subject.der, [draft.subject, draft.issuer]))
        yield Endorsement(
            wanted=Wanted.of(OCSP, chain=b64encode(ders).decode()),
            parts={RESPONSE_PART: reply.response, NONCE_PART: asked},
            window=Window(draft.this_update, draft.this_update + timedelta(days=1)),
            fetched=scene.now,
            sources=(),
            basis=Basis.SIGNATURE,
            anchor="00" * 32,
        )
