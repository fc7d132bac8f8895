"""The checks of a Microsoft Azure Attestation token, in the order in which they are made.

MAA is the service's documentation of claim sets.
"""

from __future__ import annotations

from typing import Final

from assay.evidence.jose.token import TokenSpecs
from assay.evidence.ledger import CheckSpec

LAYOUT: Final = CheckSpec(
    "maa.token.layout",
    "the token is three parts of canonical base64url within their bounds",
    "RFC 7515 sections 2 and 7.1",
)
HEADER: Final = CheckSpec(
    "maa.token.header",
    "the header is one object of known members and demands no extension",
    "RFC 7515 sections 4 and 4.1.11",
)
ALGORITHM: Final = CheckSpec(
    "maa.token.algorithm",
    "the algorithm is RS256 and the key is one for it",
    "RFC 8725 section 3.1; MAA, certificates",
)
KEY: Final = CheckSpec(
    "maa.token.key",
    "the key id names exactly one key that the issuer publishes",
    "RFC 7517 section 4.5; MAA, certificates",
)
SIGNATURE: Final = CheckSpec(
    "maa.token.signature", "the key signed header and payload", "RFC 7515 section 5.2"
)
CLAIMS: Final = CheckSpec(
    "maa.token.claims",
    "the payload is one object, no member twice, and each claim is of its kind and size",
    "RFC 7519 section 4; MAA, certificates",
)
ISSUER: Final = CheckSpec(
    "maa.token.issuer",
    "the issuer is exactly the one whose published keys were given",
    "RFC 8725 section 3.8; MAA, certificates",
)
ISSUED: Final = CheckSpec(
    "maa.token.issued",
    "the token was issued, and is valid, no later than now and the skew that the caller allows",
    "RFC 7519 sections 4.1.5 and 4.1.6",
)
EXPIRY: Final = CheckSpec(
    "maa.token.expiry", "the token has an expiry and has not expired", "RFC 7519 section 4.1.4"
)
AGE: Final = CheckSpec(
    "maa.token.age",
    "the token is no older than the caller allows, whatever its expiry",
    "RFC 9711 section 4.2.1: freshness",
)
TYPE: Final = CheckSpec(
    "maa.token.type",
    "the service appraised a TEE of a kind that is known here",
    "MAA claim sets, x-ms-attestation-type and x-ms-isolation-tee",
)
BINDING: Final = CheckSpec(
    "maa.binding",
    "the client's nonce, or what the TEE's report data hold, is the expected value",
    "MAA claim sets, x-ms-runtime.client-payload and report data",
)

TOKEN: Final = TokenSpecs(LAYOUT, HEADER, ALGORITHM, KEY, SIGNATURE, CLAIMS, ISSUER, ISSUED, EXPIRY, AGE)
ALL: Final = (*TOKEN, TYPE, BINDING)
