"""Named attacks: evidence that is wrong in one place, signed all the same, and the code that must refuse it.

    evidence = stage("role-confusion", Scene(installation, "tdx", 4, now, report_data))

Each is named after its defect. What is changed before signing stands in the draft, so the simulated hardware
and the simulated Intel sign it; what is changed after is what a thief of genuine evidence can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import SimulatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assay.simulator.endorsements import Tee
    from assay.simulator.scene import Evidence, Scene

BOTH: tuple[Tee, ...] = ("tdx", "sgx")
TDX: tuple[Tee, ...] = ("tdx",)


@dataclass(frozen=True, slots=True)
class Attack:
    """One named attack.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which a verifier refuses it: of a check of evidence or log, or of the policy.
            Empty for what looks wrong and must be accepted.
        platforms: Where it can be made.
        versions: Of the quotes in which it can be made; empty for all.
        apply: Spoils a scene.
    """

    name: str
    description: str
    code: str
    platforms: tuple[Tee, ...]
    versions: tuple[int, ...]
    apply: Callable[[Scene], None]

    def refused_with(self, platform: Tee) -> str:
        """Return the code on a platform."""
        measurement = "mr_td" if platform == "tdx" else "mr_enclave"
        return self.code.format(platform=platform, measurement=measurement)


ATTACKS: dict[str, Attack] = {}


def attack(
    name: str,
    description: str,
    *,
    code: str,
    platforms: tuple[Tee, ...] = BOTH,
    versions: tuple[int, ...] = (),
) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Register the decorated function as an attack; see ``Attack``."""

    def register(apply: Callable[[Scene], None]) -> Callable[[Scene], None]:
        ATTACKS[name] = Attack(name, description, code, platforms, versions, apply)
        return apply

    return register


def catalogue() -> Iterator[Attack]:
    """Yield every attack, those on the quote first, then chain, collateral, platform and log."""
    from assay.simulator import (  # noqa: PLC0415 - the modules register what they define
        attacks_on_chain,
        attacks_on_collateral,
        attacks_on_platform,
        attacks_on_quote,
    )

    del attacks_on_chain, attacks_on_collateral, attacks_on_platform, attacks_on_quote
    yield from ATTACKS.values()


def stage(name: str, scene: Scene) -> Evidence:
    """Return the evidence of a named attack.

    Raises:
        SimulatorError: ``simulator.attack.unknown``; ``simulator.attack.elsewhere`` when it cannot be made on
            this platform or in this version.
    """
    found = {entry.name: entry for entry in catalogue()}.get(name)
    if found is None:
        raise SimulatorError(
            "simulator.attack.unknown",
            "There is no simulated attack of this name.",
            action="List them: assay simulate tdx --list",
        )
    if scene.platform not in found.platforms or (found.versions and scene.version not in found.versions):
        raise SimulatorError(
            "simulator.attack.elsewhere",
            f"The attack {name} cannot be made on {scene.platform} in version {scene.version}.",
        )
    found.apply(scene)
    return scene.finish()
