"""A simulated machine in the hands of a test, and the gate that judges it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assay.appraisal.policy import Policy
from assay.channel import runtime
from assay.channel.binding import Purpose, SessionBinding
from assay.channel.launch import LaunchConfig
from assay.channel.offer import Offered
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.leases.gate import Gate
from assay.providers.interface import Trust
from assay.simulator.intel import Installation

if TYPE_CHECKING:
    from pathlib import Path

AGENT = b"\xa9" * 48
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEASURED_ONLY = b"""
version = 1
name = "measured"
platforms = ["tdx"]
simulated = "only"
accept = ["simulated"]
[tdx]
mr_td = "reference"
"""


@dataclass
class Scene:
    """One installation, one machine, one session.

    Attributes:
        intel: The simulated vendor of this installation.
        config: What the guest is launched with.
        history: What the guest extended into its runtime register.
        debug: Whether the TD is in debug mode.
    """

    intel: Installation
    config: LaunchConfig
    history: tuple[runtime.RuntimeEvent, ...] = ()
    debug: bool = False

    @classmethod
    def at(cls, directory: Path) -> Scene:
        return cls(Installation.create(directory), LaunchConfig("asy-0123456789ab", b"owner", 600, 300))

    def binding(self, **changes: Any) -> SessionBinding:
        made = SessionBinding(
            Purpose.ADMISSION, "guest", "tdx", b"n" * 32, self.config.lease, self.config.owner_key,
            b"channel", b"receipt", b"", b"", b"m" * 32,
        )  # fmt: skip
        return replace(made, **changes)

    def offered(self, binding: SessionBinding, **fields: Any) -> Offered:
        """Return what this machine presents for a binding."""
        platform = self.intel.machine("machine", debug=self.debug)
        values = {"mr_td": AGENT, "mr_config_id": self.config.digest(), **fields}
        domain = platform.trust_domain(**values)
        for event in self.history:
            domain.extend(runtime.REGISTER, event.digest())
        return Offered(
            purpose=binding.purpose.value,
            lease=binding.lease,
            platform="tdx",
            provider="assay_simulator",
            evidence=domain.quote(binding.report_data()),
            auxiliary=b"",
            events=runtime.encode_events(self.history),
            channel_key=binding.channel_key,
            receipt_key=binding.receipt_key,
            proof=b"",
            isolation="bubblewrap",
        )

    def trust(self, **changes: Any) -> Trust:
        made = Trust(
            roots=Roots.vendor().with_anchor(self.intel.anchor_name, self.intel.root_der),
            collateral=self.intel.collateral(NOW, platform="tdx"),
            references={"mr_td": frozenset({AGENT})},
            policy="local",
        )
        return replace(made, **changes)

    def gate(self, policy: bytes | None = None, required: tuple[str, ...] = (), **changes: Any) -> Gate:
        return Gate(
            trust=self.trust(**changes),
            policy=Policy.load(policy, name="test") if policy else Policy.shipped("local"),
            required=required,
            launch=self.config.digest(),
            facts=FactCache(max_entries=16),
        )

    def judge(
        self,
        gate: Gate | None = None,
        *,
        offered: Offered | None = None,
        binding: SessionBinding | None = None,
        history: tuple[runtime.RuntimeEvent, ...] = (),
        now: datetime = NOW,
    ):
        binding = binding or self.binding()
        offered = offered or self.offered(binding)
        gate = gate or self.gate()
        record = gate.record(binding, isolation=offered.isolation, history=history, nonce_made_at=now)
        return gate.judge(offered.evidence, record, now=now)
