"""Quotes of SGX and TDX, from outside, with and without collateral."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from assay.evidence.dcap import Collateral, verify_quote
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.intel import Installation

NOW = datetime(2026, 11, 21, tzinfo=UTC)
INTEL = Installation(b"\x0f" * 32)
FACTS = FactCache(max_entries=64)


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return quotes of every format."""
    machine = INTEL.machine("fuzzed")
    domain, enclave = machine.trust_domain(), machine.enclave()
    return [
        *(domain.quote(bytes(64), version=version) for version in (4, 5)),
        domain.quote(bytes(64), version=5, td15=False),
        *(enclave.quote(bytes(64), version=version) for version in (3, 4, 5)),
        domain.quote(bytes(64)) + bytes(70),
    ]


@cache
def _collateral(platform: str) -> Collateral:
    return INTEL.collateral(NOW, platform="tdx" if platform == "tdx" else "sgx")


@cache
def _roots() -> Roots:
    return Roots.vendor().with_anchor("simulated", INTEL.root_der)


def target(data: bytes) -> None:
    """Verify a quote for both platforms; nothing may be raised, and everything can be shown."""
    for platform in ("tdx", "sgx"):
        for collateral in (None, _collateral(platform)):
            result = verify_quote(
                data,
                platform=platform,
                collateral=collateral,
                roots=_roots(),
                now=NOW,
                binding=Expected(bytes(64)),
                facts=FACTS,
            )
            if collateral is None and result.authentic:
                raise AssertionError("authentic without collateral")
            for check in result.ledger:
                if not check.reason.isprintable() or len(check.reason) > 400:
                    raise AssertionError("a reason that a terminal would obey")
            dict(result.decoded)
            for region in result.unsigned:
                if not 0 <= region.start < max(region.end, 1) <= max(len(data), 1):
                    raise AssertionError("an unsigned region outside the input")
