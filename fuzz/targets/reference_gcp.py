"""Google's endorsements of firmware: both messages, signed or not."""

from __future__ import annotations

from assay.errors import ReferenceValueError
from assay.reference.gcp import verify_endorsement
from support.reference_gcp import NOW, endorsement, golden, root

SEEDS = [endorsement(golden()), golden()]


def target(data: bytes) -> None:
    """Take the input as an endorsement, and as an inner message that is signed."""
    for work in (
        lambda: verify_endorsement(data, root(), now=NOW),
        lambda: verify_endorsement(endorsement(data), root(), now=NOW),
    ):
        try:
            work()
        except ReferenceValueError:
            continue
