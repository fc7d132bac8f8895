"""Verification of a Confidential Space token, OIDC or PKI.

The two differ in what the key rests on. A PKI token shows its chain, which must end in Google's pinned root:
that is hardware evidence by derivation. An OIDC token names a key of a set that Google publishes on a web
server: whoever gave the set vouches for it, and the result says ``published_keys``.

Debug images, overrides, hardware model, support and monitoring are authenticated Claims: whether they are
acceptable is the policy's to say.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from assay.evidence.confidential_space import checks
from assay.evidence.confidential_space.claims import (
    ConfidentialSpaceClaims,
    ContainerClaims,
    GceClaims,
    ImageSignature,
)
from assay.evidence.jose import claims as read
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.outcome import accepted, bind, demand_call, refused
from assay.evidence.jose.token import ChainProfile, Given, Opened, TokenProfile, open_token
from assay.evidence.ledger import Check, CheckFailedError, LedgerBuilder, Outcome
from assay.evidence.verification import Binding, EvidenceResult, Unchecked
from assay.evidence.x509.general import KeyKind
from assay.evidence.x509.path import Position
from assay.evidence.x509.signature import SignatureAlgorithm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.jose import JwksEndorsements, TokenLimits
    from assay.evidence.roots import Roots

PLATFORM: Final = "confidential-space"
ISSUER: Final = "https://confidentialcomputing.googleapis.com"
SOFTWARE: Final = "CONFIDENTIAL_SPACE"
GOOGLE: Final = 11129  # Google's private enterprise number
PRODUCTION: Final = "disabled-since-boot"
MAX_TOKEN_BYTES: Final = 65536
MAX_AUDIENCE_BYTES: Final = 512
MAX_NONCES: Final = 6
NONCE_BYTES: Final = range(8, 89)

_RSA: Final = frozenset({KeyKind.RSA})
_SHA256: Final = frozenset({SignatureAlgorithm.RSA_PKCS1_SHA256})
_NOTHING: Final[dict[str, Any]] = {}
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}").fullmatch
_MOST: Final = read.MAX_ITEMS


def _position(title: str, *, authority: bool) -> Position:
    name = f"Confidential Space {title}"
    # Google's leaf states no key usage; one that were an authority or could sign certificates is refused.
    return Position(name, authority, frozenset({name}), _RSA, _SHA256, usage_required=authority)


_PROFILE: Final = TokenProfile(
    name="confidential-space",
    specs=checks.TOKEN,
    algorithms=frozenset({"RS256"}),
    max_bytes=MAX_TOKEN_BYTES,
    anchor="published keys of Google's attestation service",
    issuers=frozenset({ISSUER}),
    chain=ChainProfile(
        checks.CHAIN,
        "google-confidential-space",
        (
            _position("Leaf Certificate", authority=False),
            _position("Intermediate CA", authority=True),
            _position("Root CA", authority=True),
        ),
    ),
)


def verify_confidential_space(
    evidence: bytes,
    *,
    endorsements: JwksEndorsements | None,
    roots: Roots,
    limits: TokenLimits,
    audience: str | Unchecked,
    now: datetime,
    binding: Binding,
    facts: FactCache,
    crls: tuple[bytes, ...] = (),
) -> EvidenceResult[ConfidentialSpaceClaims]:
    """Verify a token and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: The compact token, ASCII, at most 65,536 bytes.
        endorsements: The key set that Google publishes, for OIDC tokens; PKI tokens need none.
        roots: The roots of trust, for PKI tokens.
        limits: Skew and greatest age.
        audience: The one audience that is accepted, or why it is left to the policy: it is a Claim.
        now: The time of the verification; aware.
        binding: The expected nonce as the token carries it (the bytes of its text), or the caller's word
            that it is not checked.
        facts: Where verified facts are remembered between calls.
        crls: CRLs, DER; those of issuers of a PKI token's chain count. Without one of an issuer revocation
            is not proven, and the Claims say so.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``, ``evidence.call.type`` for a token or an
            expectation that is no ``bytes``, ``evidence.call.nonce`` for an empty one: errors of the caller.
    """
    demand_call(evidence, now, binding)
    ledger = LedgerBuilder(checks.ALL)
    try:
        opened = open_token(ledger, evidence, _PROFILE, Given(endorsements, roots, limits, now, facts, crls))
        claims = _judged(ledger, opened, audience, binding)
    except CheckFailedError:
        return refused(PLATFORM, ledger, _PROFILE, checks.BINDING, evidence, binding)
    return accepted(PLATFORM, ledger, checks.BINDING, opened, claims, binding)


def _judged(
    ledger: LedgerBuilder, opened: Opened, audience: str | Unchecked, binding: Binding
) -> ConfidentialSpaceClaims:
    """Record the format's own checks and return the Claims."""
    _audience(ledger, opened.claims, audience)
    software, oem = opened.claims.get("swname"), opened.claims.get("oemid")
    if software != SOFTWARE or type(oem) is not int or oem != GOOGLE:
        raise ledger.fail(
            checks.SOFTWARE,
            "confidential_space.token.software.other",
            "The token is not of a Confidential Space image: it may be of any machine in the cloud.",
        )
    ledger.passed(checks.SOFTWARE)
    nonces = _nonces(ledger, opened.claims)
    slot = bind(ledger, checks.BINDING, [nonce.encode() for nonce in nonces], binding)
    try:
        claims = _claims(opened, nonces, slot)
    except JoseError as error:
        raise ledger.fail(checks.CLAIMS, f"{checks.CLAIMS.id}.{error.code}", error.message) from None
    ledger.passed(checks.CLAIMS)
    return claims


