"""Tokens, key sets and answers of token services: bytes from outside, under keys of a simulated service."""

from __future__ import annotations

import contextlib
import functools
from datetime import UTC, datetime, timedelta
from typing import Any

from assay.errors import AssayError
from assay.evidence.confidential_space import verify_confidential_space
from assay.evidence.facts import FactCache
from assay.evidence.jose import TokenLimits
from assay.evidence.jose.jws import read_claims, read_header, split
from assay.evidence.jose.keys import parse_jwks
from assay.evidence.maa import verify_maa
from assay.evidence.nras import verify_nras
from assay.evidence.roots import Roots
from assay.evidence.trust_authority import verify_trust_authority
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.tokens import ServiceKeys, TokenServices

AT = datetime(2026, 11, 21, tzinfo=UTC)
NONCE = b"n" * 43


@functools.cache
def services() -> TokenServices:
    return TokenServices(ServiceKeys(b"\x0f" * 32, None, 2048))


@functools.cache
def given() -> dict[str, Any]:
    return {
        "roots": Roots.vendor().with_anchor("fuzz", services().root.der, vendor="google-confidential-space"),
        "limits": TokenLimits(timedelta(seconds=60), timedelta(hours=1)),
        "now": AT,
        "binding": Expected(NONCE),
    }


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return a token of each service, an answer of two devices, and the key sets."""
    issuer = services()
    wrapped = issuer.nras(AT, nonce=NONCE, devices=2)
    wrapped.wrapped = True
    return [
        issuer.confidential_space(AT, nonces=[NONCE.decode()]).sign(),
        issuer.confidential_space(AT, nonces=[NONCE.decode(), "m" * 9], kind="pki").sign(),
        issuer.confidential_space(AT, kind="pki", pem=True).sign(),
        issuer.maa(AT, nonce=NONCE).sign(),
        issuer.maa(AT, report_data=bytes(64)).sign(),
        issuer.trust_authority(AT, held=NONCE).sign(),
        issuer.trust_authority(AT, held=NONCE, version=2).sign(),
        issuer.nras(AT, nonce=NONCE).sign(),
        wrapped.sign(),
        issuer.key_set("confidential-space"),
        issuer.key_set("nras"),
    ]


def target(data: bytes) -> None:
    """Verify the data as every kind of token, and with its own claims signed by the right key."""
    with contextlib.suppress(AssayError):
        parse_jwks(data)
    issuer, facts = services(), FactCache()
    published = {
        name: issuer.endorsements(name) for name in ("confidential-space", "maa", "trust-authority", "nras")
    }
    audience = Unchecked("fuzzing")

    def judge(token: bytes) -> None:
        for result in (
            verify_confidential_space(
                token, endorsements=published["confidential-space"], audience=audience, facts=facts, **given()
            ),
            verify_confidential_space(token, endorsements=None, audience=audience, facts=facts, **given()),
            verify_maa(token, endorsements=published["maa"], facts=facts, **given()),
            verify_trust_authority(token, endorsements=published["trust-authority"], facts=facts, **given()),
            verify_nras(token, endorsements=published["nras"], facts=facts, **given()),
        ):
            if not result.authentic and not result.ledger.unmet():
                raise AssertionError("refused by no check")

    judge(data)
    try:
        jws = split(data)
        header, claims = read_header(jws.head), read_claims(jws.payload)
    except AssayError:
        return
    # What a hostile or broken issuer could say: the same claims, rightly signed.
    for service in ("confidential-space", "maa", "trust-authority"):
        draft = issuer.draft(service, claims)
        draft.raw_claims = jws.payload
        judge(draft.sign())
    del header
