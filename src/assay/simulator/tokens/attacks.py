"""Named attacks on tokens: wrong in one place, signed all the same, and the code that refuses it.

    token = stage("edited-claims", TokenScene(services, "maa", now, nonce))

What is changed before signing stands in the draft, so the simulated service signs it; what is changed after
is what a thief of a genuine token can do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from assay.errors import SimulatorError
from assay.simulator.tokens.nras import NrasDraft

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from assay.simulator.tokens import Service, TokenServices
    from assay.simulator.tokens.signing import TokenDraft

AUDIENCE: Final = "https://assay.example"
EVERY: Final[tuple[Service, ...]] = ("confidential-space", "maa", "trust-authority", "nras")
BEARERS: Final[tuple[Service, ...]] = ("confidential-space", "maa", "trust-authority")
GOOGLE: Final[tuple[Service, ...]] = ("confidential-space",)
NVIDIA: Final[tuple[Service, ...]] = ("nras",)
AZURE: Final[tuple[Service, ...]] = ("maa",)
ONE_ISSUER: Final[tuple[Service, ...]] = ("confidential-space", "nras")
_STALE: Final = b"a nonce of an earlier session...."[:32]


@dataclass(slots=True)
class TokenScene:
    """A token before it is signed; Google's under a chain of certificates, the others' under published keys.

    Attributes:
        services: Who signs.
        service: Which of them.
        at: When.
        nonce: What the token is to carry: text for Confidential Space, 32 bytes for NRAS.
        whole: The token, or all tokens of an answer.
        after: Changes the bytes of the first token after it was signed.
    """

    services: TokenServices
    service: Service
    at: datetime
    nonce: bytes
    whole: TokenDraft | NrasDraft = field(init=False)
    after: Callable[[bytes], bytes] = field(default=bytes)

    def __post_init__(self) -> None:
        issuer = self.services
        if self.service == "confidential-space":
            nonces = [self.nonce.decode()]
            self.whole = issuer.confidential_space(self.at, nonces=nonces, audience=AUDIENCE, kind="pki")
        elif self.service == "maa":
            self.whole = issuer.maa(self.at, nonce=self.nonce)
        elif self.service == "trust-authority":
            self.whole = issuer.trust_authority(self.at, held=self.nonce)
        else:
            self.whole = issuer.nras(self.at, nonce=self.nonce)

    @property
    def draft(self) -> TokenDraft:
        """The token; of an answer of NRAS the overall one."""
        return self.whole.overall if isinstance(self.whole, NrasDraft) else self.whole

    @property
    def answer(self) -> NrasDraft:
        """An answer of NRAS."""
        if not isinstance(self.whole, NrasDraft):
            raise SimulatorError("simulator.attack.elsewhere", "Only NRAS answers with devices' tokens.")
        return self.whole

    def finish(self) -> bytes:
        """Sign, then apply what comes after signing."""
        signed = self.whole.sign()
        if not isinstance(self.whole, NrasDraft):
            return self.after(signed)
        start = signed.index(b"eyJ")
        end = signed.index(b'"', start)
        return signed[:start] + self.after(signed[start:end]) + signed[end:]


@dataclass(frozen=True, slots=True)
class TokenAttack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which a verifier refuses it; ``{}`` stands for the service's own prefix.
        services: Whose tokens it can be made on.
        apply: Spoils a scene.
    """

    name: str
    description: str
    code: str
    services: tuple[Service, ...]
    apply: Callable[[TokenScene], None]

    def refused_with(self, service: Service) -> str:
        """Return the code for a service's token."""
        return self.code.format(service.replace("-", "_"))


ATTACKS: dict[str, TokenAttack] = {}


def attack(
    name: str, description: str, *, code: str, services: tuple[Service, ...] = EVERY
) -> Callable[[Callable[[TokenScene], None]], Callable[[TokenScene], None]]:
    """Register a function that spoils a scene as the attack of this name."""

    def register(apply: Callable[[TokenScene], None]) -> Callable[[TokenScene], None]:
        ATTACKS[name] = TokenAttack(name, description, code, services, apply)
        return apply

    return register


def stage(name: str, scene: TokenScene) -> bytes:
    """Return the token, or answer, of a named attack.

    Raises:
        SimulatorError: ``simulator.attack.unknown``; ``simulator.attack.elsewhere`` when it cannot be made on
            this service's tokens.
    """
    found = ATTACKS.get(name)
    if found is None:
        raise SimulatorError("simulator.attack.unknown", "There is no simulated attack of this name.")
    if scene.service not in found.services:
        raise SimulatorError(
            "simulator.attack.elsewhere", f"The attack {name} cannot be made on {scene.service}."
        )
    found.apply(scene)
    return scene.finish()


@attack("edited-claims", "A claim was changed after the service signed.", code="{}.token.signature")
def _edited_claims(scene: TokenScene) -> None:
    genuine = scene.draft.sign().split(b".")[2]
    scene.draft.claims["assay-edited"] = True
    scene.after = lambda token: token.rpartition(b".")[0] + b"." + genuine