def _audience(ledger: LedgerBuilder, claims: Mapping[str, Any], expected: str | Unchecked) -> None:
    """Compare the audience. An array is refused: "one of them is ours" says nothing about the others."""
    spec = checks.AUDIENCE
    found = claims.get("aud")
    if type(found) is not str:
        raise ledger.fail(spec, f"{spec.id}.type", "The audience is missing, or not exactly one text.")
    size = len(found) if found.isascii() else len(found.encode("utf-8", "surrogatepass"))
    if size > MAX_AUDIENCE_BYTES:
        raise ledger.fail(
            spec, f"{spec.id}.length", f"The audience is longer than {MAX_AUDIENCE_BYTES} bytes."
        )
    if isinstance(expected, Unchecked):
        reason = f"one text; left to the policy: {expected.reason}"
        ledger.record(Check(spec, Outcome.PASSED, "", reason))
    elif found == expected:
        ledger.passed(spec)
    else:
        raise ledger.fail(spec, f"{spec.id}.mismatch", "The token is for another audience.")


def _nonces(ledger: LedgerBuilder, claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return ``eat_nonce``: a text when one was asked for, an array when several were."""
    spec = checks.NONCES
    found = claims.get("eat_nonce", [])
    many = [found] if type(found) is str else found
    if type(many) is not list or len(many) > MAX_NONCES:
        raise ledger.fail(spec, f"{spec.id}.type", f"There is no nonce or array of at most {MAX_NONCES}.")
    for nonce in many:
        if type(nonce) is not str or not nonce.isascii() or len(nonce) not in NONCE_BYTES:
            raise ledger.fail(spec, f"{spec.id}.length", "A nonce is no ASCII text of 8 to 88 bytes.")
    ledger.passed(spec)
    return tuple(many)


def _claims(opened: Opened, nonces: tuple[str, ...], slot: int | None) -> ConfidentialSpaceClaims:
    claims, named = opened.claims, opened.registered
    get = claims.get
    modules, tdx = get("submods", _NOTHING), get("tdx", _NOTHING)
    if not (type(modules) is type(tdx) is dict) or len(modules) > _MOST or len(tdx) > _MOST:
        raise JoseError("jose.claims", "Claim submods or tdx is no object.")
    space, container = modules.get("confidential_space", _NOTHING), modules.get("container", _NOTHING)
    gce, gpu = modules.get("gce", _NOTHING), modules.get("nvidia_gpu", _NOTHING)
    if not (type(space) is type(container) is type(gce) is type(gpu) is dict) or not (
        len(space) <= _MOST and len(container) <= _MOST and len(gce) <= _MOST and len(gpu) <= _MOST
    ):
        raise JoseError("jose.claims", "A claim of submods is no object.")
    monitoring = space.get("monitoring_enabled", _NOTHING)
    if type(monitoring) is not dict or len(monitoring) > _MOST:
        raise JoseError("jose.claims", "Claim monitoring_enabled is no object.")
    status, hardware, profile = get("dbgstat", ""), get("hwmodel", ""), get("eat_profile", "")
    tcb_status, tcb_date = tdx.get("gcp_attester_tcb_status", ""), tdx.get("gcp_attester_tcb_date", "")
    if not (type(status) is type(hardware) is type(profile) is type(tcb_status) is type(tcb_date) is str):
        raise JoseError("jose.claims", "A claim about machine or platform is no text.")
    if not status or not hardware:
        raise JoseError("jose.claims", "Claim dbgstat or hwmodel is missing.")
    for value in monitoring.values():
        if type(value) is not bool:
            raise JoseError(
                "jose.claims", "Claim monitoring_enabled holds something else than true and false."
            )
    issued_at = read.moment(named.issued_at)
    revocation = opened.signer.revocation
    return ConfidentialSpaceClaims(
        "pki" if opened.signer.via == "x5c" else "oidc",
        named.issuer,
        claims["aud"],
        named.subject,
        issued_at,
        issued_at if named.not_before == named.issued_at else read.moment(named.not_before),
        read.moment(named.expires_at),
        nonces,
        slot,
        status,
        status != PRODUCTION,
        claims["swname"],
        read.texts(claims, "swversion"),
        hardware,
        read.flag(claims, "secboot"),
        claims["oemid"],
        read.texts(claims, "attester_tcb"),
        profile,
        read.texts(space, "support_attributes"),
        MappingProxyType(monitoring),
        _container(container),
        _gce(gce),
        MappingProxyType(gpu) if "nvidia_gpu" in modules else None,
        read.text(gpu, "cc_mode") if "nvidia_gpu" in modules else "",
        tcb_status,
        tcb_date,
        read.texts(claims, "google_service_accounts"),
        MappingProxyType(claims),
        revocation is not None and revocation.complete,
        revocation is not None and revocation.named,
    )


def _gce(found: Mapping[str, Any]) -> GceClaims:
    get = found.get
    zone, project, number = get("zone", ""), get("project_id", ""), get("project_number", "")
    name, instance = get("instance_name", ""), get("instance_id", "")
    if not (type(zone) is type(project) is type(number) is type(name) is type(instance) is str):
        raise JoseError("jose.claims", "A claim of gce is no text.")
    return GceClaims(zone, project, number, name, instance)


def _container(found: Mapping[str, Any]) -> ContainerClaims:
    get = found.get
    reference, digest = get("image_reference", ""), get("image_digest", "")
    image_id, restart_policy = get("image_id", ""), get("restart_policy", "")
    if not (type(reference) is type(digest) is type(image_id) is type(restart_policy) is str):
        raise JoseError("jose.claims", "A claim of the container's image is no text.")
    if not reference or not _DIGEST(digest):
        raise JoseError(
            "jose.claims", "Claim image_digest is no SHA-256 digest, or image_reference is empty."
        )
    return ContainerClaims(
        reference,
        digest,
        image_id,
        restart_policy,
        read.texts(found, "args"),
        read.text_map(found, "env"),
        read.texts(found, "cmd_override"),
        read.text_map(found, "env_override"),
        _signatures(found["image_signatures"]) if "image_signatures" in found else (),
    )


def _signatures(items: Any) -> tuple[ImageSignature, ...]:
    if type(items) is not list or len(items) > _MOST or any(type(item) is not dict for item in items):
        raise JoseError("jose.claims", "Claim image_signatures is no array of signatures.")
    return tuple(
        ImageSignature(read.text(item, "key_id"), read.text(item, "signature_algorithm")) for item in items
    )
