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
from dataclasses import dataclass, field
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.facts import ALWAYS
from assay.evidence.ledger import Check, CheckFailedError, CheckSpec, LedgerBuilder, Outcome
from assay.evidence.tpm.attest import Attest, AttestError
from assay.evidence.tpm.claims import TpmQuoteClaims
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.signature import TpmSignature
from assay.evidence.verification import Expected, Unchecked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from assay.evidence.facts import FactCache
    from assay.evidence.tpm.attest import BankSelection
    from assay.evidence.verification import Binding

STRONG = frozenset(Algorithm) - {Algorithm.SHA1}
"""Banks that are accepted without a policy's word."""

_PART2 = "TPM 2.0 Library part 2, section "


@dataclass(frozen=True, slots=True)
class QuoteSpecs:
    """The checks of a quote under the names of one format, in the order in which they are made.

    Attributes:
        all: All of them, for the format's own list.
        passed: Ready-made outcomes of all checks where all passed.
        passed_bare: The same for a key whose attributes are not known, because only the public key was given.
    """

    layout: CheckSpec
    magic: CheckSpec
    kind: CheckSpec
    key: CheckSpec
    attributes: CheckSpec
    encoding: CheckSpec
    scheme: CheckSpec
    signature: CheckSpec
    selection: CheckSpec
    bank: CheckSpec
    digest: CheckSpec
    nonce: CheckSpec
    all: tuple[CheckSpec, ...] = field(init=False)
    passed: tuple[Check, ...] = field(init=False)
    passed_bare: tuple[Check, ...] = field(init=False)

    def __post_init__(self) -> None:
        every = (
            *(self.layout, self.magic, self.kind, self.key, self.attributes, self.encoding),
            *(self.scheme, self.signature, self.selection, self.bank, self.digest, self.nonce),
        )
        why = "only the public key is given; whoever vouches for it vouches for its attributes"
        unattributed = Check(self.attributes, Outcome.NOT_APPLICABLE, "", why)
        passed = tuple([spec.passed for spec in every])
        bare = tuple([unattributed if spec is self.attributes else spec.passed for spec in every])
        object.__setattr__(self, "all", every)
        object.__setattr__(self, "passed", passed)
        object.__setattr__(self, "passed_bare", bare)

    def keeping(self, kept: Collection[CheckSpec]) -> Callable[[tuple[Check, ...]], tuple[Check, ...]]:
        """Return what takes the outcomes of these checks, at least two, out of those of all."""
        return itemgetter(*[place for place, spec in enumerate(self.all) if spec in kept])

    @classmethod
    def of(cls, prefix: str) -> QuoteSpecs:
        """Return the checks with ids that begin with ``prefix``, such as ``azure-snp.quote``."""

        def spec(name: str, title: str, source: str) -> CheckSpec:
            return CheckSpec(f"{prefix}.{name}", title, source)

        return cls(
            layout=spec(
                "layout", "the quote is one TPMS_ATTEST, to its last byte", _PART2 + "10.12.8 (TPMS_ATTEST)"
            ),
            magic=spec("magic", "a TPM made the signed structure", _PART2 + "6.2 (TPM_GENERATED_VALUE)"),
            kind=spec("type", "the signed structure is a quote", _PART2 + "6.9 (TPM_ST_ATTEST_QUOTE)"),
            key=spec(
                "key",
                "the attestation key is RSA of 2048 bits or more, or on a NIST curve",
                _PART2 + "12.2.4 (TPMT_PUBLIC)",
            ),
            attributes=spec(
                "key_attributes",
                "the attestation key is restricted to sign what its TPM made, and cannot leave the TPM",
                _PART2 + "8.3 (TPMA_OBJECT); part 1, section 25 (restricted keys)",
            ),
            encoding=spec(
                "signature_layout",
                "the signature is one TPMT_SIGNATURE, to its last byte",
                _PART2 + "11.3.4 (TPMT_SIGNATURE)",
            ),
            scheme=spec(
                "scheme",
                "scheme and hash of the signature are the key's, and the hash is not SHA-1",
                _PART2 + "11.2.1 (TPMT_SIG_SCHEME); NIST SP 800-131A",
            ),
            signature=spec(
                "signature",
                "the attestation key signed the quote",
                "TPM 2.0 Library part 3, section 18.4 (TPM2_Quote)",
            ),
            selection=spec(
                "selection",
                "the signed selection is one bank and exactly the PCRs presented, all that are relied on"
                " among them",
                _PART2 + "10.6.2 (TPMS_PCR_SELECTION)",
            ),
            bank=spec(
                "bank", "the quoted bank is of an accepted hash", "NIST SP 800-131A; TPM 2.0 Library part 1"
            ),
            digest=spec(
                "pcr_digest",
                "the PCR values presented are those that were signed",
                _PART2 + "10.12.1 (TPMS_QUOTE_INFO)",
            ),
            nonce=spec(
                "nonce",
                "all bytes of the qualifying data are the ones expected",
                "RFC 9334 section 10: freshness",
            ),
        )


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
        key: The attestation key: TPMT_PUBLIC, TPM2B_PUBLIC or SPKI in DER, or one that was decoded before.
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
        presented = _registers(noted, specs, decoded, signed_with.algorithm, bank, pcrs, relied, banks, facts)
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


