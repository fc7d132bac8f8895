"""One token against its issuer's key: the steps that every token format shares, as the format's own checks.

The order is the order of trust. The three parts are taken apart and the header is read; the header chooses
among keys that the caller gave, or shows a chain that must end in a pinned root; the signature is checked
over the bytes of the token; only then the claims are read, and compared with issuer and time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from assay.evidence.decoding.der import DerError
from assay.evidence.facts import ALWAYS, digest_of
from assay.evidence.jose.algorithms import ALGORITHMS, Algorithm, verify_fitting
from assay.evidence.jose.claims import Registered, TokenLimits, registered
from assay.evidence.jose.errors import JoseError
from assay.evidence.jose.jws import CompactJws, read_claims, read_header, split
from assay.evidence.jose.keys import JwksEndorsements, VerificationKey, certified_key, parse_jwks
from assay.evidence.jose.x5c import certificate_of, ders_of
from assay.evidence.ledger import Check, CheckFailedError, CheckSpec, LedgerBuilder, Outcome
from assay.evidence.verification import Anchor
from assay.evidence.x509.path import DefectKind, PathDefect, Position, verify_path
from assay.evidence.x509.revoked import Revocation, judge_lists

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.roots import Roots
    from assay.evidence.x509.signature import PublicKey

_SHA256: Final = "sha256"
SIGNERS: Final = "jose.signers"
KEY_SETS: Final = "jose.key_sets"


class TokenSpecs(NamedTuple):
    """The checks of a format for the steps that are the same in all of them, in their order."""

    layout: CheckSpec
    header: CheckSpec
    algorithm: CheckSpec
    key: CheckSpec
    signature: CheckSpec
    claims: CheckSpec
    issuer: CheckSpec
    issued: CheckSpec
    expiry: CheckSpec
    age: CheckSpec


class ChainSpecs(NamedTuple):
    """The checks of a chain in the header, in their order."""

    layout: CheckSpec
    root: CheckSpec
    issue: CheckSpec
    role: CheckSpec
    validity: CheckSpec
    revoked: CheckSpec


@dataclass(frozen=True, slots=True)
class ChainProfile:
    """How a format's chain must look.

    Attributes:
        specs: Its checks.
        vendor: The family of roots that it may end in.
        positions: What stands where, leaf first.
    """

    specs: ChainSpecs
    vendor: str
    positions: tuple[Position, ...]


@dataclass(frozen=True, slots=True)
class TokenProfile:
    """What is accepted from one kind of issuer.

    Attributes:
        name: Short name: prefix of keys in caches.
        specs: The checks.
        algorithms: The only ``alg`` values that are accepted.
        max_bytes: The longest token.
        anchor: What results call evidence under a published key.
        issuers: The only values of ``iss``; None: exactly the issuer whose key set was given.
        chain: The chain that a header may show instead of naming a published key; None for formats without.
        established: The checks whose outcomes a header and what was given decide, whatever the claims are.
    """

    name: str
    specs: TokenSpecs
    algorithms: frozenset[str]
    max_bytes: int
    anchor: str
    issuers: frozenset[str] | None = None
    chain: ChainProfile | None = None
    established: tuple[CheckSpec, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        first = self.specs[: self.specs.index(self.specs.signature)]
        object.__setattr__(self, "established", (*first, *(self.chain.specs if self.chain else ())))


class Given(NamedTuple):
    """What the caller of a verification gave, besides the token and the binding.

    Attributes:
        endorsements: The issuer's published keys; None when there are none.
        roots: The roots of trust.
        limits: Skew and greatest age.
        now: The time, aware.
        facts: Where verified facts are remembered.
        crls: CRLs, DER; those of issuers of a chain in the header count.
    """

    endorsements: JwksEndorsements | None
    roots: Roots
    limits: TokenLimits
    now: datetime
    facts: FactCache
    crls: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs tokens with this header: a verified fact, worth remembering.

    Attributes:
        algorithm: The algorithm that its header names.
        key: The key.
        anchor: In what the key rests.
        outcomes: The outcomes that established it.
        header: The header's members.
        via: Whether it is a published key or was certified by the chain in the header.
        revocation: What revocation lists say of that chain; None under a published key.
    """

    algorithm: Algorithm
    key: PublicKey = field(repr=False)
    anchor: Anchor
    outcomes: Mapping[CheckSpec, Check]
    header: Mapping[str, Any]
    via: Literal["jwks", "x5c"]
    revocation: Revocation | None = None


class Opened(NamedTuple):
    """A token whose signature, issuer and times passed.

    Attributes:
        signer: Who signed it.
        claims: All of its claims.
        registered: The registered ones, typed.
        signed_digest: SHA-256 of the signed text, 32 bytes.
    """

    signer: Signer
    claims: Mapping[str, Any]
    registered: Registered
    signed_digest: bytes


