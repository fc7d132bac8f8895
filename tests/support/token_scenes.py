"""Simulated tokens with one defect each, signed all the same."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.evidence.confidential_space import verify_confidential_space
from assay.evidence.facts import FactCache
from assay.evidence.jose import JwksEndorsements, TokenLimits
from assay.evidence.jose.base64url import encode
from assay.evidence.ledger import Outcome
from assay.evidence.maa import verify_maa
from assay.evidence.nras import verify_nras
from assay.evidence.roots import Roots
from assay.evidence.trust_authority import verify_trust_authority
from assay.evidence.verification import Binding, EvidenceResult, Expected, Unchecked
from assay.simulator.tokens import ServiceKeys, TokenDraft, TokenServices
from assay.simulator.tokens.nras import NrasDraft
from assay.simulator.tokens.signing import jwk, key_id, key_set

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMITS = TokenLimits(timedelta(seconds=60), timedelta(minutes=10))
AUDIENCE = "https://assay.example"
NONCE = b"n" * 43
VENDOR = "google-confidential-space"


@cache
def services() -> TokenServices:
    """Return services whose keys are made once for each process."""
    return TokenServices(ServiceKeys(bytes(32), None, 2048))


@cache
def stranger() -> rsa.RSAPrivateKey:
    """Return a key that nobody vouches for."""
    return rsa.generate_private_key(65537, 2048)


@cache
def stranger_p256() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(7, ec.SECP256R1())


@cache
def stranger_p384() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(7, ec.SECP384R1())


@cache
def roots() -> Roots:
    return Roots.vendor().with_anchor("simulated", services().root.der, vendor=VENDOR)


def unchanged(token: bytes) -> bytes:
    return token


@dataclass
class Scene:
    """A token and what it is verified with; a defect changes one thing.

    Attributes:
        service: Whose token.
        draft: The token that common defects change: of NRAS, the overall or a device's.
        sign: Makes the evidence.
    """

    service: str
    draft: TokenDraft
    sign: Callable[[], bytes]
    whole: TokenDraft | NrasDraft
    endorsements: JwksEndorsements | None
    binding: Binding
    now: datetime = NOW
    limits: TokenLimits = LIMITS
    audience: str | Unchecked = AUDIENCE
    roots: Roots = field(default_factory=roots)
    facts: FactCache = field(default_factory=FactCache)
    after: Callable[[bytes], bytes] = unchanged

    def finish(self) -> EvidenceResult[Any]:
        """Sign, alter and verify."""
        return self.judge(self.evidence())

    def evidence(self) -> bytes:
        return self.sign() if isinstance(self.whole, NrasDraft) else self.after(self.sign())

    def judge(self, evidence: bytes) -> EvidenceResult[Any]:
        given: dict[str, Any] = {
            "endorsements": self.endorsements,
            "roots": self.roots,
            "limits": self.limits,
            "now": self.now,
            "binding": self.binding,
            "facts": self.facts,
        }
        match self.service:
            case "confidential-space":
                return verify_confidential_space(evidence, audience=self.audience, **given)
            case "maa":
                return verify_maa(evidence, **given)
            case "trust-authority":
                return verify_trust_authority(evidence, **given)
            case _:
                return verify_nras(evidence, **given)


class AlteredDraft(TokenDraft):
    """A draft of one of several tokens, whose bytes are altered after it is signed."""

    scene: Scene

    def sign(self) -> bytes:
        return self.scene.after(TokenDraft.sign(self))


def scene(service: str, kind: str = "", **given: Any) -> Scene:
    """Return a scene in which nothing is wrong.

    Args:
        service: Whose token.
        kind: ``pki`` for Confidential Space; ``device`` for common defects of NRAS's device tokens.
        **given: For the issuing service.
    """
    issuer = services()
    if service == "confidential-space":
        given = {"nonces": [NONCE.decode()], "audience": AUDIENCE, "kind": kind or "oidc"} | given
        draft = issuer.confidential_space(NOW, **given)
    elif service == "maa":
        draft = issuer.maa(NOW, **({"nonce": NONCE} | given))
    elif service == "trust-authority":
        draft = issuer.trust_authority(NOW, **({"held": NONCE} | given))
    else:
        return _nras_scene(kind, given)
    endorsements = None if kind == "pki" else issuer.endorsements(service)
    return Scene(service, draft, draft.sign, draft, endorsements, Expected(NONCE))


def _nras_scene(kind: str, given: dict[str, Any]) -> Scene:
    whole = services().nras(NOW, **({"nonce": NONCE, "devices": 2} | given))
    plain = whole.devices["GPU-1"] if kind == "device" else whole.overall
    draft = AlteredDraft(plain.header, plain.claims, plain.key, plain.algorithm)
    if kind == "device":
        whole.devices["GPU-1"] = draft
    else:
        whole.overall = draft
    endorsements = services().endorsements("nras")
    found = Scene("nras", draft, whole.sign, whole, endorsements, Expected(NONCE))
    draft.scene = found
    return found


# --- Defects that every token format must refuse


def two_parts(stage):
    stage.after = lambda token: token.rpartition(b".")[0]


def four_parts(stage):
    stage.after = lambda token: token + b".AAAA"


def padded(stage):
    stage.after = lambda token: token + b"="


def another_alphabet(stage):
    stage.after = lambda token: token.rpartition(b".")[0] + b".++//"


def bits_behind_the_last_byte(stage):
    """The same signature bytes in another text: one value must have one text."""

    def change(token):
        signed, _, _ = token.rpartition(b".")
        return signed + b".AAB"

    stage.after = change


def line_end_behind(stage):
    stage.after = lambda token: token + b"\n"


def oversized(stage):
    stage.draft.claims["padding"] = "x" * 70000


def demands_an_extension(stage):
    stage.draft.header["crit"] = ["exp"]


def unencoded_payload(stage):
    stage.draft.header["b64"] = False


def brings_its_own_key(stage):
    """The key of the header verifies the signature: whoever signs chooses it."""
    key = stranger()
    stage.draft.key, stage.draft.algorithm = key, "RS256"
    stage.draft.header |= {"alg": "RS256", "kid": "own", "jwk": jwk(key, "RS256", "own")}


def names_its_algorithm_twice(stage):
    text = json.dumps(stage.draft.header)
    stage.draft.raw_header = b'{"alg":"none",' + text[1:].encode()


def header_is_an_array(stage):
    stage.draft.raw_header = b"[]"


def is_no_jwt(stage):
    stage.draft.header["typ"] = "logout+jwt"


def no_algorithm(stage):
    del stage.draft.header["alg"]


def empty_key_id(stage):
    stage.draft.header["kid"] = ""


def algorithm_none(stage):
    stage.draft.header["alg"] = "none"
    stage.after = lambda token: token.rpartition(b".")[0] + b"."


def public_key_as_hmac_secret(stage):
    """The classic confusion: HS256 with the published key's text as the secret."""
    stage.draft.header["alg"] = "HS256"
    key = services().key(stage.service).public_key()
    secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def change(token):
        signed, _, _ = token.rpartition(b".")
        return signed + b"." + encode(hmac.digest(secret, signed, "sha256"))

    stage.after = change


