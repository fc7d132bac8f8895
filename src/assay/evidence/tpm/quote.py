"""The checks of one TPM quote, for every format that carries one.

The checks have the prefix of the format, so that they stand in its ledger under its own names. A format

1. declares them once: ``QUOTE = QuoteSpecs.of("azure-snp.quote")``, and puts ``*QUOTE.all`` where they are
   made into its own tuple of checks;
2. makes them: ``outcome = verify_quote(attest, signature, specs=QUOTE, key=..., bank=..., pcrs=...,
   relied=..., nonce=...)`` and then ``ledger.extend(outcome.checks)``: always one outcome for every check,
   those that were not reached included;
3. reads ``outcome.claims``: None unless all passed, the nonce's aside when the caller left it unchecked.

A format whose binding is the quote's nonce names ``QUOTE.nonce.id`` as its ``binding_check``.

``key`` is what the format has established to be the attestation key: this module proves that the key signed,
not whose key it is. Formats that see the same key again pass an ``AttestationKey`` that they remember. With
``facts``, PCR values that were found to be those of a signed digest are compared the next time, not hashed.

Source: TCG TPM 2.0 Library, part 3, section 18.4 (TPM2_Quote); part 2, section 10.12.8.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.ledger import Check, CheckFailedError, CheckSpec, LedgerBuilder, Outcome
from assay.evidence.tpm.attest import Attest, AttestError
from assay.evidence.tpm.claims import TpmQuoteClaims
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.registers import compare_registers
from assay.evidence.tpm.signature import TpmSignature
from assay.evidence.verification import Expected, Unchecked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import MappingProxyType

    from assay.evidence.facts import FactCache
    from assay.evidence.tpm.quote_checks import QuoteSpecs
    from assay.evidence.verification import Binding

STRONG = frozenset(Algorithm) - {Algorithm.SHA1}
"""Banks that are accepted without a policy's word."""


class QuoteOutcome(NamedTuple):
    """What became of a quote.

    Attributes:
        checks: One outcome for each check of the specs, in their order.
        claims: What the quote says; None unless every check passed or, for the nonce, was left open.
        decoded: The quote as decoded, unauthenticated, for display; None when it cannot be read.
        signed_digest: SHA-256 over the signed bytes, 32 bytes.
    """

    checks: tuple[Check, ...]
    claims: TpmQuoteClaims | None
    decoded: Attest | None
    signed_digest: bytes


def verify_quote(
    attest: bytes,
    signature: bytes | TpmSignature,
    *,
    specs: QuoteSpecs,
    key: bytes | AttestationKey,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    relied: frozenset[int],
    nonce: Binding,
    banks: frozenset[Algorithm] = STRONG,
    facts: FactCache | None = None,
) -> QuoteOutcome:
    """Verify a quote and return every check with its outcome. Never raises for bad evidence.

    Args:
        attest: TPMS_ATTEST, without a size in front.
        signature: TPMT_SIGNATURE, or one that was decoded before; ``signature.rsassa`` is that of a bare RSA
            signature.
        specs: The checks under the format's names.
        key: The attestation key: TPMT_PUBLIC, TPM2B_PUBLIC or SPKI in DER, or one that was decoded before;
            empty when there is none, which leaves it and all behind it unchecked.
        bank: The bank that the values were presented as; the signed one must be the same.
        pcrs: The values presented, by PCR index: exactly those that the quote covers.
        relied: PCRs that the quote must cover; may be empty, then it must cover some.
        nonce: What the qualifying data must be, or the caller's word that it is not checked.
        banks: The banks accepted. SHA-1 is accepted only by adding it here, which is a policy's decision.
        facts: Where PCR values are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.type`` when arguments are of another type, ``evidence.call.nonce`` for
            an empty expected nonce: errors of the caller.
    """
    if type(nonce) not in _BINDINGS or type(attest) is not bytes or type(signature) not in _SIGNATURES:
        raise EvidenceError("evidence.call.type", "Quote and signature are bytes, and nothing else.")
    if isinstance(nonce, Expected) and not nonce.value:
        raise EvidenceError("evidence.call.nonce", "An empty nonce is expected: it would bind nothing.")
    noted: list[Check] = []  # what is no plain success; while there is none, the outcomes are ready-made
    digest = hashlib.sha256(attest).digest()
    decoded: Attest | None = None
    claims: TpmQuoteClaims | None = None
    ready = specs.passed
    try:
        decoded = _read(noted, specs, attest)
        ak = _key(noted, specs, key)
        if ak.attributes is None:
            ready = specs.passed_bare
        signed_with = _signature(noted, specs, ak, signature, attest, digest)
        presented = compare_registers(
            noted, specs, decoded, signed_with.algorithm, bank, pcrs, relied, banks, facts
        )
        _nonce(noted, specs, decoded.extra_data, nonce)
        claims = _claims(decoded, signed_with, ak, bank, presented)
    except CheckFailedError:
        pass
    if claims is not None and not noted:
        return _make(QuoteOutcome, (ready, claims, decoded, digest))
    checks = _close(noted, specs, ready, stopped=claims is None)
    if any(check.outcome is Outcome.FAILED for check in noted):
        claims = None
    return QuoteOutcome(checks, claims, decoded, digest)