def _failed(spec: CheckSpec, code: str, reason: str) -> Check:
    return Check(spec, Outcome.FAILED, code, reason)


def _stop(noted: list[Check], spec: CheckSpec, code: str, reason: str) -> CheckFailedError:
    """Note a failure and return what to raise: it ends the verification."""
    noted.append(Check(spec, Outcome.FAILED, code, reason))
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
    try:
        found = key if isinstance(key, AttestationKey) else AttestationKey.parse(key)
    except EvidenceError as error:
        raise _stop(noted, specs.key, _code(specs.key, error), error.message) from error
    if found.lacks:
        reason = f"The public area of the attestation key lacks: {', '.join(found.lacks)}."
        noted.append(_failed(specs.attributes, specs.attributes.id, reason))
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
        noted.append(_failed(specs.scheme, f"{specs.scheme.id}.weak", reason))
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


class _Quoted(NamedTuple):
    """PCR values that were found to be those of a signed digest; true whoever signed it, and always.

    Attributes:
        algorithm: The hash of the digest.
        selections: What was selected with it.
        bank: The bank that the values were presented as.
        pcrs: The values by ascending index; nobody can change them.
        indices: Their indices.
    """

    algorithm: Algorithm
    selections: tuple[BankSelection, ...]
    bank: Algorithm
    pcrs: MappingProxyType[int, bytes]
    indices: frozenset[int]


_SHELF = "tpm.registers"
_ANY_TIME = ALWAYS.start


