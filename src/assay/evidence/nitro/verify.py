"""The verification of a Nitro attestation document.

No other document vouches for it: AWS publishes no revocation lists, and its certificates live for hours. What
is remembered between calls is the chain down to the leaf's key; a further document of the same module then
costs one signature.
"""

from __future__ import annotations

import hashlib
import hmac
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import CoseError
from assay.evidence.ledger import Check, CheckFailedError, LedgerBuilder, Outcome
from assay.evidence.nitro import checks
from assay.evidence.nitro.chains import verify_chain
from assay.evidence.nitro.claims import NitroClaims
from assay.evidence.nitro.decoded import DecodedDocument
from assay.evidence.nitro.document import DocumentError, parse_document
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.facts import FactCache, Window
    from assay.evidence.nitro.chains import NitroChain
    from assay.evidence.nitro.claims import Carrier, Platform, Validity
    from assay.evidence.nitro.document import Document
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Binding

_PLATFORMS: Final = ("nitro", "nitro-tpm")
_CARRIERS: Final = ("user_data", "nonce", "public_key")
_VALIDITIES: Final = ("now", "document")
_BINDINGS: Final = (Expected, Unchecked)
_ALGORITHMS: Final = (Algorithm.ES384,)
_AT_NOW: Final = "the chain is judged at the given time"
_AT_DOCUMENT: Final = "the caller asked for the chain as it was when the document was made"


def verify_nitro(
    evidence: bytes,
    *,
    platform: Platform,
    endorsements: None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
    carrier: Carrier = "user_data",
    validity: Validity = "now",
) -> EvidenceResult[NitroClaims]:
    """Verify an attestation document and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: The document, at most 16 KiB, with or without COSE's tag.
        platform: ``nitro`` for an enclave's document, ``nitro-tpm`` for an instance's.
        endorsements: None: a document brings all that vouches for it.
        roots: The roots of trust; those of AWS are looked at.
        now: The time at which the chain must be valid; aware.
        binding: The bytes that the carrier must hold, or the caller's word that they are not checked.
        facts: Where verified chains are remembered between calls.
        carrier: Which field holds the binding.
        validity: ``document`` judges the chain at the time that the document states, which must not be after
            ``now``: for evidence that is kept. The Claims say so; it proves nothing about now.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``, ``evidence.call.platform`` for an unknown
            platform, carrier or validity, ``evidence.call.type`` when evidence or binding are of
            another type, ``evidence.call.nonce`` when empty bytes are expected: errors of the caller.
    """
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    if platform not in _PLATFORMS or carrier not in _CARRIERS or validity not in _VALIDITIES:
        raise EvidenceError("evidence.call.platform", "Platform, carrier or validity are not known here.")
    expected = binding.value if isinstance(binding, Expected) else b""
    del endorsements  # there are none; the parameter is that of every verifier
    if type(binding) not in _BINDINGS or {type(evidence), type(expected)} != {bytes}:
        raise EvidenceError(
            "evidence.call.type", "A document and what is expected are bytes, and nothing else."
        )
    if isinstance(binding, Expected) and not binding.value:
        raise EvidenceError("evidence.call.nonce", "Empty bytes are expected: they would bind nothing.")
    ledger = LedgerBuilder(checks.NITRO_CHECKS)
    try:
        document = parse_document(evidence, platform)
    except DocumentError as defect:
        place = checks.LAYOUT_CHECKS.index(defect.spec)
        if place > 1:  # a malformed header shows before the rest of the message is looked at
            ledger.passed(*checks.LAYOUT_CHECKS[:place])
        ledger.failed(defect.spec, defect.code, defect.message)
        return _unreadable(evidence, platform, ledger)
    ledger.passed(*checks.LAYOUT_CHECKS)
    signed = document.message.signed()
    chain: NitroChain | None = None
    verified = False
    try:
        at = now if validity == "now" else document.timestamp
        chain = verify_chain(ledger, document, roots, at, facts)
        _judge_time(ledger, document, chain.window, now, validity)
        _judge_signature(ledger, document, chain)
        verified = True
        ledger.extend((_bind(document, carrier, binding),))
    except CheckFailedError:
        pass
    claims = _claims(document, chain, carrier, validity) if chain is not None and verified else None
    return EvidenceResult(
        platform=platform,
        ledger=ledger.close(),
        binding_check=checks.NITRO_BINDING.id,
        anchor=chain.root.anchor if chain is not None else None,
        signed_digest=hashlib.sha256(signed).digest(),
        unsigned=(),
        needs=_needs(binding),
        decoded=DecodedDocument(document),
        _claims=claims,
    )


