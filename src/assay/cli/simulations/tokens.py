"""Tokens in which somebody else vouches: Google, Azure Attestation, Trust Authority, NVIDIA's NRAS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from assay.cli.simulations import Made, Order, Simulation, Wrong
from assay.simulator.tokens import MAA, ServiceKeys, TokenServices
from assay.simulator.tokens.attacks import ATTACKS, AUDIENCE, TokenScene, stage

if TYPE_CHECKING:
    from assay.simulator.tokens import Service

_TITLES: Final[dict[Service, str]] = {
    "confidential-space": "evidence of Confidential Space",
    "maa": "evidence of Azure Attestation",
    "trust-authority": "evidence of Trust Authority",
    "nras": "evidence of NVIDIA's attestation service",
}
_CODE: Final[dict[Service, tuple[str, ...]]] = {
    "confidential-space": (
        "[confidential_space]",
        f'image_digests = ["sha256:{"1a" * 32}"]',
        f'audiences = ["{AUDIENCE}"]',
    ),
    "maa": ("[maa]", f'measurement = ["{"3c" * 48}"]', f'issuers = ["{MAA}"]'),
    "trust-authority": ("[trust_authority]", f'mrtd = ["{"6f" * 48}"]'),
    "nras": ("[nvidia]", "gpus = 1"),
}


def simulation(platform: str) -> Simulation:
    """Return how a service's tokens are made."""
    service = cast("Service", platform)
    attacks = tuple(
        Wrong(entry.name, entry.description, entry.refused_with(service))
        for entry in ATTACKS.values()
        if service in entry.services
    )
    return Simulation(_TITLES[service], attacks, partial(_make, service))


def _make(service: Service, order: Order) -> Made:
    installation = order.installation
    services = TokenServices(ServiceKeys(installation.secret, installation.directory))
    google = service == "confidential-space"
    nonce = order.binding[:32].hex().encode() if google else order.binding[:32]
    scene = TokenScene(services, service, order.now, nonce)
    evidence = stage(order.attack, scene) if order.attack else scene.finish()
    asked = ("--nonce", f"text:{nonce.decode()}") if google else ("--nonce", nonce.hex())
    return Made(
        name="answer.json" if service == "nras" else "token.jwt",
        evidence=evidence,
        options=(*asked, "--audience", AUDIENCE) if google else asked,
        roots=(services.root.der,) if google else (),
        holds="a token is valid for minutes",
        tables=_CODE[service],
        endorsements={} if google else {"jwks.json": services.key_set(service)},
    )