def open_token(ledger: LedgerBuilder, token: bytes, profile: TokenProfile, given: Given) -> Opened:
    """Verify a token up to its times and record every check on the way.

    Args:
        ledger: Of the format; holds the profile's checks.
        token: The compact token.
        profile: What is accepted.
        given: What it is verified with.

    Raises:
        CheckFailedError: A check failed or could not be made; the ledger holds it.
    """
    specs = profile.specs
    try:
        jws = split(token, max_bytes=profile.max_bytes)
    except JoseError as error:
        raise ledger.fail(specs.layout, f"{specs.layout.id}.{error.code}", error.message) from None
    signer = _signer(ledger, jws, profile, given)
    digest = hashlib.sha256(jws.signed).digest()
    hashed = digest if signer.algorithm.digest.name == _SHA256 else None
    if not verify_fitting(signer.key, signer.algorithm, jws.signature, jws.signed, hashed):
        raise ledger.fail(
            specs.signature, specs.signature.id, "The signature over header and payload is not the key's."
        )
    try:
        claims = read_claims(jws.payload)
        named = registered(claims)
    except JoseError as error:
        raise ledger.fail(specs.claims, f"{specs.claims.id}.{error.code}", error.message) from None
    _issuer(ledger, named, profile, given)
    _times(ledger, named, specs, given)
    ledger.adopt(given.limits.stated.get(specs.issued) or _late(specs, given.limits))
    return Opened(signer, claims, named, digest)


def _signer(ledger: LedgerBuilder, jws: CompactJws, profile: TokenProfile, given: Given) -> Signer:
    """Return who signs tokens with this header, from memory or established now."""
    shelf = given.facts.shelf(SIGNERS)
    endorsements = given.endorsements
    key = (
        profile.name,
        hashlib.sha256(jws.head).digest(),
        None if endorsements is None else endorsements.digest,
        given.roots.digest,
        digest_of(given.crls),
    )
    signer: Signer | None = shelf.get(key, given.now)
    if signer is None:
        own = LedgerBuilder(profile.established)
        try:
            signer, window = _establish(own, jws, profile, given)
        finally:
            ledger.extend(check for check in own.close() if check.spec in own)
        shelf.put(key, window, signer)
    else:
        ledger.adopt(signer.outcomes)
    return signer


def _establish(
    ledger: LedgerBuilder, jws: CompactJws, profile: TokenProfile, given: Given
) -> tuple[Signer, Window]:
    specs = profile.specs
    ledger.passed(specs.layout)
    try:
        header = read_header(jws.head)
    except JoseError as error:
        raise ledger.fail(specs.header, f"{specs.header.id}.{error.code}", error.message) from None
    ledger.passed(specs.header)
    name = header["alg"]
    if name not in profile.algorithms:
        raise ledger.fail(
            specs.algorithm, f"{specs.algorithm.id}.refused", f"The algorithm {name[:16]!r} is not accepted."
        )
    algorithm = ALGORITHMS[name]
    certified = profile.chain is not None and "x5c" in header
    revocation: Revocation | None = None
    if certified:
        key, anchor, window, revocation = _certified(ledger, header, profile, given)
    else:
        key, anchor, window = _published(ledger, header, profile, given)
    if name not in key.algorithms:
        raise ledger.fail(
            specs.algorithm, f"{specs.algorithm.id}.key", f"The key is not one for {name}: {key.kind}."
        )
    ledger.passed(specs.algorithm)
    via: Literal["jwks", "x5c"] = "x5c" if certified else "jwks"
    outcomes = {check.spec: check for check in ledger.close()}
    return Signer(algorithm, key.key, anchor, outcomes, MappingProxyType(header), via, revocation), window


def _published(
    ledger: LedgerBuilder, header: Mapping[str, Any], profile: TokenProfile, given: Given
) -> tuple[VerificationKey, Anchor, Window]:
    """Find the key that the header names, exactly, among those that the issuer publishes."""
    spec = profile.specs.key
    if profile.chain is not None:
        for chain_spec in profile.chain.specs:
            ledger.not_applicable(chain_spec, "the header names a published key and shows no chain")
    if given.endorsements is None:
        reason = "not checked: the issuer's published keys are not there"
        ledger.not_checked(spec, f"{spec.id}.missing", reason)
        raise CheckFailedError(f"{spec.id}.missing", reason)
    shelf = given.facts.shelf(KEY_SETS)
    jwks = shelf.get(given.endorsements.digest, given.now)
    if jwks is None:
        try:
            jwks = parse_jwks(given.endorsements.jwks)
        except JoseError as error:
            raise ledger.fail(spec, f"{spec.id}.{error.code}", error.message) from None
        shelf.put(given.endorsements.digest, ALWAYS, jwks)
    kid = header.get("kid", "")
    key = jwks.keys.get(kid)
    if key is None:
        if kid in jwks.unusable:
            raise ledger.fail(spec, f"{spec.id}.unusable", f"The key cannot be used: {jwks.unusable[kid]}")
        raise ledger.fail(spec, f"{spec.id}.unknown", "No published key has exactly this key id.")
    ledger.passed(spec)
    anchor = Anchor(key.fingerprint, profile.anchor, simulated=True, published_keys=True)
    return key, anchor, ALWAYS