def _registers(
    noted: list[Check],
    specs: QuoteSpecs,
    quote: Attest,
    algorithm: Algorithm,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    relied: frozenset[int],
    banks: frozenset[Algorithm],
    facts: FactCache | None,
) -> MappingProxyType[int, bytes]:
    """Compare the values presented with what was signed.

    Args:
        noted: Gets what is no plain success.
        specs: The checks.
        quote: The quote.
        algorithm: The hash of its signature, which its digest is made with as well.
        bank: The bank that the values were presented as.
        pcrs: The values presented.
        relied: PCRs that the quote must cover.
        banks: The banks accepted.
        facts: Where values are remembered.

    Returns:
        A copy of the values by ascending index: nobody else can change it.
    """
    shelf = facts.shelf(_SHELF) if facts is not None else None
    known: _Quoted | None = shelf.get(quote.pcr_digest, _ANY_TIME) if shelf is not None else None
    if (
        known is not None
        and known.algorithm is algorithm
        and known.selections == quote.selections
        and known.bank is bank
        and known.pcrs == pcrs
        and bank in banks
        and relied <= known.indices
    ):
        return known.pcrs
    before = len(noted)
    # A view copies itself in one step; ``dict`` would ask it for one entry after the other.
    found = pcrs.copy() if type(pcrs) is MappingProxyType else dict(pcrs)
    indices = tuple(found)
    if len(quote.selections) != 1 or quote.selections[0].pcrs != indices:  # the signed order is ascending
        found = dict(sorted(found.items()))
        indices = tuple(found)
    defect = _selection_defect(quote, bank, found, indices, relied)
    if defect is not None:
        noted.append(_failed(specs.selection, f"{specs.selection.id}.{defect[0]}", defect[1]))
    if bank not in banks:
        reason = f"The bank is {bank.name}, which is not accepted here."
        noted.append(_failed(specs.bank, specs.bank.id, reason))
    if defect is None and not hmac.compare_digest(
        algorithm.digest(b"".join([*found.values()])), quote.pcr_digest
    ):
        reason = "The PCR values presented are not those that were signed."
        noted.append(_failed(specs.digest, specs.digest.id, reason))
    values = MappingProxyType(found)
    if shelf is not None and len(noted) == before:
        fact = _Quoted(algorithm, quote.selections, bank, values, frozenset(indices))
        shelf.put(quote.pcr_digest, ALWAYS, fact)
    return values


def selection_defect(
    quote: Attest, bank: Algorithm, pcrs: Mapping[int, bytes], relied: frozenset[int]
) -> tuple[str, str] | None:
    """Compare the signed selection with the values presented, by ascending index.

    Returns:
        What is wrong, as a short word, and why; None when nothing is.
    """
    return _selection_defect(quote, bank, pcrs, tuple(pcrs), relied)


def _selection_defect(
    quote: Attest,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    indices: tuple[int, ...],
    relied: frozenset[int],
) -> tuple[str, str] | None:
    selections = quote.selections
    if len(selections) > 1:
        if len({selection.algorithm for selection in selections}) != len(selections):
            return "duplicate", "The quote selects the same bank twice."
        selections = tuple([selection for selection in selections if selection.pcrs])
    if not selections or not selections[0].pcrs:
        return "empty", "The quote covers no PCR."
    if len(selections) > 1:
        return "banks", "The quote covers more than one bank."
    return _presented_defect(selections[0], bank, pcrs, indices, relied)


def _presented_defect(
    signed: BankSelection,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    indices: tuple[int, ...],
    relied: frozenset[int],
) -> tuple[str, str] | None:
    if signed.algorithm != bank:
        return (
            "bank",
            f"The PCRs are presented as {bank.name}; the quote covers bank 0x{signed.algorithm:04x}.",
        )
    if signed.pcrs != indices:
        return "indices", f"The quote covers PCRs {signed.pcrs}; others are presented."
    # The signed PCRs are those presented. A difference with a dictionary looks up what is relied on; a subset
    # of a tuple would make a set of the tuple first.
    missing = relied.difference(pcrs) if relied else relied
    if missing:
        return "relied", f"The quote does not cover PCRs {sorted(missing)}."
    if {*map(len, pcrs.values())} != {bank.size}:
        return "size", f"A PCR value is not of the {bank.size} bytes of {bank.name}."
    return None


def _nonce(noted: list[Check], specs: QuoteSpecs, extra_data: bytes, nonce: Binding) -> None:
    spec = specs.nonce
    if isinstance(nonce, Unchecked):
        reason = f"not checked: {nonce.reason}"
        noted.append(Check(spec, Outcome.NOT_CHECKED, spec.id + ".unchecked", reason))
    elif not hmac.compare_digest(extra_data, nonce.value):
        reason = "The qualifying data are not the ones expected."
        noted.append(_failed(spec, spec.id + ".mismatch", reason))


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
