"""Whose attestation key it is: one that the caller gave, or one that a certificate under a root is for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import EvidenceError
from assay.evidence.decoding.der import OBJECT_IDENTIFIER, DerError, DerReader
from assay.evidence.facts import Window, digest_of
from assay.evidence.ledger import CheckFailedError, Ledger, LedgerBuilder, Outcome
from assay.evidence.roots import TPM
from assay.evidence.tpm import checks
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.verification import Anchor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.evidence.facts import FactCache
    from assay.evidence.ledger import Check, CheckSpec
    from assay.evidence.roots import Root, Roots
    from assay.evidence.x509.general import GeneralCertificate
    from assay.evidence.x509.path import Position

MAX_CHAIN = 8
GIVEN_NAME = "attestation key given by the caller"
ALWAYS = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
_SUBJECT_ALTERNATIVE_NAME = bytes.fromhex("551d11")
_AIK_CERTIFICATE = bytes.fromhex("6781050803")  # 2.23.133.8.3, tcg-kp-AIKCertificate


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """An attestation key with what vouches for it.

    Attributes:
        key: The key; its attributes are known when the caller gave its public area.
        anchor: The root, or the key itself when the caller gave it.
        certified: True when a certificate vouches for it.
        common_name: Common name of that certificate.
        window: When that holds.
        revocation_checked: Whether every issuer of the chain had a CRL, and none listed a certificate.
        named_lists_checked: The same of those issuers alone whose list a certificate names.
    """

    key: AttestationKey
    anchor: Anchor
    certified: bool
    common_name: str
    window: Window
    revocation_checked: bool
    named_lists_checked: bool


class Trust(NamedTuple):
    """What became of an attestation key.

    Attributes:
        outcomes: Those of ``AK_CHECKS``.
        key: The key; None when a check failed on which everything rests.
        quoted: The outcomes of a quote that passed with this key; empty unless all of ``AK_CHECKS`` are met.
        whole: The ledger of evidence whose quote has these outcomes and that has no logs: the common case.
    """

    outcomes: Ledger
    key: TrustedKey | None
    quoted: tuple[Check, ...] = ()
    whole: Ledger | None = None


def trust_key(
    given: bytes,
    public: bytes,
    carried: Sequence[bytes],
    issuers: Sequence[bytes],
    crls: Sequence[bytes],
    roots: Roots,
    now: datetime,
    facts: FactCache,
) -> Trust:
    """Establish the attestation key, and remember it if all of it passed.

    Args:
        given: The key that the caller gave: TPMT_PUBLIC, TPM2B_PUBLIC or SPKI; empty when it gave none.
        public: What the evidence presents as the key; empty when it presents none.
        carried: AK certificate and issuers in the evidence, leaf first, DER; looked at only when the caller
            gave no key.
        issuers: Certificates that the caller has, DER, in any order: issuers of those, or an AK certificate
            for the key that the evidence presents.
        crls: CRLs, DER; those of issuers of the chain count.
        roots: The roots that the chain may end in.
        now: The time at which it must be valid.
        facts: Where verified keys are remembered.
    """
    # All but lists stands for itself: it is short, and comparing it is quicker than hashing it.
    key = (given, public, tuple(carried), tuple(issuers), digest_of(crls), roots.digest)
    shelf = facts.shelf("tpm.keys")
    known: Trust | None = shelf.get(key, now)
    if known is not None:
        return known
    ledger = LedgerBuilder(checks.AK_CHECKS)
    anchors = roots.of(TPM)
    try:
        if given:
            found = _given(ledger, given)
        else:
            chain = _chain(ledger, public, carried, issuers, anchors)
            found = _certified(ledger, chain, crls, anchors, now)
        _match(ledger, found, public)
    except CheckFailedError:
        return Trust(ledger.close(), None)
    closed = ledger.close()
    if closed.unmet():
        return Trust(closed, found)
    quoted = checks.QUOTE.passed_bare if found.key.attributes is None else checks.QUOTE.passed
    made = (checks.LAYOUT.passed, *closed.checks, *quoted[:-1], *checks.NO_LOGS, quoted[-1])
    trust = Trust(closed, found, quoted, Ledger(made))
    shelf.put(key, found.window, trust)
    return trust


def _given(ledger: LedgerBuilder, given: bytes) -> TrustedKey:
    try:
        key = AttestationKey.parse(given)
    except EvidenceError as error:
        raise ledger.fail(checks.AK_TRUST, f"{checks.AK_TRUST.id}.malformed", error.message) from error
    ledger.passed(checks.AK_TRUST)
    for spec in checks.CHAIN_CHECKS:
        ledger.not_applicable(spec, "the caller gave the attestation key itself")
    anchor = Anchor(key.digest, GIVEN_NAME, simulated=True)
    return TrustedKey(
        key,
        anchor,
        certified=False,
        common_name="",
        window=ALWAYS,
        revocation_checked=False,
        named_lists_checked=False,
    )


def _chain(
    ledger: LedgerBuilder,
    public: bytes,
    carried: Sequence[bytes],
    issuers: Sequence[bytes],
    roots: Sequence[Root],
) -> list[GeneralCertificate]:
    """Find the certificates from the AK's to one that a root issued, by their names."""
    from assay.evidence.x509.general import GeneralCertificate  # noqa: PLC0415 - most TPMs come with their key

    try:
        chain = [GeneralCertificate.parse(der) for der in carried]
        at_hand = [GeneralCertificate.parse(der) for der in issuers]
        if at_hand and not chain and public:
            key = AttestationKey.parse(public).spki
            chain = [each for each in at_hand if each.spki == key][:1]
    except EvidenceError as error:
        ledger.passed(checks.AK_TRUST)
        raise ledger.fail(checks.AK_CERTIFICATE, checks.AK_CERTIFICATE.id, error.message) from error
    if not chain:
        code = f"{checks.AK_TRUST.id}.missing"
        reason = "not checked: the caller gave no attestation key and there is no AK certificate"
        ledger.not_checked(checks.AK_TRUST, code, reason)
        raise CheckFailedError(code, "There is no attestation key to trust.")
    ledger.passed(checks.AK_TRUST)
    while len(chain) < MAX_CHAIN and _root(chain, roots) is None:
        issuer = next((each for each in at_hand if each.subject == chain[-1].issuer), None)
        if issuer is None or issuer in chain:
            break
        chain.append(issuer)
    return chain


