"""Whole evidence of a TPM, through the verifier: it never raises, and its ledger is always whole."""

from __future__ import annotations

from assay.evidence.tpm.checks import CHECKS
from assay.simulator.tpm.device import public_area
from support.tpm_scenes import draft, judge, keys

SEEDS = [draft().encode(), draft(certified=True).encode(), b'{"ak_public":"","tpm_quote":{}}']
KEY = public_area(keys("ak"))


def target(data: bytes) -> None:
    """Verify; what is accepted has claims."""
    result = judge(data, given=KEY)
    if len(result.ledger) != len(CHECKS):
        raise RuntimeError("a check is missing from the ledger")
    if result.authentic:
        _ = result.claims
