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
not whose key it is. Formats that see the same key again pass an ``AttestationKey`` that they remember.

Source: TCG TPM 2.0 Library, part 3, section 18.4 (TPM2_Quote); part 2, section 10.12.8.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.ledger import CheckFailedError, CheckSpec, LedgerBuilder, Outcome
from assay.evidence.tpm.attest import Attest, AttestError
from assay.evidence.tpm.claims import TpmQuoteClaims
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.signature import TpmSignature
from assay.evidence.verification import Expected, Unchecked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.ledger import Check
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

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "all", tuple(getattr(self, name) for name in self.__slots__ if name != "all")
        )

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


@dataclass(frozen=True, slots=True)
class QuoteOutcome:
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
    signature: bytes,
    *,
    specs: QuoteSpecs,
    key: bytes | AttestationKey,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    relied: frozenset[int],
    nonce: Binding,
    banks: frozenset[Algorithm] = STRONG,
) -> QuoteOutcome:
    """Verify a quote and return every check with its outcome. Never raises for bad evidence.

    Args:
        attest: TPMS_ATTEST, without a size in front.
        signature: TPMT_SIGNATURE; ``signature.rsassa_signature`` makes one of a bare RSA signature.
        specs: The checks under the format's names.
        key: The attestation key: TPMT_PUBLIC, TPM2B_PUBLIC or SPKI in DER, or one that was decoded before.
        bank: The bank that the values were presented as; the signed one must be the same.
        pcrs: The values presented, by PCR index: exactly those that the quote covers.
        relied: PCRs that the quote must cover; may be empty, then it must cover some.
        nonce: What the qualifying data must be, or the caller's word that it is not checked.
        banks: The banks accepted. SHA-1 is accepted only by adding it here, which is a policy's decision.

    Raises:
        EvidenceError: ``evidence.call.type`` when arguments are of another type, ``evidence.call.nonce`` for
            an empty expected nonce: errors of the caller.
    """
    if type(nonce) not in (Expected, Unchecked) or type(attest) is not bytes or type(signature) is not bytes:
        raise EvidenceError("evidence.call.type", "Quote and signature are bytes, and nothing else.")
    if isinstance(nonce, Expected) and not nonce.value:
        raise EvidenceError("evidence.call.nonce", "An empty nonce is expected: it would bind nothing.")
    ledger = LedgerBuilder(specs.all)
    decoded: Attest | None = None
    claims: TpmQuoteClaims | None = None
    try:
        decoded = _read(ledger, specs, attest)
        ak = _key(ledger, specs, key)
        signed_with = _signature(ledger, specs, ak, signature, attest)
        presented = dict(sorted(pcrs.items()))
        _registers(ledger, specs, decoded, signed_with, bank, presented, relied, banks)
        _nonce(ledger, specs, decoded.extra_data, nonce)
        claims = _claims(decoded, signed_with, ak, bank, presented)
    except CheckFailedError:
        pass
    checks = ledger.close().checks
    for check in checks:
        if check.outcome is not Outcome.PASSED and _closes(check, specs):
            claims = None
    return QuoteOutcome(checks, claims, decoded, hashlib.sha256(attest).digest())


def _closes(check: Check, specs: QuoteSpecs) -> bool:
    if check.outcome is Outcome.NOT_CHECKED:
        return check.spec is not specs.nonce
    return check.outcome is Outcome.FAILED


def _code(spec: CheckSpec, error: EvidenceError) -> str:
    """Return a decoder's code under the name of the check that it fails."""
    return f"{spec.id}.{error.code.rpartition('.')[2]}"


def _read(ledger: LedgerBuilder, specs: QuoteSpecs, attest: bytes) -> Attest:
    try:
        found = Attest.parse(attest)
    except AttestError as error:
        if error.part == "layout":
            raise ledger.fail(specs.layout, _code(specs.layout, error), error.message) from error
        spec = specs.magic if error.part == "magic" else specs.kind
        raise ledger.fail(spec, spec.id, error.message) from error
    ledger.passed(specs.layout, specs.magic, specs.kind)
    return found


def _key(ledger: LedgerBuilder, specs: QuoteSpecs, key: bytes | AttestationKey) -> AttestationKey:
    try:
        found = key if isinstance(key, AttestationKey) else AttestationKey.parse(key)
    except EvidenceError as error:
        raise ledger.fail(specs.key, _code(specs.key, error), error.message) from error
    ledger.passed(specs.key)
    if found.attributes is None:
        ledger.not_applicable(
            specs.attributes,
            "only the public key is given; whoever vouches for it vouches for its attributes",
        )
    elif found.lacks:
        ledger.failed(
            specs.attributes,
            specs.attributes.id,
            f"The public area of the attestation key lacks: {', '.join(found.lacks)}.",
        )
    else:
        ledger.passed(specs.attributes)
    return found


