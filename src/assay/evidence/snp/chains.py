"""The certificates of an SEV-SNP verification: VCEK or VLEK, ASK or ASVK, ARK, and the ARK's CRL.

What was established about an ASK and its CRL is remembered for all chips below it, and what was established
about a VCEK for all reports under it; nothing that failed is.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerError
from assay.evidence.records import record
from assay.evidence.roots import AMD
from assay.evidence.snp import checks
from assay.evidence.snp.vek import (
    AUTHORITIES,
    AUTHORITY_POSITIONS,
    ROOT_POSITIONS,
    VEK_POSITIONS,
    VekExtensions,
)
from assay.evidence.x509.general import GeneralCertificate
from assay.evidence.x509.path import DefectKind, issue_defect
from assay.evidence.x509.revocation import GeneralRevocationList
from assay.evidence.x509.signature import SignatureAlgorithm

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.ledger import CheckSpec, LedgerBuilder
    from assay.evidence.roots import Root, Roots
    from assay.evidence.snp.endorsements import SnpEndorsements
    from assay.evidence.snp.products import Product
    from assay.evidence.snp.vek import Kind
    from assay.evidence.x509.path import PathDefect

CRL_MISSING: Final = "snp.crl.missing"
_MAX_CRL_BYTES: Final = 65536
_SHELF: Final = "snp.authorities"


@record
class Authority:
    """A verified ASK or ASVK, which its root's CRL does not list.

    Attributes:
        certificate: The certificate.
        root: The root that issued it.
        product: The product that both issue for.
        kind: The kind of key that it certifies.
        window: When it, the root and the CRL are valid.
    """

    certificate: GeneralCertificate
    root: Root
    product: Product
    kind: Kind
    window: Window


@record
class Vek:
    """A verified VCEK or VLEK.

    Attributes:
        key: The public key that signs reports.
        kind: Which of the two.
        product: The product of its root.
        extensions: What the certificate says.
        root: The root that its chain ended in.
        window: When chain and CRL are valid.
    """

    key: ec.EllipticCurvePublicKey
    kind: Kind
    product: Product
    extensions: VekExtensions
    root: Root
    window: Window


def verify_chain(
    ledger: LedgerBuilder,
    vek: bytes,
    endorsements: SnpEndorsements,
    roots: Roots,
    now: datetime,
    facts: FactCache,
) -> Vek:
    """Verify certificates and CRL, by role, to a root of trust; record ``CHAIN_CHECKS`` and ``CRL_CHECKS``.

    Args:
        ledger: Where the outcomes are recorded.
        vek: The certificate of the key, DER.
        endorsements: What vouches for it; ``authority`` is there.
        roots: The roots that the chain may end in.
        now: The time at which everything must be valid.
        facts: Where a verified authority is remembered.

    Returns:
        The key and what its certificate says; it holds only if no check failed.

    Raises:
        CheckFailedError: A check failed on which everything else rests; the ledger holds it.
    """
    assert endorsements.authority is not None
    key = (_digest(endorsements.authority, endorsements.root, endorsements.crl), roots.digest)
    shelf = facts.shelf(_SHELF)
    known: Authority | None = shelf.get(key, now)
    leaf = _parse(ledger, vek, "snp.vek.malformed")
    if known is None:
        issuer = _parse(ledger, endorsements.authority, "snp.authority.malformed")
        ledger.passed(checks.VEK_LAYOUT)
        root = _root(ledger, issuer, endorsements.root, roots)
    else:
        ledger.passed(checks.VEK_LAYOUT, checks.SNP_ROOT_PINNED)
        issuer, root = known.certificate, known.root
    product, kind = _line(ledger, issuer)
    if known is None:
        _demand(ledger, issue_defect(issuer, root.general, "ASK" if kind == "vcek" else "ASVK"))
    _demand(ledger, issue_defect(leaf, issuer, kind.upper()))
    ledger.passed(checks.CHAIN_SIGNATURES)
    if known is None:
        _demand_role(ledger, ROOT_POSITIONS[product].defect(root.general, 1))
        _demand_role(ledger, AUTHORITY_POSITIONS[issuer.common_name].defect(issuer, 0))
    _demand_role(ledger, VEK_POSITIONS[kind].defect(leaf, 0))
    ledger.passed(checks.CHAIN_ROLES)
    window = leaf.window & issuer.window & root.general.window
    if now in window:
        ledger.passed(checks.SNP_CHAIN_VALIDITY)
    else:
        ledger.failed(
            checks.SNP_CHAIN_VALIDITY, "snp.chain.validity", f"The chain is {_describe(window, now)}."
        )
    extensions = _extensions(ledger, leaf, kind, product)
    public = _key(ledger, leaf)
    if known is not None:
        ledger.passed(*checks.CRL_CHECKS)
        return Vek(public, kind, product, extensions, root, known.window & leaf.window)
    listed = _verify_crl(ledger, endorsements.crl, root, issuer, now)
    if listed is not None and now in window:
        window &= listed
        own = issuer.window & root.general.window & listed
        shelf.put(key, own, Authority(issuer, root, product, kind, own))
    return Vek(public, kind, product, extensions, root, window)


def _digest(*parts: bytes | None) -> bytes:
    seal = hashlib.sha256()
    for part in parts:
        seal.update(b"\0" if part is None else b"\1" + len(part).to_bytes(4, "big") + part)
    return seal.digest()


def _parse(ledger: LedgerBuilder, der: bytes, code: str) -> GeneralCertificate:
    try:
        return GeneralCertificate.parse(der)
    except DerError as error:
        raise ledger.fail(checks.VEK_LAYOUT, code, error.message) from None


def _root(ledger: LedgerBuilder, issuer: GeneralCertificate, stated: bytes | None, roots: Roots) -> Root:
    """Find the root that a chain ends in: the one that came with it, or the one that its ASK names."""
    given = roots.of(AMD)
    if stated is not None:
        found = next((root for root in given if root.der == stated), None)
        if found is None:
            raise ledger.fail(
                checks.SNP_ROOT_PINNED,
                "snp.root.not_pinned",
                f"The chain's root, SHA-256 {hashlib.sha256(stated).hexdigest()}, is none of those given.",
            )
    else:
        # A simulated root bears AMD's name as well: of two with the right name the one that signed is meant.
        named = [root for root in given if root.general.subject == issuer.issuer]
        found = next((root for root in named if issue_defect(issuer, root.general, "") is None), None)
        if found is None and named:
            found = named[0]
        if found is None:
            raise ledger.fail(
                checks.SNP_ROOT_PINNED,
                "snp.root.not_pinned",
                "The chain names an issuer that is no given root.",
            )
    ledger.passed(checks.SNP_ROOT_PINNED)
    return found


def _line(ledger: LedgerBuilder, issuer: GeneralCertificate) -> tuple[Product, Kind]:
    """Return what an authority issues for by its name; its issuer's name must agree."""
    line = AUTHORITIES.get(issuer.common_name)
    if line is None:
        raise ledger.fail(
            checks.CHAIN_ROLES,
            "snp.chain.role",
            "The issuer of the key is neither an ASK nor an ASVK by name.",
        )
    return line


