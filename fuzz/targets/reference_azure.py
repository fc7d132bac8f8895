"""Microsoft's endorsements: the message, and a payload that is signed."""

from __future__ import annotations

from assay.errors import ReferenceValueError
from assay.reference.azure import verify_endorsement
from support.reference_azure import FEED, NOW, endorsement, issuer, payload

SEEDS = [endorsement(), payload()]
TRUSTED = issuer()


def target(data: bytes) -> None:
    """Take the input as either."""
    for message in (data, endorsement(data)):
        try:
            verify_endorsement(message, issuer=TRUSTED, feed=FEED, minimum_svn=0, now=NOW)
        except ReferenceValueError:
            continue