def algorithm_of_another_kind(stage):
    key = stranger_p256()
    _publish(stage, jwk(key, "ES256", "mine"))
    stage.draft.key, stage.draft.algorithm = key, "ES256"
    stage.draft.header |= {"alg": "ES256", "kid": "mine"}


def key_published_for_another_algorithm(stage):
    key = stage.draft.key
    _publish(stage, jwk(key, "other", "mine") | {"alg": "PS256"})
    stage.draft.header["kid"] = "mine"


def unknown_key_id(stage):
    """The signature is right and the set has one key only: the id must match all the same."""
    stage.draft.header["kid"] += "0"


def no_key_id(stage):
    del stage.draft.header["kid"]


def weak_key(stage):
    entry = jwk(services().key("maa"), "RS256", stage.draft.header["kid"])
    stage.endorsements = JwksEndorsements(
        key_set([entry | {"n": encode(((1 << 1023) + 1).to_bytes(128, "big")).decode()}]),
        stage.endorsements.issuer,
    )


def private_key_published(stage):
    entries = json.loads(stage.endorsements.jwks)["keys"]
    entries[0]["d"] = "AQAB"
    stage.endorsements = JwksEndorsements(key_set(entries), stage.endorsements.issuer)


def one_id_for_two_keys(stage):
    entries = json.loads(stage.endorsements.jwks)["keys"]
    entries.append(jwk(stranger(), "RS256", stage.draft.header["kid"]))
    stage.endorsements = JwksEndorsements(key_set(entries), stage.endorsements.issuer)


