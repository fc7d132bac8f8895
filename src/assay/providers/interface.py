"""What every provider of machines implements: small, typed, and safe to repeat.

A provider never decides anything about trust. It creates, lists, describes, connects to and destroys
machines; ``leases`` keeps the state and ``evidence`` with ``appraisal`` judge what the machine proves.

Contract (checked for every provider by the conformance suite):

* ``create`` is idempotent under the lease id: called again for the same lease it returns the same machine.
* A definitive refusal raises ``ProviderError``; an answer that leaves open whether a machine exists raises
  ``AmbiguousError``. A time-out, an empty answer and an unknown error are ambiguous.
* ``inventory`` returns every machine that carries one of our tags, or raises ``AmbiguousError``; never a
  part.
* ``destroy`` returns only when the machine is definitively gone; destroying one that is gone succeeds.
* ``GoneError`` is raised only for the provider's own definitive word that the machine does not exist.
* No call blocks longer than the deadline it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal

    from assay.channel.launch import LaunchConfig
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.roots import Roots


class MachineState(StrEnum):
    """What the provider says of a machine."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of machine that can be leased.

    Attributes:
        provider: Name of the provider: ``local``.
        machine: Name of the machine kind at the provider: ``small``.
        platform: The attestation platform that it will prove: ``tdx``.
        price_per_hour: In US dollars; None when it costs nothing.
        simulated: True when its hardware is simulated: a statement for people; trust never rests on it.
        isolation: The rung of isolation of the guest: ``bubblewrap``, ``none``.
    """

    provider: str
    machine: str
    platform: str
    price_per_hour: Decimal | None
    simulated: bool
    isolation: str


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What to create. The lease id is the idempotency token and the tag of every resource.

    Attributes:
        lease: The lease id.
        machine: Name of the machine kind.
        platform: The attestation platform.
        config: The measured launch configuration.
        expires_at: When the provider itself shall end the machine, where it can.
        options: Options of this provider alone, such as ``{"attack": "debug"}`` of ``local``.
    """

    lease: str
    machine: str
    platform: str
    config: LaunchConfig
    expires_at: datetime
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the provider describes it. Nothing here is trusted.

    Attributes:
        id: The provider's own, immutable id.
        lease: The lease id that it is tagged with.
        state: What the provider says it does.
        created_at: When the provider says it was created.
        details: Short facts for people: never secrets.
    """

    id: str
    lease: str
    state: MachineState
    created_at: datetime
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the Relying Party's side knows about a provider's machines, from its own files alone.

    Attributes:
        roots: The anchors in which a chain may end.
        collateral: Endorsements for the platform, or None when they must be found elsewhere.
        references: Reference Values by register: ``{"mr_td": {bytes}, "mr_config_id": {bytes}}``.
        policy: Name of the provider's default appraisal policy.
    """

    roots: Roots
    collateral: Collateral | None
    references: Mapping[str, frozenset[bytes]]
    policy: str


class Provider(ABC):
    """Where machines come from; see the module for the contract.

    Attributes:
        name: Name of the provider.
        settle_seconds: How long after the death of the client that called ``create`` the call may still take
            effect; before that, an inventory without the machine does not prove that there is none.
    """

    name: ClassVar[str]
    settle_seconds: ClassVar[float] = 300.0

    @abstractmethod
    def offers(self) -> tuple[Offer, ...]:
        """Return what can be leased now."""

    @abstractmethod
    def create(self, request: CreateRequest, *, timeout: float) -> Machine:
        """Create the machine of this lease, or return the one that exists."""

    @abstractmethod
    def inventory(self, *, timeout: float) -> tuple[Machine, ...]:
        """Return every machine that carries one of our tags."""

    @abstractmethod
    def describe(self, machine_id: str, *, timeout: float) -> Machine:
        """Return the machine as it is now."""

    @abstractmethod
    def destroy(self, machine_id: str, *, timeout: float) -> None:
        """Destroy the machine; return when it is definitively gone."""

    @abstractmethod
    def connect(self, machine: Machine, *, timeout: float) -> socket.socket:
        """Return a connected stream socket to the guest's agent; nothing about the peer is trusted."""

    @abstractmethod
    def trust(self, request: CreateRequest) -> Trust:
        """Return roots, collateral and Reference Values: computed here, never asked of the machine."""


class SupportsExpiry(ABC):
    """A provider that ends a machine by itself at ``expires_at``, whatever becomes of the client."""

    @abstractmethod
    def expiry(self, machine_id: str, *, timeout: float) -> datetime:
        """Return when the provider will end the machine."""