@attack(
    "stranger-signed",
    "Somebody else's key signed, under the id of the service's.",
    code="{}.token.signature",
)
def _stranger_signed(scene: TokenScene) -> None:
    keys = scene.services.keys
    nras = scene.service == "nras"
    scene.draft.key = keys.p384_key("a stranger") if nras else keys.rsa_key("stranger")


@attack(
    "algorithm-none",
    "The header says that nothing is signed, and nothing is.",
    code="{}.token.algorithm.refused",
)
def _algorithm_none(scene: TokenScene) -> None:
    scene.draft.header["alg"] = "none"
    scene.after = lambda token: token.rpartition(b".")[0] + b"."


@attack("expired", "The token has expired.", code="{}.token.expiry.expired")
def _expired(scene: TokenScene) -> None:
    issued = scene.draft.claims["iat"] - 1800
    scene.draft.claims |= {"iat": issued, "nbf": issued, "exp": issued + 60}


@attack(
    "another-issuer",
    "Another service says that it issued the token.",
    code="{}.token.issuer.unknown",
    services=ONE_ISSUER,
)
def _another_issuer(scene: TokenScene) -> None:
    scene.draft.claims["iss"] += ".example"


@attack(
    "another-instance",
    "An instance of the service issued the token whose policy somebody else wrote.",
    code="policy.maa.issuers.not_listed",
    services=AZURE,
)
def _another_instance(scene: TokenScene) -> None:
    scene.draft.claims["iss"] = "https://mine.weu.attest.azure.net"


@attack("stale-nonce", "The token is of an earlier session.", code="{}.binding.mismatch", services=BEARERS)
def _stale_nonce(scene: TokenScene) -> None:
    stale = _STALE.hex().encode() if scene.service == "confidential-space" else _STALE
    other = TokenScene(scene.services, scene.service, scene.at, stale)
    scene.draft.claims |= other.draft.claims


@attack(
    "debug-machine",
    "The machine is in debug mode.",
    code="policy.attributes.debug.weak",
    services=GOOGLE,
)
def _debug_machine(scene: TokenScene) -> None:
    scene.draft.claims["dbgstat"] = "enabled"


@attack(
    "another-audience",
    "The token is for another verifier, who may hand it on.",
    code="confidential_space.token.audience.mismatch",
    services=GOOGLE,
)
def _another_audience(scene: TokenScene) -> None:
    scene.draft.claims["aud"] = "https://another.example"


@attack(
    "operator-overrides",
    "The operator set environment variables that no digest covers.",
    code="policy.confidential_space.overrides.weak",
    services=GOOGLE,
)
def _operator_overrides(scene: TokenScene) -> None:
    scene.draft.claims["submods"]["container"]["env_override"] = {"LD_PRELOAD": "/tmp/own.so"}  # noqa: S108 - an attack


@attack(
    "chain-of-a-stranger",
    "The chain of certificates ends in a root of the same name, of somebody else.",
    code="confidential_space.chain.root.not_pinned",
    services=GOOGLE,
)
def _chain_of_a_stranger(scene: TokenScene) -> None:
    from assay.simulator.tokens import chain  # noqa: PLC0415 - for this attack alone

    key = scene.services.keys.rsa_key("stranger")
    root = chain.self_signed(chain.ROOT, key)
    middle = root.issue(chain.INTERMEDIATE, key)
    links = (middle.issue(chain.LEAF, key), middle, root)
    scene.draft.header["x5c"] = [link.text(pem=False) for link in links]
    scene.draft.key = key


@attack(
    "swapped-device",
    "The answer holds another device's token than the one that was appraised.",
    code="nras.token.submods.mismatch",
    services=NVIDIA,
)
def _swapped_device(scene: TokenScene) -> None:
    scene.answer.submods["GPU-0"] = ["DIGEST", ["SHA-256", "00" * 32]]


@attack(
    "relayed-device",
    "The device answered another session's nonce.",
    code="nras.device.nonce.mismatch",
    services=NVIDIA,
)
def _relayed_device(scene: TokenScene) -> None:
    scene.answer.devices["GPU-0"].claims["eat_nonce"] = _STALE.hex()


@attack(
    "failed-appraisal",
    "NVIDIA's service refused the devices, and says so.",
    code="nras.token.result.refused",
    services=NVIDIA,
)
def _failed_appraisal(scene: TokenScene) -> None:
    scene.draft.claims["x-nvidia-overall-att-result"] = False


@attack(
    "stale-session",
    "Overall token and devices are of an earlier session.",
    code="nras.binding.mismatch",
    services=NVIDIA,
)
def _stale_session(scene: TokenScene) -> None:
    said: dict[str, Any] = {"eat_nonce": _STALE.hex()}
    scene.draft.claims |= said
    for device in scene.answer.devices.values():
        device.claims |= said
