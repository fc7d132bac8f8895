"""Quotes of Intel TDX and SGX."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from assay.evidence.dcap import verify_quote
from assay.verification.formats import REPORT_DATA_BYTES, Format

if TYPE_CHECKING:
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.verification import EvidenceResult
    from assay.verification.materials import Materials
    from assay.verification.terms import Given


def _verify(
    evidence: bytes, endorsements: Collateral | None, given: Given, *, platform: Literal["tdx", "sgx"]
) -> EvidenceResult[Any]:
    return verify_quote(
        evidence,
        platform=platform,
        collateral=endorsements,
        roots=given.roots,
        now=given.now,
        binding=given.binding,
        facts=given.facts,
    )


def endorse(materials: Materials, first: EvidenceResult[Any], given: Given) -> Collateral | None:
    """Return the bundle of collateral that fits best."""
    from assay.verification.collateral import choose  # noqa: PLC0415 - for those who leave the choice to us

    need = next((need for need in first.needs if need.kind == "collateral"), None)
    found = None if need is None else choose(materials.files, need.key, given.now)
    return None if found is None else found.collateral


FORMATS: Final = {
    "tdx": Format("TDX quote", REPORT_DATA_BYTES, partial(_verify, platform="tdx"), endorse),
    "sgx": Format("SGX quote", REPORT_DATA_BYTES, partial(_verify, platform="sgx"), endorse),
}
