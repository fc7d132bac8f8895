"""A chain of certificates against the positions in which they stand, at a stated time.

"It chains to the root" says nothing about what a key may sign. Each position says how its certificate is
called, what kind of key it holds, what it is signed with, what it may issue and what it may be used for.
Revocation and the extensions of a format are the format's own checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerError, DerReader
from assay.evidence.x509.certificate import (
    OID_AUTHORITY_KEY_IDENTIFIER,
    OID_BASIC_CONSTRAINTS,
    OID_KEY_USAGE,
)
from assay.evidence.x509.general import usage_bits
from assay.evidence.x509.roles import CRL_SIGN, DIGITAL_SIGNATURE, KEY_CERT_SIGN

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from assay.evidence.facts import Window
    from assay.evidence.x509.general import GeneralCertificate, KeyKind
    from assay.evidence.x509.signature import SignatureAlgorithm

MAX_PATH: Final = 10
"""Certificates of one chain, at most: checked before any signature."""

_MOST_CAS_BELOW: Final = 127


class PathLength(Enum):
    """What a position says of the path length constraint, beside an exact number."""

    NONE = "there must be none"
    ANY = "whatever stands there, as long as the chain keeps to it"


@dataclass(frozen=True, slots=True)
class Position:
    """What the certificate at one place of a chain must be.

    Attributes:
        title: How a person calls it: ``VCEK``.
        authority: Whether it issues certificates; a certificate that does not must not be able to.
        names: The common names that may stand there, or a function that returns what is wrong with the
            certificate's names (None when nothing is).
        keys: The kinds of key that it may hold.
        algorithms: What it may be signed with.
        path_length: The exact constraint, or a word for it; only for an authority.
        usage: Bits of KeyUsage that must be set, besides keyCertSign for an authority.
        usage_required: Whether KeyUsage must be there at all.
        constraints_required: Whether BasicConstraints must be there; an authority's always must.
        known: Extensions (DER content of their identifiers) that may be critical, besides these two.
        required: Extensions that must be there.
    """

    title: str
    authority: bool
    names: frozenset[str] | Callable[[GeneralCertificate], str | None]
    keys: frozenset[KeyKind]
    algorithms: frozenset[SignatureAlgorithm]
    path_length: int | PathLength = PathLength.ANY
    usage: int = 0
    usage_required: bool = True
    constraints_required: bool = True
    known: frozenset[bytes] = field(default=frozenset())
    required: frozenset[bytes] = field(default=frozenset())

    def defect(self, certificate: GeneralCertificate, below: int) -> PathDefect | None:
        """Return why a certificate cannot stand in this position; None when it can.

        Args:
            certificate: The certificate.
            below: How many authorities stand between it and the leaf.
        """
        if certificate.key_kind not in self.keys:
            return self._fail(DefectKind.KEY, f"holds a key of the wrong kind ({certificate.key_kind})")
        if certificate.algorithm not in self.algorithms:
            return self._fail(
                DefectKind.KEY, f"is signed with {certificate.algorithm}, not as its role demands"
            )
        wrong_name = self._name_defect(certificate)
        if wrong_name is not None:
            return PathDefect(DefectKind.NAME, self.title, wrong_name)
        try:
            return self._extension_defect(certificate) or self._role_defect(certificate, below)
        except DerError as error:
            return self._fail(DefectKind.ROLE, f"has a malformed extension: {error.message}")

    def _fail(self, kind: DefectKind, what: str) -> PathDefect:
        return PathDefect(kind, self.title, f"The {self.title} {what}.")

    def _name_defect(self, certificate: GeneralCertificate) -> str | None:
        if not isinstance(self.names, frozenset):
            return self.names(certificate)
        if certificate.common_name in self.names:
            return None
        return f"The {self.title} has another name than {' or '.join(sorted(self.names))}."

    def _extension_defect(self, certificate: GeneralCertificate) -> PathDefect | None:
        extensions = certificate.extensions
        if not self.required <= extensions.keys():
            return self._fail(DefectKind.ROLE, "lacks an extension of its role")
        for oid, (critical, _) in extensions.items():
            if critical and oid not in self.known and oid not in (OID_BASIC_CONSTRAINTS, OID_KEY_USAGE):
                return self._fail(DefectKind.ROLE, "has a critical extension that is not known there")
        return None

    def _role_defect(self, certificate: GeneralCertificate, below: int) -> PathDefect | None:
        authority, length = _constraints(certificate)
        if authority is None and (self.authority or self.constraints_required):
            return self._fail(DefectKind.ROLE, "lacks basic constraints")
        if bool(authority) is not self.authority:
            word = "no authority" if self.authority else "an authority"
            return self._fail(DefectKind.ROLE, f"is {word}")
        if length is not None and below > length:
            return self._fail(DefectKind.ROLE, f"allows {length} authorities below it, not {below}")
        if not self._length_fits(length):
            return self._fail(DefectKind.ROLE, "has another path length than its role")
        return self._usage_defect(certificate)

    def _length_fits(self, length: int | None) -> bool:
        if self.path_length is PathLength.ANY:
            return True
        return length is None if self.path_length is PathLength.NONE else length == self.path_length

    def _usage_defect(self, certificate: GeneralCertificate) -> PathDefect | None:
        found = certificate.extensions.get(OID_KEY_USAGE)
        if found is None:
            return self._fail(DefectKind.ROLE, "lacks a key usage") if self.usage_required else None
        bits = usage_bits(found[1])
        needed = self.usage | (KEY_CERT_SIGN if self.authority else 0)
        refused = 0 if self.authority else KEY_CERT_SIGN | CRL_SIGN
        if bits & needed != needed or bits & refused:
            return self._fail(DefectKind.ROLE, "has another key usage than its role")
        return None


def named(title: str, pattern: re.Pattern[str]) -> Callable[[GeneralCertificate], str | None]:
    """Return the rule of a ``Position`` that the whole common name is of a pattern."""

    def defect(certificate: GeneralCertificate) -> str | None:
        if pattern.fullmatch(certificate.common_name):
            return None
        return f"The {title} is called like none."

    return defect


class DefectKind(StrEnum):
    """What is wrong with a chain."""

    LENGTH = "length"
    KEY = "key"
    NAME = "name"
    ROLE = "role"
    ISSUER = "issuer"
    SIGNATURE = "signature"
    VALIDITY = "validity"


@dataclass(frozen=True, slots=True)
class PathDefect:
    """The first thing that is wrong with a chain.

    Attributes:
        kind: What sort of thing.
        title: The position in which it was found; empty for the chain as a whole.
        reason: A sentence for a person.
    """

    kind: DefectKind
    title: str
    reason: str


def verify_path(
    certificates: Sequence[GeneralCertificate], positions: Sequence[Position], now: datetime
) -> Window | PathDefect:
    """Verify a chain: every position, every issuer, every signature, every validity.

    The last certificate is taken as a root that the caller has already found among its roots of trust: its
    own signature is not looked at.

    Args:
        certificates: Leaf first, root last.
        positions: What stands where, in the same order.
        now: The time of the verification, aware.

    Returns:
        The time in which all of them are valid, or the first defect.
    """
    if len(certificates) != len(positions) or not 0 < len(certificates) <= MAX_PATH:
        return PathDefect(
            DefectKind.LENGTH,
            "",
            f"The chain has {len(certificates)} certificates where {len(positions)} are expected.",
        )
    for place, (certificate, position) in enumerate(zip(certificates, positions, strict=True)):
        found = position.defect(certificate, max(place - 1, 0))
        if found is not None:
            return found
    for place, child in enumerate(certificates[:-1]):
        found = issue_defect(child, certificates[place + 1], positions[place].title)
        if found is not None:
            return found
    return _window(certificates, positions, now)


def issue_defect(child: GeneralCertificate, issuer: GeneralCertificate, title: str) -> PathDefect | None:
    """Return why ``issuer`` did not issue ``child``; None when it did.

    Compared are the names, byte for byte, the key identifiers where both are stated, and the signature.
    """
    if child.issuer != issuer.subject:
        return PathDefect(DefectKind.ISSUER, title, f"The {title} names another issuer.")
    try:
        stated, own = authority_key_identifier(child), issuer.key_identifier()
        if stated is not None and own is not None and stated != own:
            return PathDefect(DefectKind.ISSUER, title, f"The {title} names another key of its issuer.")
        signed = issuer.verify(child)
    except DerError as error:
        return PathDefect(DefectKind.ISSUER, title, f"The issuer of the {title} is unusable: {error.message}")
    if not signed:
        return PathDefect(DefectKind.SIGNATURE, title, f"The signature of the {title} is not its issuer's.")
    return None


def authority_key_identifier(certificate: GeneralCertificate) -> bytes | None:
    """Return the key identifier of the AuthorityKeyIdentifier, or None when it states none.

    Raises:
        DerError: The extension is malformed.
    """
    found = certificate.extensions.get(OID_AUTHORITY_KEY_IDENTIFIER)
    if found is None:
        return None
    reader = DerReader(found[1])
    inner = reader.enter()
    reader.finish()
    return inner.value(0x80) if inner.peek() == 0x80 else None


def _window(
    certificates: Sequence[GeneralCertificate], positions: Sequence[Position], now: datetime
) -> Window | PathDefect:
    window = certificates[0].window
    for certificate, position in zip(certificates, positions, strict=True):
        valid = certificate.window
        if now not in valid:
            when = "expired" if now > valid.end else "is not valid yet"
            limit = valid.end if now > valid.end else valid.start
            return PathDefect(
                DefectKind.VALIDITY,
                position.title,
                f"The {position.title} {when} ({limit.isoformat()}).",
            )
        window &= valid
    return window


def _constraints(certificate: GeneralCertificate) -> tuple[bool | None, int | None]:
    """Return whether it is an authority (None: not stated) and its path length constraint."""
    found = certificate.extensions.get(OID_BASIC_CONSTRAINTS)
    return (None, None) if found is None else _read_constraints(found[1])


@lru_cache(maxsize=64)
def _read_constraints(extension: bytes) -> tuple[bool, int | None]:
    """Read BasicConstraints; remembered, because certificates have the same few."""
    reader = DerReader(extension)
    inner = reader.enter()
    reader.finish()
    # Some issuers write the default out, which DER forbids and nothing rests on.
    authority = inner.boolean() if inner.peek() == 1 else False
    length = inner.integer() if authority and inner.more() else None
    inner.finish()
    if length is not None and length > _MOST_CAS_BELOW:
        raise DerError("A path length is larger than any chain.")
    return authority, length


__all__ = [
    "CRL_SIGN",
    "DIGITAL_SIGNATURE",
    "KEY_CERT_SIGN",
    "DefectKind",
    "PathDefect",
    "PathLength",
    "Position",
    "authority_key_identifier",
    "issue_defect",
    "verify_path",
]
