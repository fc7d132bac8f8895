"""The certificate of a Google virtual TPM's attestation key: its chain, its instance, its revocation.

Two authorities issue it: ``EK/AK CA Intermediate`` below the pinned ``EK/AK CA Root``, and the older
``tpm_ek_v1_cloud_host-signer-*`` below a root of its own, which a caller can give as an anchor. The leaf has
no name that means anything; what it is for stands in its extension.

    SEQUENCE { zone UTF8String, projectNumber INTEGER, projectId UTF8String, instanceId INTEGER,
               instanceName UTF8String, [0] SEQUENCE { [0] securityVersion INTEGER, [1] isProduction BOOLEAN,
               [2]... BOOLEAN } OPTIONAL }
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerError, DerReader
from assay.evidence.facts import digest_of
from assay.evidence.google_vm import checks
from assay.evidence.google_vm.claims import CertifiedKey, Instance
from assay.evidence.ledger import Check, Outcome
from assay.evidence.roots import GOOGLE_VTPM
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
    from assay.evidence.google_vm.container import StatedInstance
    from assay.evidence.roots import Root, Roots
    from assay.evidence.verification import Need

OID_INSTANCE: Final = bytes.fromhex("2b06010401d679020115")
_OID_SUBJECT_ALTERNATIVE_NAME: Final = bytes.fromhex("551d11")
_OID_EXTENDED_USAGE: Final = bytes.fromhex("551d25")
_UTF8: Final = 0x0C
_MAX_TEXT: Final = 128
_MAX_NUMBER: Final = 1 << 64
_MAX_FLAGS: Final = 16
_MOST_BETWEEN: Final = 3
_CONTEXT: Final = 0xA0

_SIGNED: Final = frozenset(
    {
        SignatureAlgorithm.RSA_PKCS1_SHA256,
        SignatureAlgorithm.RSA_PKCS1_SHA384,
        SignatureAlgorithm.RSA_PKCS1_SHA512,
    }
)
_AUTHORITY: Final = re.compile(r"EK/AK CA Intermediate|tpm_ek_v1_cloud_host-signer-[ -~]{1,120}")


def _authority_defect(certificate: GeneralCertificate) -> str | None:
    if _AUTHORITY.fullmatch(certificate.common_name) is None:
        return "An issuer of the attestation key's certificate is no authority for Google's virtual TPMs."
    return None


def _any_name(_certificate: GeneralCertificate) -> None:
    """A root was compared byte for byte, and a leaf's name means nothing."""


