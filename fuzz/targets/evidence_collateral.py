"""Collateral bundles from outside, read and then verified."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.errors import EndorsementError
from assay.evidence.dcap.chains import Trust
from assay.evidence.dcap.collateral import Collateral
from assay.evidence.dcap.endorsed import verify_collateral
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.simulator.intel import Installation

NOW = datetime(2026, 11, 21, tzinfo=UTC)
INTEL = Installation(b"\x0f" * 32)
TRUST = Trust(
    Roots.vendor().with_anchor("simulated", INTEL.root_der).intel[-1], {}, NOW, FactCache(max_entries=64)
)


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return bundles of both kinds."""
    return [INTEL.collateral(NOW, platform=kind).to_bundle_json() for kind in ("tdx", "sgx")]


def target(data: bytes) -> None:
    """Read a bundle; one that can be read is written and read again, and verified."""
    try:
        collateral = Collateral.from_bundle_json(data)
    except EndorsementError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
        return
    if Collateral.from_bundle_json(collateral.to_bundle_json()) != collateral:
        raise AssertionError("a bundle is not read as it was written")
    for platform in ("tdx", "sgx"):
        ledger, _ = verify_collateral(collateral, platform, TRUST)
        if not all(check.reason.isprintable() for check in ledger):
            raise AssertionError("a reason that a terminal would obey")
