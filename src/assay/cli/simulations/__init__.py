"""What ``assay simulate`` can make: one module for each family of formats, imported when it is named.

To add a platform: a module here with ``simulation(platform) -> Simulation``, and its line in ``_MODULES``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from assay.simulator.intel import Installation

_MODULES: Final = {
    "tdx": "dcap",
    "sgx": "dcap",
    "snp": "snp",
    "nitro": "nitro",
    "nitro-tpm": "nitro",
    "azure-snp": "azure",
    "azure-tdx": "azure",
    "gcp-vtpm": "google_vm",
    "gcp-tdx": "google_vm",
    "gcp-snp": "google_vm",
    "tpm": "tpm",
    "confidential-space": "tokens",
    "maa": "tokens",
    "trust-authority": "tokens",
    "nras": "tokens",
    "nvidia-gpu": "nvidia",
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """One way to make evidence wrong.

    Attributes:
        name: Its defect.
        description: One sentence that says what is wrong.
        code: The code with which ``assay verify`` refuses it; empty when it accepts it all the same.
        versions: Versions of the format that it can be made in; none where there is no choice.
    """

    name: str
    description: str
    code: str
    versions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made.

    Attributes:
        installation: Under whose roots.
        version: Of the format; None for the usual one.
        attack: The name of an attack; None for none.
        binding: 64 bytes that the evidence is to carry, or as many of them as it can.
        now: When.
    """

    installation: Installation
    version: int | None
    attack: str | None
    binding: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class Made:
    """What was made.

    Attributes:
        name: File name of the evidence.
        evidence: Its contents.
        options: What ``assay verify`` is told besides: what the evidence carries.
        roots: Roots that it rests on, DER.
        endorsements: What vouches for the hardware, by file name.
        event_log: The log of a TD; empty for none.
        accept: Weaknesses that the policy admits, besides that it is simulated.
        tables: The policy's tables, line by line.
        holds: Until when it can be verified, as a clause.
    """

    name: str
    evidence: bytes = field(repr=False)
    options: tuple[str, ...]
    roots: tuple[bytes, ...] = field(repr=False)
    holds: str
    tables: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    endorsements: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    event_log: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Simulation:
    """How one platform's evidence is made.

    Attributes:
        title: Whose evidence it is, for a sentence.
        attacks: The attacks that can be made.
        make: Makes it. Raises SimulatorError ``simulator.attack.unknown`` for no such attack.
        versions: Versions of the format that can be chosen.
    """

    title: str
    attacks: tuple[Wrong, ...]
    make: Callable[[Order], Made]
    versions: tuple[int, ...] = ()


def platforms() -> tuple[str, ...]:
    """Return every platform whose evidence can be made."""
    return tuple(_MODULES)


def simulation_of(platform: str) -> Simulation:
    """Return how a platform's evidence is made.

    Raises:
        KeyError: It cannot be.
    """
    found: Simulation = import_module(f"{__name__}.{_MODULES[platform]}").simulation(platform)
    return found