def _certified(
    ledger: LedgerBuilder,
    chain: list[GeneralCertificate],
    crls: Sequence[bytes],
    roots: Sequence[Root],
    now: datetime,
) -> TrustedKey:
    from assay.evidence.x509.path import DefectKind, PathDefect, verify_path  # noqa: PLC0415 - as above
    from assay.evidence.x509.revoked import judge_lists  # noqa: PLC0415 - as above

    try:
        key = AttestationKey.parse(chain[0].spki)
    except EvidenceError as error:
        raise ledger.fail(checks.AK_CERTIFICATE, checks.AK_CERTIFICATE.id, error.message) from error
    ledger.passed(checks.AK_CERTIFICATE)
    root = _root(chain, roots)
    if root is None:
        raise ledger.fail(
            checks.AK_ROOT, checks.AK_ROOT.id, "The AK certificate ends in none of the roots given for TPMs."
        )
    ledger.passed(checks.AK_ROOT)
    if chain[-1].der != root.der:
        chain.append(root.general)
    window = verify_path(chain, _positions(len(chain)), now)
    if isinstance(window, PathDefect):
        spec = _DEFECTS.get(window.kind.value, checks.AK_ROLE)
        if window.kind is DefectKind.VALIDITY:
            ledger.passed(checks.AK_CHAIN, checks.AK_ROLE)
        raise ledger.fail(spec, spec.id, window.reason)
    ledger.passed(checks.AK_CHAIN, checks.AK_ROLE, checks.AK_VALIDITY)
    revocation = judge_lists(checks.AK_REVOKED, chain, crls, now, vendor=TPM)
    ledger.record(revocation.check)
    if revocation.check.outcome is Outcome.FAILED:
        raise CheckFailedError(revocation.check.code, revocation.check.reason)
    return TrustedKey(
        key,
        root.anchor,
        certified=True,
        common_name=chain[0].common_name,
        window=window & revocation.window,
        revocation_checked=revocation.complete,
        named_lists_checked=revocation.named,
    )


