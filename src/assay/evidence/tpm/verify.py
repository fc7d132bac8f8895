"""The verification of a stand-alone TPM: its quote, whose key signed it, its event logs and IMA log.

A TPM without a confidential machine around it proves what booted, to whoever trusts its attestation key. No
vendor root is pinned for such keys: the evidence ends in what the caller gave, and is therefore always
*simulated*: no hardware root stands behind it here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.eventlog.boot import verify_boot_log
from assay.evidence.ima.verify import IMA_PCR, verify_ima
from assay.evidence.ledger import Check, Ledger, LedgerBuilder, Outcome
from assay.evidence.tpm import checks
from assay.evidence.tpm.claims import TpmClaims
from assay.evidence.tpm.container import Section, TpmEvidence
from assay.evidence.tpm.decoded import DecodedTpm
from assay.evidence.tpm.quote import STRONG, verify_quote
from assay.evidence.tpm.trust import trust_key
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.eventlog.algorithms import Algorithm
    from assay.evidence.eventlog.boot import BootLogClaims
    from assay.evidence.facts import FactCache
    from assay.evidence.ima.verify import ImaClaims
    from assay.evidence.roots import Roots
    from assay.evidence.tpm.claims import TpmQuoteClaims
    from assay.evidence.tpm.trust import TrustedKey
    from assay.evidence.verification import Binding

PLATFORM = "tpm"
_JSON = b"{"
_BINDING_NEED = Need("binding", {}, "The qualifying data were not compared with anything.")
_KEY_NEED = Need("ak", {}, "The attestation key, or a certificate for it, has to be given.")
_NO_PCRS: frozenset[int] = frozenset()
_NOT_EXPLAINED = tuple(
    Check(spec, Outcome.NOT_APPLICABLE, "", "the quote covers no PCR that an event log explains")
    for spec in checks.LOG.all
)


@dataclass(frozen=True, slots=True)
class TpmEndorsements:
    """What vouches for an attestation key.

    Attributes:
        ak: The key itself, from a channel that the caller trusts: TPMT_PUBLIC (then its attributes are
            checked), TPM2B_PUBLIC or SPKI in DER. Empty to rest on a certificate.
        certificates: Issuers of the AK certificate that the evidence does not carry, or an AK certificate for
            the key that it presents, DER, in any order; at most eight are of use.
        crls: CRLs, DER, in any order; those of issuers of the AK certificate and above it count.
    """

    ak: bytes = b""
    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()


_NOTHING_GIVEN = TpmEndorsements()


def verify_tpm(
    evidence: bytes,
    *,
    endorsements: TpmEndorsements | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
    banks: frozenset[Algorithm] = STRONG,
) -> EvidenceResult[TpmClaims]:
    """Verify the evidence of a TPM and return every check with its outcome. Never raises for bad evidence.

    Args:
        evidence: A container (``container.TpmEvidence.encode``), or the JSON of the Confidential Containers
            TPM attester.
        endorsements: What vouches for the attestation key; None when the evidence carries all of a chain.
        roots: The roots of trust; those of ``roots.TPM`` count.
        now: The time at which certificates must be valid; aware.
        binding: What the quote's qualifying data must be, or the caller's word that they are not checked.
        facts: Where verified facts are remembered between calls.
        banks: The PCR banks accepted; SHA-1 only by adding it here.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``, ``evidence.call.type`` for arguments of
            other types, ``evidence.call.nonce`` for an empty expected nonce: errors of the caller.
    """
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    if type(evidence) is not bytes or type(binding) not in (Expected, Unchecked):
        raise EvidenceError("evidence.call.type", "Evidence is bytes, and a binding expected or unchecked.")
    given = endorsements or _NOTHING_GIVEN
    try:
        pieces = TpmEvidence.from_json(evidence) if evidence[:1] == _JSON else TpmEvidence.parse(evidence)
    except EvidenceError as error:
        return _unreadable(evidence, error)
    trust = trust_key(
        given.ak, pieces.public, pieces.certificates, given.certificates, given.crls, roots, now, facts
    )
    trusted = trust.key
    quote = verify_quote(
        pieces.attest,
        pieces.signature,
        specs=checks.QUOTE,
        key=trusted.key if trusted else pieces.public,
        bank=pieces.bank,
        pcrs=pieces.pcrs,
        relied=_NO_PCRS,
        nonce=binding,
        banks=banks,
        facts=facts,
    )
    claims: TpmClaims | None = None
    unsigned = _public_region(pieces)
    if quote.claims is None:
        ledger = LedgerBuilder(checks.CHECKS)
        ledger.passed(checks.LAYOUT)
        ledger.extend((*trust.outcomes.checks, *quote.checks))
        closed = ledger.close()
    else:
        explanations, boot, ima, regions = _logs(pieces, quote.claims)
        quoted = quote.checks
        if trust.whole is not None and quoted is trust.quoted and explanations is checks.NO_LOGS:
            closed = trust.whole
        else:
            # Every part has an outcome for each of its checks: so they only have to be put in order.
            made = (*trust.outcomes.checks, *quoted[:-1], *explanations, quoted[-1])
            closed = Ledger((checks.LAYOUT.passed, *made))
        unsigned += regions
        if trusted is not None:
            claims = TpmClaims(
                quote.claims,
                boot,
                ima,
                trusted.certified,
                trusted.common_name,
                trusted.revocation_checked,
                trusted.named_lists_checked,
            )
    return EvidenceResult(
        PLATFORM,
        closed,
        checks.QUOTE.nonce.id,
        trusted.anchor if trusted else None,
        quote.signed_digest,
        unsigned,
        _needs(trusted, binding),
        DecodedTpm(pieces, quote.decoded),
        claims,
    )


def _unreadable(evidence: bytes, error: EvidenceError) -> EvidenceResult[TpmClaims]:
    ledger = LedgerBuilder(checks.CHECKS)
    ledger.failed(checks.LAYOUT, f"{checks.LAYOUT.id}.{error.code.rpartition('.')[2]}", error.message)
    return EvidenceResult(
        platform=PLATFORM,
        ledger=ledger.close(),
        binding_check=checks.QUOTE.nonce.id,
        anchor=None,
        signed_digest=hashlib.sha256(evidence).digest(),
        unsigned=(UnsignedRegion(0, len(evidence), "all of it: the container cannot be read"),),
        needs=(),
        decoded={},
        _claims=None,
    )


def _logs(
    pieces: TpmEvidence, quote: TpmQuoteClaims
) -> tuple[tuple[Check, ...], BootLogClaims | None, ImaClaims | None, tuple[UnsignedRegion, ...]]:
    """Explain every quoted PCR by the logs there are; IMA explains its own.

    Returns:
        The outcomes of the logs' checks in their order, what the logs say, and what nothing proves of them.
    """
    if not (pieces.event_log or pieces.canonical_log or pieces.ima_log):
        return checks.NO_LOGS, None, None, ()
    explained = frozenset(quote.pcrs) - ({IMA_PCR} if pieces.ima_log else _NO_PCRS)
    regions: list[UnsignedRegion] = []
    boot: BootLogClaims | None = None
    outcomes = _NOT_EXPLAINED
    if explained:
        log = verify_boot_log(
            pieces.event_log,
            pieces.canonical_log,
            specs=checks.LOG,
            bank=quote.bank,
            pcrs=quote.pcrs,
            explained=explained,
        )
        outcomes, boot = log.checks, log.claims
        regions += _moved(log.unsigned, pieces.places.get(Section.EVENT_LOG, 0))
        regions += _moved(log.unsigned_canonical, pieces.places.get(Section.CANONICAL_LOG, 0))
    ima = verify_ima(pieces.ima_log, specs=checks.IMA, bank=quote.bank, pcrs=quote.pcrs)
    regions += _moved(ima.unsigned, pieces.places.get(Section.IMA_LOG, 0))
    return (*outcomes, *ima.checks), boot, ima.claims, tuple(regions)


def _moved(regions: tuple[UnsignedRegion, ...], by: int) -> list[UnsignedRegion]:
    return [UnsignedRegion(region.start + by, region.end + by, region.name) for region in regions]


def _public_region(pieces: TpmEvidence) -> tuple[UnsignedRegion, ...]:
    """A public area in the evidence is compared by its key alone; no claim rests on the rest of it."""
    start = pieces.places.get(Section.PUBLIC)
    if start is None:
        return ()
    return (UnsignedRegion(start, start + len(pieces.public), "public area: only its key was compared"),)


def _needs(trusted: TrustedKey | None, binding: Binding) -> tuple[Need, ...]:
    found = () if trusted is not None else (_KEY_NEED,)
    return (*found, _BINDING_NEED) if isinstance(binding, Unchecked) else found