def _demand(ledger: LedgerBuilder, defect: PathDefect | None) -> None:
    if defect is not None:
        code = "snp.chain.signature" if defect.kind is DefectKind.SIGNATURE else "snp.chain.issuer"
        raise ledger.fail(checks.CHAIN_SIGNATURES, code, defect.reason)


def _demand_role(ledger: LedgerBuilder, defect: PathDefect | None) -> None:
    if defect is not None:
        raise ledger.fail(checks.CHAIN_ROLES, "snp.chain.role", defect.reason)


def _extensions(
    ledger: LedgerBuilder, leaf: GeneralCertificate, kind: Kind, product: Product
) -> VekExtensions:
    try:
        found = VekExtensions.parse(leaf.extensions, kind)
    except DerError as error:
        raise ledger.fail(checks.VEK_EXTENSIONS, "snp.vek.extensions", error.message) from None
    ledger.passed(checks.VEK_EXTENSIONS)
    if found.product is not product:
        raise ledger.fail(
            checks.VEK_PRODUCT,
            "snp.vek.product",
            f"The certificate is for {found.product_name!r}, its root for {product}.",
        )
    ledger.passed(checks.VEK_PRODUCT)
    return found


def _key(ledger: LedgerBuilder, leaf: GeneralCertificate) -> ec.EllipticCurvePublicKey:
    try:
        return leaf.key()  # type: ignore[return-value]  # its role demands P-384
    except DerError as error:
        raise ledger.fail(checks.SNP_SIGNATURE, "snp.vek.key_invalid", error.message) from None


def _verify_crl(
    ledger: LedgerBuilder, der: bytes | None, root: Root, issuer: GeneralCertificate, now: datetime
) -> Window | None:
    """Record ``CRL_CHECKS`` and return when the CRL is valid; None unless all of them passed."""
    if der is None:
        for spec in checks.CRL_CHECKS:
            ledger.not_checked(spec, CRL_MISSING, "not checked: there is no CRL of the root")
        return None
    try:
        crl = GeneralRevocationList.parse(der, max_bytes=_MAX_CRL_BYTES)
    except DerError as error:
        ledger.failed(checks.CRL_LAYOUT, "snp.crl.malformed", error.message)
        return None
    ledger.passed(checks.CRL_LAYOUT)
    authority = root.general
    valid = now in crl.window
    outcomes: tuple[tuple[CheckSpec, bool, str], ...] = (
        (checks.CRL_ISSUER, crl.names(authority), "The CRL is of another issuer than the chain's root."),
        (
            checks.CRL_SIGNATURE,
            crl.algorithm is SignatureAlgorithm.RSA_PSS_SHA384 and crl.signed_by(authority),
            "The signature of the CRL is not the root's.",
        ),
        (checks.CRL_TIME, valid, "" if valid else f"The CRL is {_describe(crl.window, now)}."),
        (
            checks.CRL_REVOKED,
            crl.revoked.isdisjoint((issuer.serial, authority.serial)),
            "The root revoked the ASK or ASVK of this chain, or itself.",
        ),
    )
    for spec, passed, reason in outcomes:
        if passed:
            ledger.passed(spec)
        else:
            ledger.failed(spec, spec.id, reason)
    return crl.window if all(passed for _, passed, _ in outcomes) else None


def _describe(window: Window, now: datetime) -> str:
    start, end, given = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (window.start, window.end, now))
    return f"valid {start} to {end}, the given time is {given}"