def _signature(
    ledger: LedgerBuilder, specs: QuoteSpecs, key: AttestationKey, signature: bytes, attest: bytes
) -> TpmSignature:
    try:
        found = TpmSignature.parse(signature)
    except EvidenceError as error:
        raise ledger.fail(specs.encoding, _code(specs.encoding, error), error.message) from error
    ledger.passed(specs.encoding)
    if not key.admits(found):
        raise ledger.fail(
            specs.scheme,
            f"{specs.scheme.id}.mismatch",
            f"The signature is {found.scheme.name} with {found.algorithm.name}: not what this key makes.",
        )
    if found.algorithm is Algorithm.SHA1:
        ledger.failed(
            specs.scheme, f"{specs.scheme.id}.weak", "The signature is over a SHA-1 hash: it can be forged."
        )
    else:
        ledger.passed(specs.scheme)
    if not key.verifies(found, attest):
        raise ledger.fail(
            specs.signature, specs.signature.id, "The signature over the quote is not the attestation key's."
        )
    ledger.passed(specs.signature)
    return found


def _registers(
    ledger: LedgerBuilder,
    specs: QuoteSpecs,
    quote: Attest,
    signature: TpmSignature,
    bank: Algorithm,
    pcrs: Mapping[int, bytes],
    relied: frozenset[int],
    banks: frozenset[Algorithm],
) -> None:
    defect = selection_defect(quote, bank, pcrs, relied)
    if defect is not None:
        ledger.failed(specs.selection, f"{specs.selection.id}.{defect[0]}", defect[1])
    else:
        ledger.passed(specs.selection)
    if bank in banks:
        ledger.passed(specs.bank)
    else:
        ledger.failed(specs.bank, specs.bank.id, f"The bank is {bank.name}, which is not accepted here.")
    if defect is not None:
        return
    if hmac.compare_digest(pcr_digest(signature.algorithm, pcrs), quote.pcr_digest):
        ledger.passed(specs.digest)
    else:
        ledger.failed(
            specs.digest, specs.digest.id, "The PCR values presented are not those that were signed."
        )


def selection_defect(
    quote: Attest, bank: Algorithm, pcrs: Mapping[int, bytes], relied: frozenset[int]
) -> tuple[str, str] | None:
    """Compare the signed selection with the values presented; return what is wrong and why, or None."""
    numbers = [selection.algorithm for selection in quote.selections]
    covering = [selection for selection in quote.selections if selection.pcrs]
    if len(set(numbers)) != len(numbers):
        return "duplicate", "The quote selects the same bank twice."
    if not covering:
        return "empty", "The quote covers no PCR."
    if len(covering) > 1:
        return "banks", "The quote covers more than one bank."
    return _presented_defect(covering[0], bank, pcrs, relied)


def _presented_defect(
    signed: BankSelection, bank: Algorithm, pcrs: Mapping[int, bytes], relied: frozenset[int]
) -> tuple[str, str] | None:
    if signed.algorithm != bank:
        return (
            "bank",
            f"The PCRs are presented as {bank.name}; the quote covers bank 0x{signed.algorithm:04x}.",
        )
    if signed.pcrs != tuple(pcrs) and signed.pcrs != tuple(sorted(pcrs)):
        return "indices", f"The quote covers PCRs {signed.pcrs}; others are presented."
    if not relied.issubset(signed.pcrs):
        return "relied", f"The quote does not cover PCRs {sorted(relied.difference(signed.pcrs))}."
    if set(map(len, pcrs.values())) != {bank.size}:
        return "size", f"A PCR value is not of the {bank.size} bytes of {bank.name}."
    return None


def pcr_digest(algorithm: Algorithm, pcrs: Mapping[int, bytes]) -> bytes:
    """Return the digest that a quote signed with ``algorithm`` has over these PCRs of one bank."""
    return algorithm.digest(b"".join(map(pcrs.__getitem__, sorted(pcrs))))


def _nonce(ledger: LedgerBuilder, specs: QuoteSpecs, extra_data: bytes, nonce: Binding) -> None:
    spec = specs.nonce
    if isinstance(nonce, Unchecked):
        ledger.not_checked(spec, spec.id + ".unchecked", f"not checked: {nonce.reason}")
    elif hmac.compare_digest(extra_data, nonce.value):
        ledger.passed(spec)
    else:
        ledger.failed(spec, spec.id + ".mismatch", "The qualifying data are not the ones expected.")


def _claims(
    quote: Attest,
    signature: TpmSignature,
    key: AttestationKey,
    bank: Algorithm,
    pcrs: dict[int, bytes],
) -> TpmQuoteClaims:
    return TpmQuoteClaims(
        qualified_signer=quote.qualified_signer,
        extra_data=quote.extra_data,
        clock=quote.clock,
        reset_count=quote.reset_count,
        restart_count=quote.restart_count,
        safe=quote.safe,
        firmware_version=quote.firmware_version,
        bank=bank,
        selection=tuple(pcrs),
        pcr_digest=quote.pcr_digest,
        pcrs=MappingProxyType(pcrs),
        signature_hash=signature.algorithm,
        ak_digest=key.digest,
        ak_name=key.name,
    )
