"""What a policy adds to a verification, and what both cost together on a known platform."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assay.appraisal import Context, Policy, appraise
from assay.evidence.dcap import verify_quote
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.intel import Installation
from table import Row, median_of

if TYPE_CHECKING:
    from collections.abc import Iterable

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
POLICY = """
version = 1
platforms = ["tdx"]
simulated = "only"
accept = ["simulated"]
[tcb]
platform = ["UpToDate"]
module = ["UpToDate"]
qe = ["UpToDate"]
[attributes]
debug = false
sept_ve_disable = true
migratable = false
[tdx]
"""
REGISTERS = ("mr_td", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config")


def rows() -> Iterable[Row]:
    installation = Installation(bytes(32))
    report_data = bytes(range(64))
    quote = installation.machine("bench").trust_domain().quote(report_data)
    given: dict[str, Any] = {
        "platform": "tdx",
        "collateral": installation.collateral(AT, platform="tdx"),
        "roots": Roots.vendor().with_anchor(installation.anchor_name, installation.root_der),
        "now": AT,
        "binding": Expected(report_data),
        "facts": FactCache(max_entries=64),
    }
    evidence = verify_quote(quote, **given)
    claims = evidence.claims
    values = [claims.mr_td, *claims.rtmrs, claims.mr_config_id, claims.mr_owner, claims.mr_owner_config]
    assert evidence.anchor is not None
    context = Context(installation_roots=frozenset({evidence.anchor.fingerprint}))
    pinned = POLICY + "\n".join(
        f'{name} = ["{value.hex()}"]' for name, value in zip(REGISTERS, values, strict=True)
    )
    policy = Policy.load(pinned.encode(), name="pinned")

    def appraised() -> None:
        result = appraise(evidence, policy, now=AT, references={}, context=context, workload_log=None)
        assert result.accepted

    def verified() -> None:
        verify_quote(quote, **given)

    def both() -> None:
        found = verify_quote(quote, **given)
        appraise(found, policy, now=AT, references={}, context=context, workload_log=None)

    seconds, samples = median_of(appraised, rounds=31, inner=500)
    checks = len(policy.platforms["tdx"].rules)
    yield Row("appraisal, TDX, every register pinned", seconds, samples, limit=15e-6, note=f"{checks} checks")
    seconds, samples = median_of(verified, rounds=31, inner=50)
    yield Row("TDX evidence, warm", seconds, samples, note="same platform, new signature each time")
    seconds, samples = median_of(both, rounds=31, inner=50)
    yield Row(
        "TDX evidence and appraisal, warm", seconds, samples, against="TDX evidence, warm", at_most=1.25
    )
    result = appraise(evidence, policy, now=AT, references={}, context=context, workload_log=None)
    seconds, samples = median_of(result.to_json, rounds=15, inner=20)
    yield Row("Attestation Result as JSON", seconds, samples)
    seconds, samples = median_of(lambda: Policy.shipped("strict"), rounds=15)
    yield Row("loading a shipped policy", seconds, samples)