_LEAF: Final = Position(
    "attestation key's certificate",
    authority=False,
    names=_any_name,
    keys=frozenset({KeyKind.RSA, KeyKind.P256, KeyKind.P384}),
    algorithms=_SIGNED,
    usage=DIGITAL_SIGNATURE,
    known=frozenset({_OID_SUBJECT_ALTERNATIVE_NAME, _OID_EXTENDED_USAGE}),
)
_BETWEEN: Final = Position(
    "virtual TPM authority",
    authority=True,
    names=_authority_defect,
    keys=frozenset({KeyKind.RSA}),
    algorithms=_SIGNED,
    known=frozenset({_OID_EXTENDED_USAGE}),
)
_ROOT: Final = Position(
    "virtual TPM root",
    authority=True,
    names=_any_name,
    keys=frozenset({KeyKind.RSA}),
    algorithms=_SIGNED,
    known=frozenset({_OID_EXTENDED_USAGE}),
)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate whose chain, instance and revocation were established.

    Attributes:
        spki: The certified key, SubjectPublicKeyInfo in DER.
        claims: What the certificate says.
        checks: The outcomes of chain, instance and revocation, in this order.
        needs: Lists of what its issuers revoked that would say more.
    """

    spki: bytes
    claims: CertifiedKey
    checks: tuple[Check, Check, Check]
    needs: tuple[Need, ...] = ()


def read_instance(extension: bytes) -> Instance:
    """Read the instance information of a certificate's extension.

    Raises:
        DerError: It is malformed, or a value is out of bounds.
    """
    top = DerReader(extension)
    outer = top.enter()
    top.finish()
    zone, project_number = _text(outer), _number(outer)
    project_id, instance_id = _text(outer), _number(outer)
    name = _text(outer)
    version: int | None = None
    flags: dict[int, bool] = {}
    if outer.more():
        explicit = outer.enter(_CONTEXT)
        version, flags = _properties(explicit.enter())
        explicit.finish()
    outer.finish()
    production = flags.pop(1, None)
    return Instance(
        zone, project_number, project_id, instance_id, name, version, production, MappingProxyType(flags)
    )


def _properties(reader: DerReader) -> tuple[int | None, dict[int, bool]]:
    version: int | None = None
    flags: dict[int, bool] = {}
    if reader.peek() == _CONTEXT:
        inner = reader.enter(_CONTEXT)
        version = _number(inner)
        inner.finish()
    last = 0
    while reader.more():
        tag = reader.peek() - _CONTEXT
        if not last < tag <= _MAX_FLAGS:
            raise DerError("The security properties of an instance are not in order.")
        inner = reader.enter(_CONTEXT + tag)
        flags[tag] = inner.boolean()
        inner.finish()
        last = tag
    return version, flags


def _number(reader: DerReader) -> int:
    found = reader.integer()
    if found >= _MAX_NUMBER:
        raise DerError("A number of an instance has more than 64 bits.")
    return found


def _text(reader: DerReader) -> str:
    try:
        found = reader.value(_UTF8).decode("utf-8")
    except UnicodeDecodeError:
        raise DerError("A text of an instance is not UTF-8.") from None
    if len(found) > _MAX_TEXT or not found.isprintable():
        raise DerError("A text of an instance is too long or unprintable.")
    return found


def certified(
    certificate: bytes,
    given: Sequence[bytes],
    known: Sequence[bytes],
    crls: Sequence[bytes],
    stated: StatedInstance | None,
    roots: Roots,
    now: datetime,
    facts: FactCache,
) -> tuple[tuple[Check, ...], Certified | None]:
    """Judge the attestation key's certificate.

    Args:
        certificate: The certificate, DER.
        given: Certificates of the evidence up to the root, which may be left out; each must have a place.
        known: Certificates that the verifier has from elsewhere, used where they fit.
        crls: CRLs, DER; without one of an issuer revocation is not proven, and the Claims say so. Those of
            other authorities are passed over.
        stated: What the container says of the instance.
        roots: The roots of trust.
        now: The time at which everything must be valid.
        facts: Where certificates that were verified are remembered.

    Returns:
        The outcomes of ``AK_LAYOUT`` to ``AK_REVOKED``, and what was established; None when a check failed.
    """
    # Certificates stand for themselves: they are short, and comparing them is quicker than hashing them.
    key = (certificate, tuple(given), tuple(known), digest_of(crls), roots.digest)
    shelf = facts.shelf("google_vm.ak")
    found: Certified | None = shelf.get(key, now)
    if found is None:
        try:
            leaf = GeneralCertificate.parse(certificate)
            others = [GeneralCertificate.parse(der) for der in given]
            more = [GeneralCertificate.parse(der) for der in known]
        except DerError as error:
            return (checks.AK_LAYOUT.failed(checks.AK_LAYOUT.id, error.message),), None
        outcomes, found, window = _fresh(leaf, others, more, crls, roots, now)
        if found is None or window is None:
            return (checks.AK_LAYOUT.passed, *outcomes), None
        shelf.put(key, window, found)
    chain, instance, revoked = found.checks
    return (checks.AK_LAYOUT.passed, chain, instance, _agree(found.claims.instance, stated), revoked), found


_UNSTATED: Final = Check(checks.AK_STATED, Outcome.NOT_APPLICABLE, "", "the container states no instance")


def _agree(instance: Instance, stated: StatedInstance | None) -> Check:
    spec = checks.AK_STATED
    if stated is None:
        return _UNSTATED
    same = (
        stated.zone == instance.zone
        and stated.project_id == instance.project_id
        and stated.project_number == instance.project_number
        and stated.instance_name == instance.instance_name
        and stated.instance_id == instance.instance_id
    )
    return spec.passed if same else spec.failed(spec.id, "The container states another instance.")


def _fresh(
    leaf: GeneralCertificate,
    given: list[GeneralCertificate],
    known: list[GeneralCertificate],
    crls: Sequence[bytes],
    roots: Roots,
    now: datetime,
) -> tuple[tuple[Check, ...], Certified | None, Window | None]:
    spec = checks.AK_CHAIN
    placed = _placed(leaf, given, known, roots)
    if isinstance(placed, Check):
        return (placed,), None, None
    between, root = placed
    whole = (leaf, *between, root.general)
    window = verify_path(whole, (_LEAF, *(_BETWEEN,) * len(between), _ROOT), now)
    if isinstance(window, PathDefect):
        return (spec.failed(f"{spec.id}.{window.kind}", window.reason),), None, None
    try:
        instance = read_instance(leaf.extensions.get(OID_INSTANCE, (False, b""))[1])
    except DerError as error:
        wrong = checks.AK_INSTANCE.failed(checks.AK_INSTANCE.id, error.message)
        return (spec.passed, wrong), None, None
    revocation = judge_lists(checks.AK_REVOKED, whole, crls, now, vendor=GOOGLE_VTPM)
    outcomes = (spec.passed, checks.AK_INSTANCE.passed, revocation.check)
    if revocation.check.outcome is Outcome.FAILED:
        return outcomes, None, None
    mark = hashlib.sha256(leaf.der).digest()
    claims = CertifiedKey(
        instance,
        mark,
        root.anchor,
        revocation_checked=revocation.complete,
        named_lists_checked=revocation.named,
    )
    found = Certified(leaf.spki, claims, outcomes, revocation.needs)
    return outcomes, found, window & revocation.window


def _placed(
    leaf: GeneralCertificate,
    given: list[GeneralCertificate],
    known: list[GeneralCertificate],
    roots: Roots,
) -> tuple[list[GeneralCertificate], Root] | Check:
    """Return what stands above a leaf, and the root; or why there is no such chain."""
    spec = checks.AK_CHAIN
    try:
        between, root = _order(leaf, [*given, *known], roots)
    except DerError as error:
        return spec.failed(f"{spec.id}.malformed", error.message)
    if root is None:
        why = "The attestation key's certificate leads to no root of trust that was given."
        return spec.failed(f"{spec.id}.root", why)
    # The client that fetches a chain stops at the certificate that names no issuer's address: the root.
    if any(one not in between and one.der != root.der for one in given):
        return spec.failed(f"{spec.id}.unused", "A certificate that came along has no place in the chain.")
    return between, root


def _order(
    leaf: GeneralCertificate, others: list[GeneralCertificate], roots: Roots
) -> tuple[list[GeneralCertificate], Root | None]:
    """Return what stands between leaf and root, and the root; None when the way ends before one."""
    between: list[GeneralCertificate] = []
    current = leaf
    for _ in range(_MOST_BETWEEN + 1):
        root = _root(current, roots)
        if root is not None:
            return between, root
        issuer = next((one for one in others if one.subject == current.issuer), None)
        if issuer is None or issuer in between:
            break
        between.append(issuer)
        current = issuer
    return between, None


def _root(child: GeneralCertificate, roots: Roots) -> Root | None:
    """Return the root that ``child`` names: by name, and by key where several have it."""
    named = [one for one in roots.of(GOOGLE_VTPM) if one.general.subject == child.issuer]
    stated = authority_key_identifier(child)
    fitting = [one for one in named if stated in (None, one.general.key_identifier())]
    return next(iter(fitting or named), None)
