"""The certificate of the virtual TPM's attestation key, and its chain to a root for Azure's virtual TPMs.

It stands in NV index 0x01C101D0 with zeros behind it. The hardware vouches for the same key through the
runtime claims, so a VM whose certificate leads nowhere is still proven; what is then missing is Azure's own
word, and the Claims say so.

Two hierarchies are in use at once: ``Global Virtual TPM CA - nn`` directly below the root, and ``Azure Cloud
Virtual TPM CA - nn`` below ``Azure Cloud Virtual TPM CA 2025``.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from assay.evidence.azure import checks
from assay.evidence.azure.claims import AkCertificate
from assay.evidence.decoding.der import OBJECT_IDENTIFIER, DerError, DerReader
from assay.evidence.facts import digest_of
from assay.evidence.ledger import Check, Outcome
from assay.evidence.roots import AZURE_VTPM
from assay.evidence.x509.general import GeneralCertificate, KeyKind, SignatureAlgorithm
from assay.evidence.x509.path import (
    DIGITAL_SIGNATURE,
    PathDefect,
    Position,
    authority_key_identifier,
    verify_path,
)
from assay.evidence.x509.revoked import judge_lists

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.ledger import CheckSpec
    from assay.evidence.roots import Root, Roots
    from assay.evidence.verification import Need

_OID_EXTENDED_USAGE: Final = bytes.fromhex("551d25")
_OID_POLICIES: Final = bytes.fromhex("551d20")
_AIK_USAGE: Final = bytes.fromhex("6781050803")  # 2.23.133.8.3, tcg-kp-AIKCertificate
_MAX_USAGES: Final = 16
_MOST_BETWEEN: Final = 3

_RSA: Final = frozenset({KeyKind.RSA})
_SIGNED: Final = frozenset(
    {
        SignatureAlgorithm.RSA_PKCS1_SHA256,
        SignatureAlgorithm.RSA_PKCS1_SHA384,
        SignatureAlgorithm.RSA_PKCS1_SHA512,
    }
)
_VM: Final = re.compile(r"[0-9a-f]{1,64}\.ConfidentialVM\.Azure\.(windows\.net|Microsoft)", re.ASCII)
_AUTHORITY: Final = re.compile(r"(Global|Azure Cloud) Virtual TPM CA( -)? [0-9]{1,4}", re.ASCII)


def _vm_defect(certificate: GeneralCertificate) -> str | None:
    if _VM.fullmatch(certificate.common_name) is None:
        return "The attestation key's certificate does not name a confidential VM of Azure."
    return None


def _authority_defect(certificate: GeneralCertificate) -> str | None:
    if _AUTHORITY.fullmatch(certificate.common_name) is None:
        return "An issuer of the attestation key's certificate is no authority for virtual TPMs."
    return None


def _any_name(_certificate: GeneralCertificate) -> None:
    """A root was compared byte for byte; its name decides nothing."""


_LEAF: Final = Position(
    "attestation key's certificate",
    authority=False,
    names=_vm_defect,
    keys=_RSA,
    algorithms=_SIGNED,
    usage=DIGITAL_SIGNATURE,
    constraints_required=False,
    known=frozenset({_OID_EXTENDED_USAGE, _OID_POLICIES}),
    required=frozenset({_OID_EXTENDED_USAGE}),
)
_BETWEEN: Final = Position(
    "virtual TPM authority",
    authority=True,
    names=_authority_defect,
    keys=_RSA,
    algorithms=_SIGNED,
    known=frozenset({_OID_EXTENDED_USAGE, _OID_POLICIES}),
    required=frozenset({_OID_EXTENDED_USAGE}),
)
_ROOT: Final = Position("virtual TPM root", authority=True, names=_any_name, keys=_RSA, algorithms=_SIGNED)


def trim(der: bytes) -> bytes:
    """Return the one DER element that ``der`` begins with; zeros may follow it, and nothing else.

    Raises:
        DerError: It does not begin with a sequence, or something else follows.
    """
    reader = DerReader(der)
    element = reader.whole(0x30)
    if any(der[len(element) :]):
        raise DerError("Something other than zeros follows a certificate.")
    return element


def certified(
    certificate: bytes,
    given: Sequence[bytes],
    known: Sequence[bytes],
    crls: Sequence[bytes],
    spki: bytes,
    roots: Roots,
    now: datetime,
    facts: FactCache,
) -> tuple[tuple[Check, ...], AkCertificate | None, tuple[Need, ...]]:
    """Judge the attestation key's certificate.

    Args:
        certificate: The certificate, DER, with or without the zeros behind it.
        given: Certificates of the evidence between it and the root; each of them must have a place.
        known: Certificates that the verifier has from elsewhere, any number of them, used where they fit.
        crls: CRLs, DER; without one of an issuer revocation is not proven, and the Claims say so. Those of
            other authorities are passed over.
        spki: SubjectPublicKeyInfo of the key that the hardware vouches for.
        roots: The roots of trust.
        now: The time at which everything must be valid.
        facts: Where chains that were verified are remembered.

    Returns:
        The outcomes of ``checks.AK_CHECKS``; the Claims, None unless the chain was verified; and the lists of
        what its issuers revoked that would say more.
    """
    try:
        leaf = GeneralCertificate.parse(trim(certificate))
        others = [GeneralCertificate.parse(der) for der in given]
    except DerError as error:
        reason = f"The attestation key's certificate cannot be read: {error.message}"
        open_ = _unreached("azure.ak.layout", checks.AK_KEY, checks.AK_CHAIN, checks.AK_REVOKED)
        return (checks.AK_CERTIFICATE.failed("azure.ak.layout", reason), *open_), None, ()
    key = checks.AK_KEY.passed
    if leaf.spki != spki:
        key = checks.AK_KEY.failed("azure.ak.key", "The certificate is for another key than HCLAkPub.")
    chain, revoked, claims, needs = _chain(leaf, others, known, crls, roots, now, facts)
    if key.outcome is Outcome.FAILED:
        claims = None
    return (checks.AK_CERTIFICATE.passed, key, chain, revoked), claims, needs


def _unreached(stopper: str, *specs: CheckSpec) -> tuple[Check, ...]:
    reason = f"not reached: {stopper} failed"
    return tuple(Check(spec, Outcome.NOT_CHECKED, "ledger.not_reached", reason) for spec in specs)


def _chain(
    leaf: GeneralCertificate,
    given: list[GeneralCertificate],
    known: Sequence[bytes],
    crls: Sequence[bytes],
    roots: Roots,
    now: datetime,
    facts: FactCache,
) -> tuple[Check, Check, AkCertificate | None, tuple[Need, ...]]:
    """Return the outcomes of chain and revocation, the Claims unless one of both is not proven, and needs."""
    spec = checks.AK_CHAIN
    try:
        between, root = _order(leaf, given, known, roots)
        if root is None:
            return _NO_CHAIN, _NO_LISTS, None, ()
        if any(one not in between for one in given):
            why = "A certificate that came along has no place in the chain."
            return _broken("azure.ak.chain.unused", why)
        found = _remembered((leaf, *between, root.general), crls, root, roots, now, facts)
    except DerError as error:
        return _broken("azure.ak.chain.malformed", error.message)
    if isinstance(found, PathDefect):
        return _broken(f"azure.ak.chain.{found.kind}", found.reason)
    return spec.passed, *found


_NO_ISSUER: Final = "no certificate of its issuer was given"
_NO_CHAIN: Final = Check(checks.AK_CHAIN, Outcome.NOT_APPLICABLE, "", _NO_ISSUER)
_NO_LISTS: Final = Check(checks.AK_REVOKED, Outcome.NOT_APPLICABLE, "", _NO_ISSUER)


def _broken(code: str, reason: str) -> tuple[Check, Check, None, tuple[()]]:
    (revoked,) = _unreached("azure.ak.chain", checks.AK_REVOKED)
    return checks.AK_CHAIN.failed(code, reason), revoked, None, ()


def _remembered(
    chain: tuple[GeneralCertificate, ...],
    crls: Sequence[bytes],
    root: Root,
    roots: Roots,
    now: datetime,
    facts: FactCache,
) -> tuple[Check, AkCertificate | None, tuple[Need, ...]] | PathDefect:
    """Return what a chain and the lists of its issuers prove, verified now or before."""
    seal = hashlib.sha256(roots.digest)
    for one in chain:
        seal.update(hashlib.sha256(one.der).digest())
    shelf, key = facts.shelf("azure.ak"), (seal.digest(), digest_of(crls))
    known: tuple[Check, AkCertificate, tuple[Need, ...]] | None = shelf.get(key, now)
    if known is not None:
        return known
    window = _verify(chain, now)
    if isinstance(window, PathDefect):
        return window
    revocation = judge_lists(checks.AK_REVOKED, chain, crls, now, vendor=AZURE_VTPM)
    if revocation.check.outcome is Outcome.FAILED:
        return revocation.check, None, ()
    leaf = chain[0]
    mark = hashlib.sha256(leaf.der).digest()
    claims = AkCertificate(
        leaf.common_name,
        chain[1].common_name,
        mark,
        root.anchor,
        revocation_checked=revocation.complete,
        named_lists_checked=revocation.named,
    )
    found = (revocation.check, claims, revocation.needs)
    shelf.put(key, window & revocation.window, found)
    return found


def _verify(chain: tuple[GeneralCertificate, ...], now: datetime) -> Window | PathDefect:
    for certificate in chain[:-1]:
        if _AIK_USAGE not in _usages(certificate):
            raise DerError("A certificate of the chain is not for attestation keys.")
    return verify_path(chain, (_LEAF, *(_BETWEEN,) * (len(chain) - 2), _ROOT), now)


def _usages(certificate: GeneralCertificate) -> list[bytes]:
    found = certificate.extensions.get(_OID_EXTENDED_USAGE)
    if found is None:
        return []
    reader = DerReader(found[1])
    inner = reader.enter()
    reader.finish()
    usages: list[bytes] = []
    while inner.more():
        if len(usages) == _MAX_USAGES:
            raise DerError("A certificate has too many usages.")
        usages.append(inner.value(OBJECT_IDENTIFIER))
    return usages


def _order(
    leaf: GeneralCertificate, given: list[GeneralCertificate], known: Sequence[bytes], roots: Roots
) -> tuple[list[GeneralCertificate], Root | None]:
    """Return what stands between leaf and root, and the root; None when the way ends before one."""
    between: list[GeneralCertificate] = []
    current = leaf
    for _ in range(_MOST_BETWEEN + 1):
        root = _root(current, roots)
        if root is not None:
            return between, root
        issuer = _issuer(current, [*given, *(GeneralCertificate.parse(der) for der in known)])
        if issuer is None or issuer in between or issuer.der == current.der:
            break
        between.append(issuer)
        current = issuer
    return between, None


def _root(child: GeneralCertificate, roots: Roots) -> Root | None:
    """Return the root that ``child`` names: by name, and by key where several have it."""
    named = [one for one in roots.of(AZURE_VTPM) if one.general.subject == child.issuer]
    stated = authority_key_identifier(child)
    fitting = [one for one in named if stated in (None, one.general.key_identifier())]
    return next(iter(fitting or named), None)


def _issuer(child: GeneralCertificate, others: Sequence[GeneralCertificate]) -> GeneralCertificate | None:
    """Return the certificate that ``child`` names as issuer: by name, and by key where several have it."""
    named = [one for one in others if one.subject == child.issuer]
    stated = authority_key_identifier(child)
    fitting = [one for one in named if stated in (None, one.key_identifier())]
    return next(iter(fitting or named), None)
