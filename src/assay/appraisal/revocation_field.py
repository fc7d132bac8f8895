"""``revocation`` in the tables of platforms whose keys an authority certifies that may withdraw them."""

from __future__ import annotations

from typing import Final

from assay.appraisal.fields import Choice, Key

NAMED: Final = "named"
EVERY_ISSUER: Final = "every-issuer"
REVOCATION: Final = Key(
    Choice((NAMED, EVERY_ISSUER)),
    "Which lists of revoked certificates must have been looked at: named, those that the certificates of the"
    " chain name, be it none; every-issuer, one of each authority, whether a certificate names it or not.",
)
