"""The checks of an Intel Trust Authority token, in the order in which they are made.

ITA is Intel Trust Authority's documentation of attestation tokens.
"""

from __future__ import annotations

from typing import Final

from assay.evidence.jose.token import TokenSpecs
from assay.evidence.ledger import CheckSpec

LAYOUT: Final = CheckSpec(
    "trust_authority.token.layout",
    "the token is three parts of canonical base64url within their bounds",
    "RFC 7515 sections 2 and 7.1",
)
HEADER: Final = CheckSpec(
    "trust_authority.token.header",
    "the header is one object of known members and demands no extension",
    "RFC 7515 sections 4 and 4.1.11",
)
ALGORITHM: Final = CheckSpec(
    "trust_authority.token.algorithm",
    "the algorithm is PS384 or RS256 and the key is one for it",
    "RFC 8725 section 3.1; ITA, attestation tokens",
)
KEY: Final = CheckSpec(
    "trust_authority.token.key",
    "the key id names exactly one key that the issuer publishes",
    "RFC 7517 section 4.5; ITA, attestation tokens",
)
SIGNATURE: Final = CheckSpec(
    "trust_authority.token.signature", "the key signed header and payload", "RFC 7515 section 5.2"
)
CLAIMS: Final = CheckSpec(
    "trust_authority.token.claims",
    "the payload is one object, no member twice, and each claim is of its kind and size",
    "RFC 7519 section 4; ITA, attestation tokens",
)
ISSUER: Final = CheckSpec(
    "trust_authority.token.issuer",
    "the issuer is exactly the one whose published keys were given",
    "RFC 8725 section 3.8; ITA, attestation tokens",
)
ISSUED: Final = CheckSpec(
    "trust_authority.token.issued",
    "the token was issued, and is valid, no later than now and the skew that the caller allows",
    "RFC 7519 sections 4.1.5 and 4.1.6",
)
EXPIRY: Final = CheckSpec(
    "trust_authority.token.expiry", "the token has an expiry and has not expired", "RFC 7519 section 4.1.4"
)
AGE: Final = CheckSpec(
    "trust_authority.token.age",
    "the token is no older than the caller allows, whatever its expiry",
    "RFC 9711 section 4.2.1: freshness",
)
TYPE: Final = CheckSpec(
    "trust_authority.token.type",
    "the service appraised a TEE of a kind that is known here",
    "ITA, attester_type",
)
REPORT_DATA: Final = CheckSpec(
    "trust_authority.report_data",
    "the report data are the hash of the service's nonce and the held data",
    "ITA, verifier_nonce and attester_held_data",
)
BINDING: Final = CheckSpec(
    "trust_authority.binding",
    "the held data, or the report data where nothing is held, are the expected value",
    "ITA, attester_held_data",
)

TOKEN: Final = TokenSpecs(LAYOUT, HEADER, ALGORITHM, KEY, SIGNATURE, CLAIMS, ISSUER, ISSUED, EXPIRY, AGE)
ALL: Final = (*TOKEN, TYPE, REPORT_DATA, BINDING)