def _root(chain: Sequence[GeneralCertificate], roots: Sequence[Root]) -> Root | None:
    """Find the root that the chain includes as its last certificate, or that its last certificate names."""
    last = chain[-1]
    for root in roots:
        if root.der == last.der and len(chain) > 1:
            return root
    named = [root for root in roots if root.general.subject == last.issuer]
    if len(named) > 1:
        from assay.evidence.x509.path import issue_defect  # noqa: PLC0415 - as above

        # Two installations call their roots alike: the one whose key signed comes first.
        named.sort(key=lambda root: issue_defect(last, root.general, "issuer") is not None)
    return named[0] if named else None


_DEFECTS: dict[str, CheckSpec] = {
    "issuer": checks.AK_CHAIN,
    "signature": checks.AK_CHAIN,
    "length": checks.AK_CHAIN,
    "validity": checks.AK_VALIDITY,
}


@cache
def _positions(count: int) -> tuple[Position, ...]:
    from assay.evidence.x509.general import KeyKind  # noqa: PLC0415 - as above
    from assay.evidence.x509.path import Position  # noqa: PLC0415 - as above
    from assay.evidence.x509.roles import DIGITAL_SIGNATURE  # noqa: PLC0415 - as above
    from assay.evidence.x509.signature import SignatureAlgorithm  # noqa: PLC0415 - as above

    keys, algorithms = frozenset(KeyKind), frozenset(SignatureAlgorithm)
    leaf = Position(
        "AK certificate",
        authority=False,
        names=_ak_usage_defect,
        keys=keys,
        algorithms=algorithms,
        usage=DIGITAL_SIGNATURE,
        constraints_required=False,
        known=frozenset({_EXTENDED_KEY_USAGE, _SUBJECT_ALTERNATIVE_NAME}),
        required=frozenset({_EXTENDED_KEY_USAGE}),
    )
    issuer = Position(
        "issuer of the AK certificate",
        authority=True,
        names=_any_name,
        keys=keys,
        algorithms=algorithms,
    )
    return (leaf, *[issuer] * (count - 1))


def _any_name(_: GeneralCertificate) -> None:
    """Accept whatever an issuer is called: its root is the caller's own."""


def _ak_usage_defect(certificate: GeneralCertificate) -> str | None:
    """Return why a certificate is not one for attestation keys; None when it is."""
    found = certificate.extensions.get(_EXTENDED_KEY_USAGE)
    try:
        reader = DerReader(found[1]).enter() if found else None
        while reader and reader.peek() == OBJECT_IDENTIFIER:
            if reader.value(OBJECT_IDENTIFIER) == _AIK_CERTIFICATE:
                return None
    except DerError:
        pass
    return "The leaf's extended key usage is not that of an attestation key."


def _match(ledger: LedgerBuilder, found: TrustedKey, public: bytes) -> None:
    spec = checks.AK_MATCH
    if not public:
        ledger.not_applicable(spec, "the evidence presents no public area")
        return
    try:
        same = AttestationKey.parse(public).spki == found.key.spki
    except EvidenceError as error:
        ledger.failed(spec, f"{spec.id}.malformed", error.message)
        return
    if same:
        ledger.passed(spec)
    else:
        ledger.failed(spec, spec.id, "The evidence presents another attestation key than the trusted one.")
