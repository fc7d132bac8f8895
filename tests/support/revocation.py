"""What a check of revocation must say of a chain for which no list of an issuer was given, or some were."""

from __future__ import annotations

from assay.evidence.ledger import Check, Outcome


def demand_said(check: Check, *, lists: int, foreign: bool) -> None:
    """Demand the outcome for so many lists of the chain's issuers, with or without one of somebody else."""
    assert check.outcome is (Outcome.PASSED if lists else Outcome.NOT_APPLICABLE)
    said = "no given CRL is of an issuer of the chain" if foreign else "no CRL was given"
    assert check.reason == ("" if lists else f"{said}: revocation is not proven")