def _certified(
    ledger: LedgerBuilder, header: Mapping[str, Any], profile: TokenProfile, given: Given
) -> tuple[VerificationKey, Anchor, Window, Revocation]:
    """Verify the header's chain for its role and return the leaf's key, and what lists say of the chain."""
    profiled = profile.chain
    assert profiled is not None
    specs = profiled.specs
    ledger.not_applicable(profile.specs.key, "the header shows a chain and names no published key")
    try:
        ders = ders_of(header["x5c"], count=len(profiled.positions))
        root = next((found for found in given.roots.of(profiled.vendor) if found.der == ders[-1]), None)
        # The root's bytes are those of a root that was read when it was given.
        chain = [certificate_of(der) for der in (ders if root is None else ders[:-1])]
        key = certified_key(chain[0])
    except JoseError as error:
        raise ledger.fail(specs.layout, f"{specs.layout.id}.{error.code}", error.message) from None
    except DerError as error:
        raise ledger.fail(specs.layout, f"{specs.layout.id}.key", error.message) from None
    ledger.passed(specs.layout)
    if root is None:
        raise ledger.fail(
            specs.root, f"{specs.root.id}.not_pinned", "The chain's root is none of the roots of trust."
        )
    ledger.passed(specs.root)
    whole = (*chain, root.general)
    found = verify_path(whole, profiled.positions, given.now)
    if isinstance(found, PathDefect):
        spec = _CHAIN_SPEC[found.kind]
        raise ledger.fail(specs[spec], f"{specs[spec].id}.{found.kind}", found.reason)
    ledger.passed(specs.issue, specs.role, specs.validity)
    revocation = judge_lists(specs.revoked, whole, given.crls, given.now, vendor=profiled.vendor)
    ledger.record(revocation.check)
    if revocation.check.outcome is Outcome.FAILED:
        raise CheckFailedError(revocation.check.code, revocation.check.reason)
    return key, root.anchor, found & revocation.window, revocation


_CHAIN_SPEC: Final = {
    DefectKind.LENGTH: 0,
    DefectKind.ISSUER: 2,
    DefectKind.SIGNATURE: 2,
    DefectKind.KEY: 3,
    DefectKind.NAME: 3,
    DefectKind.ROLE: 3,
    DefectKind.VALIDITY: 4,
}


def _issuer(ledger: LedgerBuilder, named: Registered, profile: TokenProfile, given: Given) -> None:
    if profile.issuers is not None and named.issuer not in profile.issuers:
        code, reason = "unknown", "The issuer is none that this format has."
    # A key set speaks for the one issuer that publishes it.
    elif given.endorsements is not None and named.issuer != given.endorsements.issuer:
        code, reason = "other", "The issuer is not the one whose keys were given."
    else:
        return
    ledger.passed(profile.specs.signature)
    spec = profile.specs.issuer
    raise ledger.fail(spec, f"{spec.id}.{code}", reason)


def _times(ledger: LedgerBuilder, named: Registered, specs: TokenSpecs, given: Given) -> None:
    """Compare the token's times with ``now``; the limits stand in the ledger whatever comes of it."""
    now = given.now.timestamp()
    skew, age = given.limits.seconds
    begins = max(named.issued_at, named.not_before)
    if begins > now + skew:
        spec, code = specs.issued, "future"
        reason = f"The token is not valid yet, {skew:g} s of skew allowed."
    elif named.expires_at <= begins:
        spec, code, reason = specs.expiry, "inverted", "The token ends before it begins."
    elif now >= named.expires_at:
        spec, code, reason = specs.expiry, "expired", "The token has expired."
    elif now - named.issued_at > age:
        spec, code, reason = specs.age, "old", f"The token is older than {age:g} s."
    else:
        return
    ledger.passed(specs.signature, specs.issuer)
    raise ledger.fail(spec, f"{spec.id}.{code}", reason)


def stated_limits(specs: TokenSpecs, limits: TokenLimits) -> tuple[Check, Check]:
    """Return the checks of issue and age as passed, with the limits that they passed under."""
    found = _late(specs, limits)
    return found[specs.issued], found[specs.age]


def _late(specs: TokenSpecs, limits: TokenLimits) -> Mapping[CheckSpec, Check]:
    """Return the outcomes of signature, issuer and times of a token that passed them all, and keep them."""
    skew, age = limits.reasons
    found = {spec: spec.passed for spec in (specs.signature, specs.issuer, specs.expiry)}
    found[specs.issued] = Check(specs.issued, Outcome.PASSED, "", skew)
    found[specs.age] = Check(specs.age, Outcome.PASSED, "", age)
    return limits.stated.setdefault(specs.issued, found)
