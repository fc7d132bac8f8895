"""The checks of a Confidential Space token, in the order in which they are made.

CS is Google's "Attestation token claims" and "Attestation token validation" for Confidential Space.
"""

from __future__ import annotations

from typing import Final

from assay.evidence.jose.token import ChainSpecs, TokenSpecs
from assay.evidence.ledger import CheckSpec

LAYOUT: Final = CheckSpec(
    "confidential_space.token.layout",
    "the token is three parts of canonical base64url within their bounds",
    "RFC 7515 sections 2 and 7.1",
)
HEADER: Final = CheckSpec(
    "confidential_space.token.header",
    "the header is one object of known members and demands no extension",
    "RFC 7515 sections 4 and 4.1.11",
)
ALGORITHM: Final = CheckSpec(
    "confidential_space.token.algorithm",
    "the algorithm is RS256 and the key is one for it",
    "CS token validation; RFC 8725 section 3.1",
)
KEY: Final = CheckSpec(
    "confidential_space.key.published",
    "the key id names exactly one key that Google publishes",
    "CS OIDC token validation; RFC 7517 section 4.5",
)
CHAIN_LAYOUT: Final = CheckSpec(
    "confidential_space.chain.layout",
    "the header's chain is exactly three strict certificates: leaf, intermediate, root",
    "CS PKI token validation; RFC 7515 section 4.1.6",
)
CHAIN_ROOT: Final = CheckSpec(
    "confidential_space.chain.root",
    "the chain's root is, byte for byte, a root of trust that was given",
    "CS PKI token validation, confidential_space_root.crt",
)
CHAIN_ISSUE: Final = CheckSpec(
    "confidential_space.chain.issue",
    "root signed intermediate and intermediate signed leaf, and each names its issuer",
    "RFC 5280 section 6.1",
)
CHAIN_ROLE: Final = CheckSpec(
    "confidential_space.chain.role",
    "each certificate is what its position needs: name, key, algorithm, constraints, usage",
    "CS PKI token validation; RFC 5280 sections 4.2.1.3 and 4.2.1.9",
)
CHAIN_VALIDITY: Final = CheckSpec(
    "confidential_space.chain.validity",
    "each certificate of the chain is valid at the given time",
    "RFC 5280 section 4.1.2.5",
)
CHAIN_REVOKED: Final = CheckSpec(
    "confidential_space.chain.revoked",
    "no certificate of the chain is on a given CRL of its issuer, signed by it and valid now",
    "RFC 5280 section 6.3; the intermediate's CRL distribution point",
)
SIGNATURE: Final = CheckSpec(
    "confidential_space.token.signature", "the key signed header and payload", "RFC 7515 section 5.2"
)
CLAIMS: Final = CheckSpec(
    "confidential_space.token.claims",
    "the payload is one object, no member twice, and each claim is of its kind and size",
    "CS token claims; RFC 7519 section 4",
)
ISSUER: Final = CheckSpec(
    "confidential_space.token.issuer",
    "the issuer is Google's attestation service and whose published keys were given",
    "CS token claims, iss; RFC 8725 section 3.8",
)
ISSUED: Final = CheckSpec(
    "confidential_space.token.issued",
    "the token was issued, and is valid, no later than now and the skew that the caller allows",
    "RFC 7519 sections 4.1.5 and 4.1.6",
)
EXPIRY: Final = CheckSpec(
    "confidential_space.token.expiry", "the token has an expiry and has not expired", "RFC 7519 section 4.1.4"
)
AGE: Final = CheckSpec(
    "confidential_space.token.age",
    "the token is no older than the caller allows, whatever its expiry",
    "RFC 9711 section 4.2.1: freshness",
)
AUDIENCE: Final = CheckSpec(
    "confidential_space.token.audience",
    "the audience is exactly one text and, where one was expected, that one",
    "CS token claims, aud; RFC 8725 section 3.9",
)
SOFTWARE: Final = CheckSpec(
    "confidential_space.token.software",
    "the machine runs a Confidential Space image of Google's",
    "CS token claims, swname and oemid",
)
NONCES: Final = CheckSpec(
    "confidential_space.token.nonces",
    "there is one nonce or an array of at most six, each of 8 to 88 bytes",
    "CS token claims, eat_nonce; RFC 9711 section 4.1",
)
BINDING: Final = CheckSpec(
    "confidential_space.binding",
    "one of the nonces is the expected one",
    "CS token claims, eat_nonce",
)

TOKEN: Final = TokenSpecs(LAYOUT, HEADER, ALGORITHM, KEY, SIGNATURE, CLAIMS, ISSUER, ISSUED, EXPIRY, AGE)
CHAIN: Final = ChainSpecs(CHAIN_LAYOUT, CHAIN_ROOT, CHAIN_ISSUE, CHAIN_ROLE, CHAIN_VALIDITY, CHAIN_REVOKED)
ALL: Final = (
    LAYOUT,
    HEADER,
    ALGORITHM,
    KEY,
    CHAIN_LAYOUT,
    CHAIN_ROOT,
    CHAIN_ISSUE,
    CHAIN_ROLE,
    CHAIN_VALIDITY,
    CHAIN_REVOKED,
    SIGNATURE,
    CLAIMS,
    ISSUER,
    ISSUED,
    EXPIRY,
    AGE,
    AUDIENCE,
    SOFTWARE,
    NONCES,
    BINDING,
)