def no_key_set(stage):
    stage.endorsements = JwksEndorsements(b"<html>", stage.endorsements.issuer)


def signed_by_a_stranger(stage):
    stage.draft.key = stranger_p384() if stage.service == "nras" else stranger()


def claims_changed(stage):
    def change(token):
        head, payload, signature = token.split(b".")
        return b".".join((head, payload[:-8] + b"AAAAAAAA", signature))

    stage.after = change


def claims_are_an_array(stage):
    stage.draft.raw_claims = b"[]"


def says_it_twice(stage):
    stage.draft.raw_claims = b'{"exp":1,' + json.dumps(stage.draft.claims)[1:].encode()


def not_a_number(stage):
    text = json.dumps(stage.draft.claims)
    stage.draft.raw_claims = b'{"x":NaN,' + text[1:].encode()


def no_expiry(stage):
    del stage.draft.claims["exp"]


def expiry_is_true(stage):
    stage.draft.claims["exp"] = True


def no_issue_time(stage):
    del stage.draft.claims["iat"]


def no_issuer(stage):
    del stage.draft.claims["iss"]


def issuer_is_another(stage):
    stage.draft.claims["iss"] += "/"


def keys_of_another_issuer(stage):
    stage.endorsements = JwksEndorsements(stage.endorsements.jwks, "https://another.example")


def issued_in_the_future(stage):
    stage.draft.claims["iat"] += 61


def not_valid_yet(stage):
    stage.draft.claims["nbf"] += 61


def has_expired(stage):
    stage.draft.claims["exp"] = stage.draft.claims["iat"]
    stage.draft.claims |= {"iat": stage.draft.claims["iat"] - 60, "nbf": stage.draft.claims["iat"] - 60}


def ends_before_it_begins(stage):
    """Expiry before issue, both around now: a verifier that swaps the two comparisons accepts it."""
    at = stage.draft.claims["iat"]
    stage.draft.claims |= {"iat": at + 30, "nbf": at + 30, "exp": at + 20}


def is_old(stage):
    at = stage.draft.claims["iat"] - 601
    stage.draft.claims |= {"iat": at, "nbf": at}


def _publish(stage, entry):
    entries = json.loads(stage.endorsements.jwks)["keys"]
    stage.endorsements = JwksEndorsements(key_set([*entries, entry]), stage.endorsements.issuer)


# --- Judging


def refused_by(result: EvidenceResult[Any]) -> list[tuple[str, str]]:
    """Return id and code of what failed."""
    return [(check.id, check.code) for check in result.ledger.failed()]


def assert_refused(result: EvidenceResult[Any], code: str) -> None:
    """Demand that one check alone refuses, under this code, and that nothing can be read from the result."""
    failed = result.ledger.failed()
    assert [check.code for check in failed] == [code]
    assert code == failed[0].id or code.startswith(failed[0].id + ".")
    assert failed[0].reason
    assert not result.authentic
    assert not result.bound
    passed = {check.id for check in result.ledger if check.outcome is Outcome.PASSED}
    assert failed[0].id not in passed


__all__ = [name for name in globals() if not name.startswith("__")] + ["key_id"]
