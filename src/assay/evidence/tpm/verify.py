"""The verification of a stand-alone TPM: its quote, whose key signed it, its event logs and IMA log.

A TPM without a confidential machine around it proves what booted, to whoever trusts its attestation key. No
vendor root is pinned for such keys: the evidence ends in what the caller gave, and is therefore always
*simulated*: no hardware root stands behind it here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.errors import EvidenceError
from assay.evidence.eventlog.boot import verify_boot_log
from assay.evidence.ima.verify import IMA_PCR, verify_ima
from assay.evidence.ledger import LedgerBuilder
from assay.evidence.tpm import checks
from assay.evidence.tpm.claims import TpmClaims
from assay.evidence.tpm.container import Section, TpmEvidence
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
    from assay.evidence.tpm.quote import QuoteOutcome
    from assay.evidence.tpm.trust import TrustedKey
    from assay.evidence.verification import Binding

PLATFORM = "tpm"
_JSON = b"{"
_BINDING_NEED = Need("binding", {}, "The qualifying data were not compared with anything.")


@dataclass(frozen=True, slots=True)
class TpmEndorsements:
    """What vouches for an attestation key.

    Attributes:
        ak: The key itself, from a channel that the caller trusts: TPMT_PUBLIC (then its attributes are
            checked), TPM2B_PUBLIC or SPKI in DER. Empty to rest on a certificate.
        certificates: Issuers of the AK certificate that the evidence does not carry, or an AK certificate for
            the key that it presents, DER, in any order; at most eight are of use.
    """

    ak: bytes = b""
    certificates: tuple[bytes, ...] = ()


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
    given = endorsements or TpmEndorsements()
    ledger = LedgerBuilder(checks.CHECKS)
    try:
        read = TpmEvidence.from_json if evidence[:1] == _JSON else TpmEvidence.parse
        pieces = read(evidence)
    except EvidenceError as error:
        ledger.failed(checks.LAYOUT, f"{checks.LAYOUT.id}.{error.code.rpartition('.')[2]}", error.message)
        return _unreadable(evidence, ledger)
    ledger.passed(checks.LAYOUT)
    outcomes, trusted = trust_key(
        given.ak, pieces.public, pieces.certificates, given.certificates, roots, now, facts
    )
    ledger.extend(outcomes)
    key = trusted.key if trusted else pieces.public
    quote = verify_quote(
        pieces.attest,
        pieces.signature,
        specs=checks.QUOTE,
        key=key,
        bank=pieces.bank,
        pcrs=pieces.pcrs,
        relied=frozenset(),
        nonce=binding,
        banks=banks,
    )
    ledger.extend(quote.checks)
    boot: BootLogClaims | None = None
    ima: ImaClaims | None = None
    unsigned = _public_region(pieces)
    if quote.claims is not None:
        boot, ima, regions = _logs(ledger, pieces, quote.claims)
        unsigned = (*unsigned, *regions)
    return EvidenceResult(
        platform=PLATFORM,
        ledger=ledger.close(),
        binding_check=checks.QUOTE.nonce.id,
        anchor=trusted.anchor if trusted else None,
        signed_digest=quote.signed_digest,
        unsigned=unsigned,
        needs=_needs(trusted, binding),
        decoded=_decoded(pieces, quote),
        _claims=_claims(quote.claims, trusted, boot, ima),
    )


def _unreadable(evidence: bytes, ledger: LedgerBuilder) -> EvidenceResult[TpmClaims]:
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
    ledger: LedgerBuilder, pieces: TpmEvidence, quote: TpmQuoteClaims
) -> tuple[BootLogClaims | None, ImaClaims | None, tuple[UnsignedRegion, ...]]:
    """Explain every quoted PCR by the logs there are; IMA explains its own."""
    explained = frozenset(quote.pcrs) - ({IMA_PCR} if pieces.ima_log else frozenset())
    regions: list[UnsignedRegion] = []
    boot: BootLogClaims | None = None
    if explained:
        log = verify_boot_log(
            pieces.event_log,
            pieces.canonical_log,
            specs=checks.LOG,
            bank=quote.bank,
            pcrs=quote.pcrs,
            explained=explained,
        )
        ledger.extend(log.checks)
        boot = log.claims
        regions += _moved(log.unsigned, pieces.places.get(Section.EVENT_LOG, 0))
        regions += _moved(log.unsigned_canonical, pieces.places.get(Section.CANONICAL_LOG, 0))
    else:
        for spec in checks.LOG.all:
            ledger.not_applicable(spec, "the quote covers no PCR that an event log explains")
    ima = verify_ima(pieces.ima_log, specs=checks.IMA, bank=quote.bank, pcrs=quote.pcrs)
    ledger.extend(ima.checks)
    regions += _moved(ima.unsigned, pieces.places.get(Section.IMA_LOG, 0))
    return boot, ima.claims, tuple(regions)


def _moved(regions: tuple[UnsignedRegion, ...], by: int) -> list[UnsignedRegion]:
    return [UnsignedRegion(region.start + by, region.end + by, region.name) for region in regions]


def _public_region(pieces: TpmEvidence) -> tuple[UnsignedRegion, ...]:
    """A public area in the evidence is compared by its key alone; no claim rests on the rest of it."""
    start = pieces.places.get(Section.PUBLIC)
    if start is None:
        return ()
    return (UnsignedRegion(start, start + len(pieces.public), "public area: only its key was compared"),)


def _needs(trusted: TrustedKey | None, binding: Binding) -> tuple[Need, ...]:
    found = []
    if trusted is None:
        found.append(Need("ak", {}, "The attestation key, or a certificate for it, has to be given."))
    if isinstance(binding, Unchecked):
        found.append(_BINDING_NEED)
    return tuple(found)


def _claims(
    quote: TpmQuoteClaims | None,
    trusted: TrustedKey | None,
    boot: BootLogClaims | None,
    ima: ImaClaims | None,
) -> TpmClaims | None:
    if quote is None or trusted is None:
        return None
    return TpmClaims(quote, boot, ima, trusted.certified, trusted.common_name)


def _decoded(pieces: TpmEvidence, quote: QuoteOutcome) -> dict[str, Any]:
    attest = quote.decoded
    found: dict[str, Any] = {"bank": pieces.bank.name.lower(), "pcrs": sorted(pieces.pcrs)}
    if attest is not None:
        found |= {
            "extra_data": attest.extra_data.hex(),
            "clock": attest.clock,
            "reset_count": attest.reset_count,
            "restart_count": attest.restart_count,
            "safe": attest.safe,
            "firmware_version": f"{attest.firmware_version:016x}",
        }
    return found
