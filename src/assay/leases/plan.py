"""What would be leased, what it may cost, which proof it must give, and what that will not prove."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Any

from assay.appraisal.vocabulary import WEAKNESSES
from assay.evidence import dcap
from assay.leases import gate

if TYPE_CHECKING:
    from assay.appraisal.policy import Policy
    from assay.leases.states import Keep
    from assay.leases.sync import Source
    from assay.leases.terms import Terms
    from assay.providers.interface import Offer
    from assay.settings.resolve import Settings

_CENT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before a machine is created.

    Attributes:
        offer: The machine kind.
        terms: Its limits.
        keep: Whether it outlives the workload.
        policy: What admits it.
        required: Further checks that must have passed.
        source: Where the files come from.
        files: How many entries are sent.
        size: How many bytes are in them.
        environment: Names of the variables that are sent.
        outputs: Paths that are wanted back.
        attack: The attack that the local host is asked to play; empty for none.
        settings: The settings that it follows from.
    """

    offer: Offer
    terms: Terms
    keep: Keep
    policy: Policy
    required: tuple[str, ...]
    source: Source
    files: int
    size: int
    environment: tuple[str, ...]
    outputs: tuple[str, ...]
    attack: str
    settings: Settings

    @property
    def most_dollars(self) -> Decimal | None:
        """The most that the lease can cost; None when it costs nothing."""
        price = self.offer.price_per_hour
        if price is None:
            return None
        return (price * self.terms.ttl_seconds / 3600).quantize(_CENT, rounding=ROUND_UP)

    def checks(self) -> tuple[tuple[str, str], ...]:
        """Return id and title of every check that the machine must pass, in the order of the ledger."""
        platform = self.offer.platform
        specs = [*(dcap.SGX_CHECKS if platform == "sgx" else dcap.TDX_CHECKS), self.policy.platform_check]
        for part in (self.policy, *self.policy.also):
            compiled = part.platforms.get(platform)
            specs += [check.spec for check in compiled.unreached] if compiled else []
        return tuple((spec.id, spec.title) for spec in (*specs, *gate.CHECKS))

    def not_proven(self) -> tuple[str, ...]:
        """Return what the proof will leave open, even when every check passes."""
        admitted = [WEAKNESSES[word].meaning for word in self.policy.document.accept or ()]
        return (
            *admitted,
            "That the workload itself does what you mean it to do.",
            "Vulnerabilities that become known after the collateral was issued.",
            "That nobody taps the memory bus: physical interposers leave no trace in evidence.",
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-ready values."""
        most = self.most_dollars
        price = self.offer.price_per_hour
        return {
            "on": f"{self.offer.provider}:{self.offer.machine}/{self.offer.platform}",
            "simulated": self.offer.simulated,
            "isolation": self.offer.isolation,
            "price_per_hour": None if price is None else str(price),
            "most_dollars": None if most is None else str(most),
            "ttl_seconds": self.terms.ttl_seconds,
            "idle_seconds": self.terms.idle_seconds,
            "time_limit_seconds": self.terms.limits.time_seconds,
            "keep": self.keep.value,
            "policy": {"name": self.policy.name, "sha256": self.policy.digest.hex()},
            "required_checks": list(self.required),
            "checks": [{"id": check_id, "title": title} for check_id, title in self.checks()],
            "not_proven": list(self.not_proven()),
            "files": self.files,
            "bytes": self.size,
            "root": None if self.source.root is None else str(self.source.root),
            "environment": list(self.environment),
            "outputs": list(self.outputs),
            "attack": self.attack or None,
            "settings": self.settings.to_json(),
        }
