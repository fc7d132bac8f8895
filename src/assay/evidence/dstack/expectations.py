"""Comparison of a dstack guest's Claims with what the caller expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.dstack import checks
from assay.evidence.verification import Unchecked

if TYPE_CHECKING:
    from assay.evidence.dstack.claims import DstackClaims, Expectations
    from assay.evidence.ledger import CheckSpec, LedgerBuilder
    from assay.evidence.verification import Expected

OPEN = "dstack.unchecked"


def check_expectations(ledger: LedgerBuilder, claims: DstackClaims, expected: Expectations) -> None:
    """Record for each expectation whether it holds, or that the caller left it open."""
    _compare(ledger, checks.APP_ID, claims.app_id, expected.app_id)
    _compare(ledger, checks.COMPOSE_EXPECTED, claims.compose_hash, expected.compose_hash)
    _compare(ledger, checks.INSTANCE_ID, claims.instance_id, expected.instance_id)
    _compare(ledger, checks.REPORT_DATA, claims.report_data, expected.report_data)
    _check_key_provider(ledger, claims, expected)
    _check_image(ledger, claims, expected.os_images)


def _compare(ledger: LedgerBuilder, spec: CheckSpec, found: bytes, expected: Expected | Unchecked) -> None:
    if isinstance(expected, Unchecked):
        ledger.not_checked(spec, OPEN, expected.reason)
    elif found == expected.value:
        ledger.passed(spec)
    else:
        ledger.failed(spec, f"{spec.id}.mismatch", f"Refuted: {spec.title}.")


def _check_key_provider(ledger: LedgerBuilder, claims: DstackClaims, expected: Expectations) -> None:
    spec = checks.KEY_PROVIDER
    if isinstance(expected.key_provider, Unchecked):
        ledger.not_checked(spec, OPEN, expected.key_provider.reason)
    elif claims.key_provider == expected.key_provider:
        ledger.passed(spec)
    else:
        ledger.failed(spec, "dstack.key_provider.mismatch", f"Refuted: {spec.title}.")


def _check_image(ledger: LedgerBuilder, claims: DstackClaims, accepted: frozenset[bytes] | Unchecked) -> None:
    spec = checks.IMAGE
    image = claims.image
    if isinstance(accepted, Unchecked):
        ledger.not_checked(spec, OPEN, accepted.reason)
        return
    names = {name for name in (image.os_image_hash, image.key_server_hash) if name is not None}
    if names - accepted:
        ledger.failed(
            spec, "dstack.os_image.mismatch", "The evidence names an image that the caller does not accept."
        )
    elif image.os_image_hash is None:
        ledger.not_checked(
            spec,
            "dstack.os_image.unproven",
            "no measurement document proves which image makes these registers",
        )
    else:
        ledger.passed(spec)
