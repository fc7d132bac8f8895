"""The checks of an answer of NVIDIA's Remote Attestation Service, in the order in which they are made.

NRAS is the service's documentation of its tokens: one for all devices, and one for each.
"""

from __future__ import annotations

from typing import Final

from assay.evidence.jose.token import TokenSpecs
from assay.evidence.ledger import CheckSpec

BUNDLE: Final = CheckSpec(
    "nras.bundle.layout",
    "the answer is one overall token and at most 32 tokens of devices",
    "NRAS, detached EAT bundle; RFC 9711 section 5",
)
LAYOUT: Final = CheckSpec(
    "nras.token.layout",
    "the overall token is three parts of canonical base64url within their bounds",
    "RFC 7515 sections 2 and 7.1",
)
HEADER: Final = CheckSpec(
    "nras.token.header",
    "the header of the overall token is one object of known members and demands no extension",
    "RFC 7515 sections 4 and 4.1.11",
)
ALGORITHM: Final = CheckSpec(
    "nras.token.algorithm",
    "the algorithm of the overall token is ES384 and the key is one for it",
    "RFC 8725 section 3.1; NRAS, claims",
)
KEY: Final = CheckSpec(
    "nras.token.key",
    "the key id of the overall token names exactly one key that the issuer publishes",
    "RFC 7517 section 4.5; NRAS, claims",
)
SIGNATURE: Final = CheckSpec(
    "nras.token.signature", "the key signed header and payload", "RFC 7515 section 5.2"
)
CLAIMS: Final = CheckSpec(
    "nras.token.claims",
    "the payload of the overall token is one object, no member twice, and each claim is of its kind and size",
    "RFC 7519 section 4; NRAS, claims",
)
ISSUER: Final = CheckSpec(
    "nras.token.issuer",
    "the issuer of the overall token is exactly the one whose published keys were given",
    "RFC 8725 section 3.8; NRAS, claims",
)
ISSUED: Final = CheckSpec(
    "nras.token.issued",
    "the overall token was issued, and is valid, no later than now and the skew that the caller allows",
    "RFC 7519 sections 4.1.5 and 4.1.6",
)
EXPIRY: Final = CheckSpec(
    "nras.token.expiry", "the overall token has an expiry and has not expired", "RFC 7519 section 4.1.4"
)
AGE: Final = CheckSpec(
    "nras.token.age",
    "the overall token is no older than the caller allows, whatever its expiry",
    "RFC 9711 section 4.2.1: freshness",
)
SUBMODS: Final = CheckSpec(
    "nras.token.submods",
    "the overall token holds the digest of each device's token, and of no other",
    "RFC 9711 section 4.2.18.2: detached submodule digest",
)
DEVICE_LAYOUT: Final = CheckSpec(
    "nras.device.layout",
    "each device's token is three parts of canonical base64url within their bounds",
    "RFC 7515 sections 2 and 7.1",
)
DEVICE_HEADER: Final = CheckSpec(
    "nras.device.header",
    "the header of each device's token is one object of known members and demands no extension",
    "RFC 7515 sections 4 and 4.1.11",
)
DEVICE_ALGORITHM: Final = CheckSpec(
    "nras.device.algorithm",
    "the algorithm of each device's token is ES384 and the key is one for it",
    "RFC 8725 section 3.1; NRAS, claims",
)
DEVICE_KEY: Final = CheckSpec(
    "nras.device.key",
    "the key id of each device's token names exactly one key that the issuer publishes",
    "RFC 7517 section 4.5; NRAS, claims",
)
DEVICE_SIGNATURE: Final = CheckSpec(
    "nras.device.signature",
    "the key signed header and payload of each device's token",
    "RFC 7515 section 5.2",
)
DEVICE_CLAIMS: Final = CheckSpec(
    "nras.device.claims",
    "each device's payload is one object, no member twice, and each claim is of its kind and size",
    "RFC 7519 section 4; NRAS, claims",
)
DEVICE_ISSUER: Final = CheckSpec(
    "nras.device.issuer",
    "the issuer of each device's token is exactly the one whose published keys were given",
    "RFC 8725 section 3.8; NRAS, claims",
)
DEVICE_ISSUED: Final = CheckSpec(
    "nras.device.issued",
    "each device's token was issued, and is valid, no later than now and the skew allowed",
    "RFC 7519 sections 4.1.5 and 4.1.6",
)
DEVICE_EXPIRY: Final = CheckSpec(
    "nras.device.expiry", "each device's token has an expiry and has not expired", "RFC 7519 section 4.1.4"
)
DEVICE_AGE: Final = CheckSpec(
    "nras.device.age",
    "each device's token is no older than the caller allows, whatever its expiry",
    "RFC 9711 section 4.2.1: freshness",
)
NONCES: Final = CheckSpec(
    "nras.device.nonce",
    "each device answered the nonce of the overall token",
    "NRAS, eat_nonce",
)
RESULT: Final = CheckSpec(
    "nras.token.result",
    "the service's overall result is true, and each device's measurements matched",
    "NRAS, x-nvidia-overall-att-result; RFC 9711 section 4.2.17: measres",
)
BINDING: Final = CheckSpec("nras.binding", "the nonce is the expected one", "NRAS, eat_nonce")

TOKEN: Final = TokenSpecs(LAYOUT, HEADER, ALGORITHM, KEY, SIGNATURE, CLAIMS, ISSUER, ISSUED, EXPIRY, AGE)
DEVICE: Final = TokenSpecs(
    DEVICE_LAYOUT,
    DEVICE_HEADER,
    DEVICE_ALGORITHM,
    DEVICE_KEY,
    DEVICE_SIGNATURE,
    DEVICE_CLAIMS,
    DEVICE_ISSUER,
    DEVICE_ISSUED,
    DEVICE_EXPIRY,
    DEVICE_AGE,
)
ALL: Final = (BUNDLE, *TOKEN, SUBMODS, *DEVICE, NONCES, RESULT, BINDING)
