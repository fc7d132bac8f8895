"""The certificates under a Nitro document: root, region, zone, instance, and the module's own leaf.

AWS names them, and each name narrows the one above: region, then zone in that region, then the instance, then
one enclave or NitroTPM of that instance. A certificate of another position or region is refused in each.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.evidence.decoding.der import DerError
from assay.evidence.nitro import checks
from assay.evidence.x509.general import GeneralCertificate, KeyKind
from assay.evidence.x509.path import (
    DIGITAL_SIGNATURE,
    DefectKind,
    PathDefect,
    PathLength,
    Position,
    issue_defect,
)
from assay.evidence.x509.signature import SignatureAlgorithm

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from datetime import datetime

    from assay.evidence.facts import FactCache, FactShelf, Window
    from assay.evidence.ledger import CheckSpec, LedgerBuilder
    from assay.evidence.nitro.document import Document
    from assay.evidence.roots import Root, Roots
    from assay.evidence.x509.signature import PublicKey

SHELF: Final = "nitro.chains"
_LENGTH: Final = 5

_REGION: Final = r"(?P<region>[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2})"
_REGIONAL_NAME: Final = re.compile(rf"[0-9a-z]{{1,32}}\.{_REGION}\.aws\.nitro-enclaves")
_ZONAL_NAME: Final = re.compile(rf"[0-9a-z]{{1,32}}\.zonal\.{_REGION}\.aws\.nitro-enclaves")
_INSTANCE_NAME: Final = re.compile(rf"(?P<instance>i-[0-9a-f]{{8,17}})\.{_REGION}\.aws\.nitro-enclaves")
_LEAF_NAME: Final = re.compile(
    rf"(?P<module>(?P<instance>i-[0-9a-f]{{8,17}})-[0-9a-z]{{1,32}})\.{_REGION}\.aws"
)


@dataclass(frozen=True, slots=True)
class NitroChain:
    """What a verified chain establishes.

    Attributes:
        root: The root it ended in.
        key: The leaf's key, P-384.
        module_id: The module that the leaf is for.
        instance_id: The EC2 instance.
        region: Its region.
        window: When the whole chain is valid.
    """

    root: Root
    key: PublicKey
    module_id: str
    instance_id: str
    region: str
    window: Window


def _named(pattern: re.Pattern[str], title: str) -> Position:
    def defect(certificate: GeneralCertificate) -> str | None:
        if pattern.fullmatch(certificate.common_name):
            return None
        return f"The {title} is not named as one."

    authority = title != "leaf certificate"
    return Position(
        title=title,
        authority=authority,
        names=defect,
        keys=_KEYS,
        algorithms=_ALGORITHMS,
        path_length=_PATH_LENGTHS.get(title, PathLength.ANY),
        usage=0 if authority else DIGITAL_SIGNATURE,
    )


_KEYS: Final = frozenset({KeyKind.P384})
_ALGORITHMS: Final = frozenset({SignatureAlgorithm.ECDSA_SHA384})
_PATH_LENGTHS: Final = {"regional certificate": 2, "zonal certificate": 1, "instance certificate": 0}

POSITIONS: Final = (
    _named(_LEAF_NAME, "leaf certificate"),
    _named(_INSTANCE_NAME, "instance certificate"),
    _named(_ZONAL_NAME, "zonal certificate"),
    _named(_REGIONAL_NAME, "regional certificate"),
    Position(
        title="root certificate",
        authority=True,
        names=frozenset({"aws.nitro-enclaves"}),
        keys=_KEYS,
        algorithms=_ALGORITHMS,
        path_length=PathLength.NONE,
    ),
)
"""What stands where, leaf first."""

_CHECK_OF: Final = {
    DefectKind.KEY: checks.NITRO_CHAIN_KEYS,
    DefectKind.ROLE: checks.NITRO_CHAIN_ROLES,
    DefectKind.NAME: checks.NITRO_CHAIN_NAMES,
}


def verify_chain(
    ledger: LedgerBuilder, document: Document, roots: Roots, at: datetime, facts: FactCache
) -> NitroChain:
    """Verify a document's chain to a root of trust and record ``CHAIN_CHECKS``; validity is the caller's.

    Args:
        ledger: Where the outcomes go.
        document: The document.
        roots: The roots that the chain may end in.
        at: The time at which a chain that is remembered must be valid.
        facts: Where verified chains are remembered.

    Raises:
        CheckFailedError: A check failed on which everything below it rests.
    """
    shelf: FactShelf[NitroChain] = facts.shelf(SHELF)
    key = _key(document, roots)
    chain = shelf.get(key, at)
    if chain is None:
        chain = _fresh(ledger, document, roots)
        if at in chain.window:
            shelf.put(key, chain.window, chain)
        return chain
    ledger.passed(checks.NITRO_ROOT_PINNED, checks.NITRO_CHAIN_LAYOUT, checks.NITRO_CHAIN_KEYS)
    _judge_module(ledger, document, chain.module_id)
    ledger.passed(checks.NITRO_CHAIN_ROLES, checks.NITRO_CHAIN_SIGNATURES)
    return chain


def _key(document: Document, roots: Roots) -> Hashable:
    parts = (document.certificate, *document.cabundle)
    return hashlib.sha256(b"".join(parts)).digest(), tuple(map(len, parts)), roots.digest


def _fresh(ledger: LedgerBuilder, document: Document, roots: Roots) -> NitroChain:
    root = next((entry for entry in roots.of("aws") if entry.der == document.cabundle[0]), None)
    if root is None:
        mark = hashlib.sha256(document.cabundle[0]).hexdigest()
        raise ledger.fail(
            checks.NITRO_ROOT_PINNED,
            "nitro.root.not_pinned",
            f"The first certificate of the CA bundle, SHA-256 {mark}, is none of the roots given.",
        )
    ledger.passed(checks.NITRO_ROOT_PINNED)
    certificates = _decoded(ledger, document, root)
    defects = _defects(certificates)
    _settle(ledger, checks.NITRO_CHAIN_KEYS, defects)
    instance_id, region, module_id = _names(ledger, certificates, defects)
    _judge_module(ledger, document, module_id)
    _settle(ledger, checks.NITRO_CHAIN_ROLES, defects)
    for place, child in enumerate(certificates[:-1]):
        defect = issue_defect(child, certificates[place + 1], POSITIONS[place].title)
        if defect is not None:
            raise ledger.fail(checks.NITRO_CHAIN_SIGNATURES, checks.NITRO_CHAIN_SIGNATURES.id, defect.reason)
    try:
        key = certificates[0].key()
    except DerError as error:
        raise ledger.fail(checks.NITRO_CHAIN_SIGNATURES, "nitro.chain.leaf_key", error.message) from None
    ledger.passed(checks.NITRO_CHAIN_SIGNATURES)
    window = root.general.window
    for certificate in certificates[:-1]:
        window &= certificate.window
    return NitroChain(root, key, module_id, instance_id, region, window)


def _decoded(ledger: LedgerBuilder, document: Document, root: Root) -> tuple[GeneralCertificate, ...]:
    """Return the chain, leaf first; record ``CHAIN_LAYOUT``."""
    if len(document.cabundle) != _LENGTH - 1:
        raise ledger.fail(
            checks.NITRO_CHAIN_LAYOUT,
            "nitro.chain.length",
            f"The CA bundle holds {len(document.cabundle)} certificates, not {_LENGTH - 1}.",
        )
    try:
        found = [
            GeneralCertificate.parse(der) for der in (document.certificate, *reversed(document.cabundle[1:]))
        ]
    except DerError as error:
        raise ledger.fail(checks.NITRO_CHAIN_LAYOUT, "nitro.chain.malformed", error.message) from None
    ledger.passed(checks.NITRO_CHAIN_LAYOUT)
    return (*found, root.general)


def _defects(certificates: Sequence[GeneralCertificate]) -> dict[CheckSpec, PathDefect]:
    """Return what is wrong with certificates in their positions, the first of each kind.

    A position stops at its first defect: key, then name, then role. So a check has passed in all of them when
    neither it nor one before it is found.
    """
    found: dict[CheckSpec, PathDefect] = {}
    for place, (certificate, position) in enumerate(zip(certificates, POSITIONS, strict=True)):
        defect = position.defect(certificate, max(place - 1, 0))
        if defect is not None:
            found.setdefault(_CHECK_OF[defect.kind], defect)
    return found


def _settle(ledger: LedgerBuilder, spec: CheckSpec, defects: dict[CheckSpec, PathDefect]) -> None:
    if spec in defects:
        raise ledger.fail(spec, spec.id, defects[spec].reason)
    ledger.passed(spec)


def _judge_module(ledger: LedgerBuilder, document: Document, module_id: str) -> None:
    if module_id == document.module_id:
        ledger.passed(checks.NITRO_CHAIN_NAMES)
    else:
        ledger.failed(
            checks.NITRO_CHAIN_NAMES,
            "nitro.chain.module",
            "The leaf certificate is of another module than the document.",
        )


def _names(
    ledger: LedgerBuilder,
    certificates: Sequence[GeneralCertificate],
    defects: dict[CheckSpec, PathDefect],
) -> tuple[str, str, str]:
    """Return instance, region and module that all names agree on."""
    spec = checks.NITRO_CHAIN_NAMES
    if spec in defects:
        raise ledger.fail(spec, spec.id, defects[spec].reason)
    patterns = (_LEAF_NAME, _INSTANCE_NAME, _ZONAL_NAME, _REGIONAL_NAME)
    found = [
        match.groupdict()
        for pattern, certificate in zip(patterns, certificates, strict=False)
        if (match := pattern.fullmatch(certificate.common_name))
    ]
    leaf, instance = found[0], found[1]
    if leaf["instance"] != instance["instance"] or len({names["region"] for names in found}) != 1:
        raise ledger.fail(spec, spec.id, "The certificates are of two regions or instances.")
    return leaf["instance"], leaf["region"], leaf["module"]