def _unreadable(data: bytes, platform: Platform, ledger: LedgerBuilder) -> EvidenceResult[NitroClaims]:
    empty: dict[str, Any] = {}
    return EvidenceResult(
        platform=platform,
        ledger=ledger.close(),
        binding_check=checks.NITRO_BINDING.id,
        anchor=None,
        signed_digest=hashlib.sha256(data).digest(),
        unsigned=(UnsignedRegion(0, len(data), "all of it: the document cannot be read"),),
        needs=(),
        decoded=empty,
        _claims=None,
    )


def _judge_time(
    ledger: LedgerBuilder, document: Document, window: Window, now: datetime, validity: Validity
) -> None:
    if validity == "now":
        ledger.not_applicable(checks.NITRO_CHAIN_ARCHIVED, _AT_NOW)
        spec, at = checks.NITRO_CHAIN_VALIDITY, now
    else:
        ledger.not_applicable(checks.NITRO_CHAIN_VALIDITY, _AT_DOCUMENT)
        spec, at = checks.NITRO_CHAIN_ARCHIVED, document.timestamp
    if at > now:
        ledger.failed(spec, "nitro.chain.future", "The document says that it was made in the future.")
    elif at in window:
        ledger.passed(spec)
    else:
        ledger.failed(
            spec,
            spec.id,
            f"The chain is valid {_stamp(window.start)} to {_stamp(window.end)}, the time is {_stamp(at)}.",
        )


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _judge_signature(ledger: LedgerBuilder, document: Document, chain: NitroChain) -> None:
    try:
        document.message.verify(chain.key, algorithms=_ALGORITHMS)
    except CoseError as error:
        raise ledger.fail(
            checks.NITRO_COSE_SIGNATURE, checks.NITRO_COSE_SIGNATURE.id, error.message
        ) from None
    ledger.passed(checks.NITRO_COSE_SIGNATURE)


def _bind(document: Document, carrier: Carrier, binding: Binding) -> Check:
    spec = checks.NITRO_BINDING
    if isinstance(binding, Unchecked):
        return Check(spec, Outcome.NOT_CHECKED, "nitro.binding.unchecked", f"not checked: {binding.reason}")
    found: bytes | None = getattr(document, carrier)
    if found is None:
        return Check(spec, Outcome.FAILED, "nitro.binding.absent", f"The document has no {carrier}.")
    if hmac.compare_digest(found, binding.value):
        return spec.passed
    return Check(spec, Outcome.FAILED, "nitro.binding.mismatch", f"The {carrier} is not the one expected.")


def _needs(binding: Binding) -> tuple[Need, ...]:
    if isinstance(binding, Expected):
        return ()
    return (Need("binding", {}, "Neither user data nor nonce nor public key were compared with anything."),)


def _claims(document: Document, chain: NitroChain, carrier: Carrier, validity: Validity) -> NitroClaims:
    return NitroClaims(
        module_id=document.module_id,
        instance_id=chain.instance_id,
        region=chain.region,
        digest=document.digest,
        timestamp=document.timestamp,
        pcrs=MappingProxyType(document.pcrs),
        public_key=document.public_key,
        user_data=document.user_data,
        nonce=document.nonce,
        debug=document.platform == "nitro" and not any(document.pcrs.get(0, b"")),
        carrier=carrier,
        validity=validity,
        chain_valid_from=chain.window.start,
        chain_valid_until=chain.window.end,
    )