_make = tuple.__new__  # what the class's own constructor calls, without the step in between
_BINDINGS = (Expected, Unchecked)
_SIGNATURES = (bytes, TpmSignature)


def _close(
    noted: list[Check], specs: QuoteSpecs, ready: tuple[Check, ...], *, stopped: bool
) -> tuple[Check, ...]:
    """Return one outcome for every check, in order: what was noted, and success for the others made.

    Args:
        noted: Outcomes that are no plain success, in their order.
        specs: The checks.
        ready: The outcomes where all passed.
        stopped: Whether the last one noted ended the verification, so that no check behind it was made.
    """
    found = {check.spec: check for check in noted}
    ledger = LedgerBuilder(specs.all)
    for check in ready:
        spec = check.spec
        if spec is specs.digest and specs.selection in found:
            continue  # values of other PCRs than the signed ones are not hashed
        ledger.record(found.get(spec, check))
        if stopped and spec is noted[-1].spec:
            break
    return ledger.close().checks


def _stop(noted: list[Check], spec: CheckSpec, code: str, reason: str) -> CheckFailedError:
    """Note a failure and return what to raise: it ends the verification."""
    noted.append(spec.failed(code, reason))
    return CheckFailedError(code, reason)


def _code(spec: CheckSpec, error: EvidenceError) -> str:
    """Return a decoder's code under the name of the check that it fails."""
    return f"{spec.id}.{error.code.rpartition('.')[2]}"


def _read(noted: list[Check], specs: QuoteSpecs, attest: bytes) -> Attest:
    try:
        return Attest.parse(attest)
    except AttestError as error:
        if error.part == "layout":
            raise _stop(noted, specs.layout, _code(specs.layout, error), error.message) from error
        spec = specs.magic if error.part == "magic" else specs.kind
        raise _stop(noted, spec, spec.id, error.message) from error


def _key(noted: list[Check], specs: QuoteSpecs, key: bytes | AttestationKey) -> AttestationKey:
    if key == b"":
        reason = "not checked: the attestation key was not given"
        noted.append(Check(specs.key, Outcome.NOT_CHECKED, f"{specs.key.id}.missing", reason))
        raise CheckFailedError(noted[-1].code, reason)
    try:
        found = key if isinstance(key, AttestationKey) else AttestationKey.parse(key)
    except EvidenceError as error:
        raise _stop(noted, specs.key, _code(specs.key, error), error.message) from error
    if found.lacks:
        reason = f"The public area of the attestation key lacks: {', '.join(found.lacks)}."
        noted.append(specs.attributes.failed(specs.attributes.id, reason))
    return found


def _signature(
    noted: list[Check],
    specs: QuoteSpecs,
    key: AttestationKey,
    signature: bytes | TpmSignature,
    attest: bytes,
    digest: bytes,
) -> TpmSignature:
    try:
        found = signature if isinstance(signature, TpmSignature) else TpmSignature.parse(signature)
    except EvidenceError as error:
        raise _stop(noted, specs.encoding, _code(specs.encoding, error), error.message) from error
    algorithm = found.algorithm
    if not key.admits(found):
        raise _stop(
            noted,
            specs.scheme,
            f"{specs.scheme.id}.mismatch",
            f"The signature is {found.scheme.name} with {algorithm.name}: not what this key makes.",
        )
    if algorithm is _SHA1:
        reason = "The signature is over a SHA-1 hash: it can be forged."
        noted.append(specs.scheme.failed(f"{specs.scheme.id}.weak", reason))
    # The digest that names the quote is the signed one as well, nearly always: it is made once.
    if not key.verifies_digest(found, digest if algorithm is _SHA256 else algorithm.digest(attest)):
        raise _stop(
            noted,
            specs.signature,
            specs.signature.id,
            "The signature over the quote is not the attestation key's.",
        )
    return found


_SHA1, _SHA256 = Algorithm.SHA1, Algorithm.SHA256


def _nonce(noted: list[Check], specs: QuoteSpecs, extra_data: bytes, nonce: Binding) -> None:
    spec = specs.nonce
    if isinstance(nonce, Unchecked):
        reason = f"not checked: {nonce.reason}"
        noted.append(Check(spec, Outcome.NOT_CHECKED, spec.id + ".unchecked", reason))
    elif not hmac.compare_digest(extra_data, nonce.value):
        reason = "The qualifying data are not the ones expected."
        noted.append(spec.failed(spec.id + ".mismatch", reason))


def _claims(
    quote: Attest,
    signature: TpmSignature,
    key: AttestationKey,
    bank: Algorithm,
    pcrs: MappingProxyType[int, bytes],
) -> TpmQuoteClaims:
    return TpmQuoteClaims(
        *quote[:7],  # from the qualified signer to the firmware's version, as they stand in the quote
        bank,
        quote.selections[0].pcrs if len(quote.selections) == 1 else tuple(pcrs),
        quote.pcr_digest,
        pcrs,
        signature.algorithm,
        key.digest,
        key.name,
    )
