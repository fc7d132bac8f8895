"""The one verification of a Google Cloud VM's virtual TPM, alone or together with a TEE's report.

Google certifies the attestation key for one instance; that key signs a quote of each bank; the event logs
explain the PCRs. The virtual TPM is the host's: nothing of it stands in the measurements of a TD or of an SNP
guest, so the two layers belong together only because both carry the binding of this session, and each is
compared.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

from assay.errors import EvidenceError
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.boot import verify_boot_log
from assay.evidence.facts import ALWAYS
from assay.evidence.google_vm import checks
from assay.evidence.google_vm.ak import Certified, certified
from assay.evidence.google_vm.claims import GoogleVmClaims
from assay.evidence.google_vm.container import GoogleVmEvidence, read_container
from assay.evidence.google_vm.decoded import DecodedGoogleVm
from assay.evidence.google_vm.errors import GoogleVmError
from assay.evidence.google_vm.regions import unsigned_regions
from assay.evidence.google_vm.tee import TeeOutcome, judge_snp, judge_td
from assay.evidence.ledger import Check, Outcome, ledger_of
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.quote import STRONG, verify_quote
from assay.evidence.tpm.quote_checks import QuoteSpecs
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.dcap import Collateral
    from assay.evidence.eventlog.boot import BootLogClaims
    from assay.evidence.facts import FactCache
    from assay.evidence.google_vm.container import BankQuote
    from assay.evidence.ledger import CheckSpec
    from assay.evidence.roots import Roots
    from assay.evidence.snp import SnpEndorsements
    from assay.evidence.tpm.quote import QuoteOutcome
    from assay.evidence.verification import Anchor, Binding

Tee = Literal["none", "tdx", "snp"]

BANK: Final = Algorithm.SHA256
"""The bank that Claims rest on; every virtual TPM of Google has it."""
MOST_NONCE_BYTES: Final = 64
REPORT_DATA_BYTES: Final = 64
_ENDORSEMENT: Final = (0x4000000B).to_bytes(4, "big")  # TPM_RH_ENDORSEMENT, the parent of Google's keys
_CHECKS: Final = {"none": checks.VTPM_CHECKS, "tdx": checks.TDX_CHECKS, "snp": checks.SNP_CHECKS}
_PLATFORMS: Final = {"none": "gcp-vtpm", "tdx": "gcp-tdx", "snp": "gcp-snp"}
_BINDINGS: Final = (Expected, Unchecked)
_EVIDENCE: Final = (bytes, GoogleVmEvidence)
_OTHERS: Final = QuoteSpecs.of("google_vm.further_quote")
_BANKS: Final = {int(one): one for one in Algorithm}
_BINDING_NEED: Final = Need(
    "binding", {}, "The nonce of the virtual TPM's quote was not compared with anything."
)
_AK_NEED: Final = Need("ak-certificate", {}, "The evidence holds no certificate of the attestation key.")
_kept: Final = checks.QUOTE.keeping(checks.QUOTE_CHECKS)
_NO_CERTIFICATE: Final = tuple(
    [
        Check(spec, Outcome.NOT_CHECKED, "google_vm.ak.missing", f"not checked: {_AK_NEED.reason}")
        for spec in checks.AK_CHECKS
    ]
)
_NO_OTHERS: Final = Check(checks.OTHER_QUOTES, Outcome.NOT_APPLICABLE, "", "there is no further quote")
_NAMELESS: Final = Check(
    checks.AK_NAME,
    Outcome.NOT_APPLICABLE,
    "",
    "only the public key is given; its certificate vouches for it",
)


@dataclass(frozen=True, slots=True)
class GoogleVmEndorsements:
    """What vouches for the attestation key and, with TDX, for the platform; all of it public.

    Attributes:
        ak_certificate: The attestation key's certificate, DER, when the evidence holds none.
        ak_intermediates: Certificates between it and the root, DER.
        crls: CRLs, DER; those of its issuers count.
        collateral: Intel's documents, for a TD quote.
        snp: Certificates and CRL, for an SNP report; those that come with the evidence go before these.
    """

    ak_certificate: bytes | None = None
    ak_intermediates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    collateral: Collateral | None = None
    snp: SnpEndorsements | None = None


_NOTHING_GIVEN: Final = GoogleVmEndorsements()


def verify_google_vm(
    evidence: bytes | GoogleVmEvidence,
    *,
    tee: Tee,
    endorsements: GoogleVmEndorsements | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    report_data: Binding,
    explained: frozenset[int],
    facts: FactCache,
) -> EvidenceResult[GoogleVmClaims]:
    """Verify the evidence of a Google Cloud VM and return every check of every layer.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: The attestation container of go-tpm-tools, or its parts.
        tee: ``tdx`` demands a TD quote as well, ``snp`` an SNP report; ``none`` looks at the virtual TPM.
        endorsements: What vouches for it.
        roots: The roots of trust.
        now: The time at which everything must be valid; aware.
        binding: The nonce of every quote, 1 to 64 bytes: what ties the evidence to this session.
        report_data: The 64 bytes of the report data of the TD or SNP guest; or the caller's word that they
            are not compared, which the Claims then say.
        explained: PCRs that the event logs have to explain, where there are logs; the quote must cover them.
        facts: Where verified facts are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time``, ``.platform``, ``.type``, ``.nonce`` or ``.registers``: errors
            of the caller.
    """
    _demand(evidence, tee, now, binding, report_data, explained)
    work = _Work(endorsements or _NOTHING_GIVEN, roots, now, binding, facts)
    try:
        parts = read_container(evidence) if isinstance(evidence, bytes) else evidence
        work.verify(parts, explained)
        work.judge_tee(parts, report_data, tee)
    except GoogleVmError as defect:
        work.failed(defect.spec, defect.code, defect.message)
    return work.result(evidence, tee)


def _demand(
    evidence: bytes | GoogleVmEvidence,
    tee: str,
    now: datetime,
    binding: Binding,
    report_data: Binding,
    explained: frozenset[int],
) -> None:
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    if tee not in _CHECKS:
        raise EvidenceError("evidence.call.platform", "The TEE is none of none, tdx and snp.")
    if type(binding) not in _BINDINGS or type(report_data) not in _BINDINGS:
        raise EvidenceError("evidence.call.type", "A binding is Expected or Unchecked, and nothing else.")
    if type(evidence) not in _EVIDENCE:
        raise EvidenceError("evidence.call.type", "Evidence is bytes or GoogleVmEvidence, and nothing else.")
    if isinstance(binding, Expected) and not 0 < len(binding.value) <= MOST_NONCE_BYTES:
        raise EvidenceError("evidence.call.nonce", "A nonce has 1 to 64 bytes.")
    if isinstance(report_data, Expected) and len(report_data.value) != REPORT_DATA_BYTES:
        raise EvidenceError("evidence.call.nonce", "Report data have 64 bytes.")
    if not explained:
        raise EvidenceError("evidence.call.registers", "Event logs have to explain at least one PCR.")


class _Work:
    """One verification: the outcomes of its checks, in their order, and what they have established so far."""

    __slots__ = (
        "_ak",
        "_anchor",
        "_binding",
        "_endorsements",
        "_facts",
        "_log",
        "_made",
        "_needs",
        "_now",
        "_quote",
        "_regions",
        "_roots",
        "_tee",
        "_tee_unread",
    )

    def __init__(
        self,
        endorsements: GoogleVmEndorsements,
        roots: Roots,
        now: datetime,
        binding: Binding,
        facts: FactCache,
    ) -> None:
        self._made: list[Check] = []
        self._endorsements = endorsements
        self._roots = roots
        self._now = now
        self._binding = binding
        self._facts = facts
        self._needs: list[Need] = []
        self._ak: Certified | None = None
        self._anchor: Anchor | None = None
        self._quote: QuoteOutcome | None = None
        self._log: BootLogClaims | None = None
        self._regions: tuple[tuple[UnsignedRegion, ...], ...] = ()
        self._tee: TeeOutcome | None = None
        self._tee_unread = False

    def verify(self, parts: GoogleVmEvidence, explained: frozenset[int]) -> None:
        """Make every check of the virtual TPM."""
        own, others = parts.quotes_of(BANK)
        self._made.append(checks.CONTAINER.passed)
        self._verify_certificate(parts)
        key = self._key(parts.ak_public)
        if isinstance(key, AttestationKey) and self._ak is not None:
            self._compare_key(key, self._ak)
        self._quote = verify_quote(
            own.message,
            own.signature,
            specs=checks.QUOTE,
            key=key,
            bank=BANK,
            pcrs=own.pcrs,
            relied=explained,
            nonce=self._binding,
            facts=self._facts,
        )
        self._made += _kept(self._quote.checks)
        self._verify_name()
        self._verify_others(others, key)
        self._verify_logs(parts, explained)

    def failed(self, spec: CheckSpec, code: str, reason: str) -> None:
        """Note a check that was made and failed."""
        self._made.append(Check(spec, Outcome.FAILED, code, reason))

    def _key(self, public: bytes) -> bytes | AttestationKey:
        """Read the attestation key, or recall it: the same bytes are always read the same way."""
        if self._ak is None:
            return _read_key(public)
        shelf = self._facts.shelf("google_vm.key")
        mark = (public, self._ak.spki)  # short, and quicker to compare than to hash
        known: AttestationKey | None = shelf.get(mark, self._now)
        if known is not None:
            return known
        found = _read_key(public)
        if isinstance(found, AttestationKey) and found.spki == self._ak.spki:
            shelf.put(mark, ALWAYS, found)
        return found

    def _verify_certificate(self, parts: GoogleVmEvidence) -> None:
        certificate = parts.ak_certificate or self._endorsements.ak_certificate
        if certificate is None:
            self._made += _NO_CERTIFICATE
            self._needs.append(_AK_NEED)
            return
        outcomes, self._ak = certified(
            certificate,
            parts.ak_intermediates,
            self._endorsements.ak_intermediates,
            self._endorsements.crls,
            parts.instance,
            self._roots,
            self._now,
            self._facts,
        )
        self._made += outcomes
        if self._ak is not None:
            self._anchor = self._ak.claims.anchor
            self._needs += self._ak.needs

    def _compare_key(self, key: AttestationKey, ak: Certified) -> None:
        spec = checks.AK_KEY
        if key.spki == ak.spki:
            self._made.append(spec.passed)
        else:
            self.failed(spec, spec.id, "The certificate is for another key than the quotes' key.")

    def _verify_name(self) -> None:
        """Record whether the TPM signed the public area's name: nothing else vouches for its attributes."""
        spec, claims = checks.AK_NAME, self._quote.claims if self._quote is not None else None
        if claims is None:
            return
        if claims.ak_name is None:
            self._made.append(_NAMELESS)
        elif hmac.compare_digest(claims.qualified_signer, _qualified(claims.ak_name)):
            self._made.append(spec.passed)
        else:
            self.failed(spec, spec.id, "The quote was signed by a key with another public area.")

    def _verify_others(self, others: list[BankQuote], key: bytes | AttestationKey) -> None:
        """Record what became of the quotes of other banks; the key itself is judged with its own quote."""
        spec = checks.OTHER_QUOTES
        if not others:
            self._made.append(_NO_OTHERS)
            return
        if not isinstance(key, AttestationKey):
            return
        for one in others:
            defect = self._other_defect(one, key)
            if defect is not None:
                self.failed(spec, spec.id, f"The quote of another bank is refused: {defect}")
                return
        self._made.append(spec.passed)

    def _other_defect(self, quote: BankQuote, key: AttestationKey) -> str | None:
        found = verify_quote(
            quote.message,
            quote.signature,
            specs=_OTHERS,
            key=key,
            bank=_BANKS[quote.bank],
            pcrs=quote.pcrs,
            relied=frozenset(),
            nonce=self._binding,
            banks=STRONG | {Algorithm.SHA1},  # nothing rests on their values
            facts=self._facts,
        )
        for check in found.checks:
            if check.outcome is Outcome.FAILED and check.spec is not _OTHERS.attributes:
                return check.reason
        return None

    def _verify_logs(self, parts: GoogleVmEvidence, explained: frozenset[int]) -> None:
        claims = self._quote.claims if self._quote is not None else None
        if claims is None:
            return
        if not parts.event_log and not parts.canonical_log:
            self._made += checks.LOG.absent
            return
        found = verify_boot_log(
            parts.event_log,
            parts.canonical_log,
            specs=checks.LOG,
            bank=BANK,
            pcrs=claims.pcrs,
            explained=explained,
        )
        self._made += found.checks
        self._log = found.claims
        self._regions = (found.unsigned, found.unsigned_canonical)

    def judge_tee(self, parts: GoogleVmEvidence, report_data: Binding, tee: Tee) -> None:
        """Make every check of the TD quote or SNP report; one that was not asked for is not looked at."""
        asked = {"none": None, "tdx": parts.td_quote, "snp": parts.snp}[tee]
        self._tee_unread = asked is None and (parts.td_quote is not None or parts.snp is not None)
        if tee == "none":
            return
        given = self._endorsements
        if tee == "tdx":
            found = judge_td(parts, given.collateral, self._roots, self._now, report_data, self._facts)
        else:
            found = judge_snp(parts, given.snp, self._roots, self._now, report_data, self._facts)
        self._tee = found
        self._made += found.checks
        self._needs += found.needs

    def result(self, evidence: bytes | GoogleVmEvidence, tee: Tee) -> EvidenceResult[GoogleVmClaims]:
        """Close the ledger and return the result."""
        if isinstance(self._binding, Unchecked):
            self._needs.append(_BINDING_NEED)
        return EvidenceResult(
            _PLATFORMS[tee],
            ledger_of(_CHECKS[tee], self._made),
            checks.QUOTE.nonce.id,
            self._weakest_anchor(),
            self._digest(evidence),
            self._unsigned(evidence),
            tuple(self._needs),
            DecodedGoogleVm(
                self._quote.decoded if self._quote is not None else None,
                self._tee.result if self._tee is not None else None,
            ),
            self._claims(tee),
        )

    def _weakest_anchor(self) -> Anchor | None:
        """Return the anchor of the virtual TPM or of the TEE: a simulated one where there is one."""
        if self._tee is None or self._anchor is None:
            return self._anchor
        return self._anchor if self._anchor.simulated else self._tee.result.anchor

    def _claims(self, tee: Tee) -> GoogleVmClaims | None:
        quote, found = self._quote, self._tee.result if self._tee is not None else None
        if self._ak is None or quote is None or quote.claims is None:
            return None
        proven = found is not None and found.authentic and found.anchor is not None
        if tee != "none" and not proven:
            return None
        inner: Any = found.claims if found is not None else None
        bound = self._tee is not None and self._tee.bound
        return GoogleVmClaims(
            tpm=quote.claims,
            ak=self._ak.claims,
            log=self._log,
            td=inner if tee == "tdx" else None,
            td_bound=tee == "tdx" and bound,
            snp=inner if tee == "snp" else None,
            snp_bound=tee == "snp" and bound,
        )

    def _digest(self, evidence: bytes | GoogleVmEvidence) -> bytes:
        if self._quote is not None:
            named = self._quote.signed_digest + (
                self._tee.result.signed_digest if self._tee is not None else b""
            )
        elif isinstance(evidence, bytes):
            named = evidence
        else:
            named = evidence.ak_public
        return hashlib.sha256(named).digest()

    def _unsigned(self, evidence: bytes | GoogleVmEvidence) -> tuple[UnsignedRegion, ...]:
        """Return what nothing covers: offsets in the container; in the log itself where there is none."""
        if self._quote is None:
            size = len(evidence) if isinstance(evidence, bytes) else 0
            return (UnsignedRegion(0, size, "all of it: the evidence cannot be read"),)
        container = evidence if isinstance(evidence, bytes) else b""
        if not container and not self._regions:
            return ()
        unread, unused = self._tee_unread, self._tee.unused if self._tee is not None else ()
        return unsigned_regions(container, self._regions, tee_unread=unread, beside_report=unused)


@lru_cache(maxsize=256)
def _qualified(name: bytes) -> bytes:
    """Return the qualified name of a primary key of the endorsements; the same for every quote of a key."""
    algorithm = _BANKS[int.from_bytes(name[:2], "big")]
    return name[:2] + algorithm.digest(_ENDORSEMENT + name)


def _read_key(public: bytes) -> bytes | AttestationKey:
    """Return the key, or the bytes for the quote's own check of the key, which says what is wrong."""
    try:
        return AttestationKey.parse(public)
    except EvidenceError:
        return public
