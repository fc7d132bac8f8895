"""The one verification of an Azure confidential VM: hardware, paravisor and virtual TPM as one ledger.

Hardware proves the paravisor; the paravisor's runtime claims, whose hash the hardware signed, name the
virtual TPM's attestation key; that key signs the quote. Each step from one layer to the next is a check of
its own, and so is the freshness of each layer: the quote's nonce binds the evidence to the session, and the
runtime claims' user data, where the caller expects any, shows that the hardware's report was made for it too.

Of a TDX VM the HCL report holds a TDREPORT, whose MAC only the same machine can check. Nothing rests on it:
what counts is the report data of the TD quote.

An event log is proven by nothing but the quoted PCRs: where one comes along, it must explain those of
``LOGGED_PCRS``, and the quote must cover them.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.azure import checks
from assay.evidence.azure.ak import certified
from assay.evidence.azure.claims import AzureClaims
from assay.evidence.azure.decoded import DecodedAzure
from assay.evidence.azure.forms import AzureEvidence, read_container
from assay.evidence.azure.hardware import judge_report, judge_td
from assay.evidence.azure.hcl import AzureError, HclReport, parse_hcl
from assay.evidence.azure.regions import unsigned_regions
from assay.evidence.azure.runtime import Runtime, parse_runtime
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.boot import verify_boot_log
from assay.evidence.facts import ALWAYS
from assay.evidence.ledger import Check, CheckFailedError, Outcome, ledger_of
from assay.evidence.snp import SnpEndorsements
from assay.evidence.tpm.attest import Attest, AttestError
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.quote import QuoteOutcome, verify_quote
from assay.evidence.tpm.signature import Scheme, rsassa
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.azure.claims import AkCertificate
    from assay.evidence.azure.forms import VtpmQuote
    from assay.evidence.azure.hcl import AzurePlatform
    from assay.evidence.dcap import Collateral
    from assay.evidence.eventlog.boot import BootLogClaims
    from assay.evidence.facts import FactCache
    from assay.evidence.ledger import CheckSpec
    from assay.evidence.roots import Roots
    from assay.evidence.snp import SnpClaims
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.verification import Binding

USER_DATA_BYTES: Final = 64
LOGGED_PCRS: Final = frozenset(range(8))
"""PCRs that a log which comes along has to explain: those that belong to the firmware and to what it starts.

Into the others systems extend what no firmware's log holds: IMA, systemd, whoever owns PCR 16 or 23.
"""
_SPECS: Final = {"azure-snp": checks.SNP_CHECKS, "azure-tdx": checks.TDX_CHECKS}
_BINDING_NEED: Final = Need(
    "binding", {}, "The nonce of the virtual TPM's quote was not compared with anything."
)
_BINDINGS: Final = (Expected, Unchecked)
_EVIDENCE: Final = (bytes, AzureEvidence)
_ALL_PCRS: Final = 24
_SCHEME: Final = (int(Scheme.RSASSA), int(Algorithm.SHA256))
_HCL_PASSED: Final = tuple(
    [
        spec.passed
        for spec in (checks.HCL_LAYOUT, checks.HCL_VERSION, checks.HCL_PLATFORM, checks.HCL_TRAILING)
    ]
)
_RUNTIME_PASSED: Final = (checks.RUNTIME_LAYOUT.passed, checks.RUNTIME_KEY.passed)
_NO_CERTIFICATE: Final = tuple(
    Check(spec, Outcome.NOT_APPLICABLE, "", "no certificate of the attestation key came along")
    for spec in checks.AK_CHECKS
)
_kept: Final = checks.QUOTE.keeping(checks.QUOTE_CHECKS)
_NO_LOG: Final = tuple([check for check in checks.LOG.absent if check.spec in checks.LOG_CHECKS])
_NO_PCRS: Final[frozenset[int]] = frozenset()


@dataclass(frozen=True, slots=True)
class AzureEndorsements:
    """What vouches for the hardware and for the attestation key's certificate; all of it public.

    Attributes:
        snp: Certificates and CRL of the chip; a VCEK that comes with the evidence goes before its own.
        collateral: Intel's documents, for TDX.
        ak_intermediates: Certificates between attestation key and root, DER: for VMs that do not send them.
        ak_crls: CRLs, DER; those of the issuers of the attestation key's certificate and above it count.
    """

    snp: SnpEndorsements | None = None
    collateral: Collateral | None = None
    ak_intermediates: tuple[bytes, ...] = ()
    ak_crls: tuple[bytes, ...] = ()


def verify_azure(
    evidence: bytes | AzureEvidence,
    *,
    platform: AzurePlatform,
    endorsements: AzureEndorsements | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    user_data: Binding,
    facts: FactCache,
) -> EvidenceResult[AzureClaims]:
    """Verify the evidence of an Azure confidential VM and return every check of every layer.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: A container in one of the forms of ``forms``, or its parts.
        platform: The kind of VM that the caller demands.
        endorsements: What vouches for it; None leaves the checks that need them unmade.
        roots: The roots of trust.
        now: The time at which everything must be valid; aware.
        binding: The nonce of the virtual TPM's quote, 1 to 64 bytes: what ties the evidence to this session.
        user_data: What the guest was to hand to the paravisor, 1 to 64 bytes, filled up with zeros to 64; or
            the caller's word that it did not ask for any. Not comparing it never fails: the Claims say so.
        facts: Where verified facts are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time``, ``.platform``, ``.type`` or ``.nonce``: errors of the caller.
    """
    _demand(evidence, platform, now, binding, user_data)
    work = _Work(platform, endorsements or AzureEndorsements(), roots, now, binding, user_data, facts)
    try:
        work.verify(evidence)
    except AzureError as defect:
        work.failed(defect.spec, defect.code, defect.message)
    except CheckFailedError:
        pass
    return work.result(evidence)


def _demand(
    evidence: bytes | AzureEvidence, platform: str, now: datetime, binding: Binding, user_data: Binding
) -> None:
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    if platform not in _SPECS:
        raise EvidenceError("evidence.call.platform", "The platform is neither azure-snp nor azure-tdx.")
    if type(binding) not in _BINDINGS or type(user_data) not in _BINDINGS:
        raise EvidenceError("evidence.call.type", "A binding is Expected or Unchecked, and nothing else.")
    if type(evidence) not in _EVIDENCE:
        raise EvidenceError("evidence.call.type", "Evidence is bytes or AzureEvidence, and nothing else.")
    for one in (binding, user_data):
        if isinstance(one, Expected) and not (
            type(one.value) is bytes and 0 < len(one.value) <= USER_DATA_BYTES
        ):
            raise EvidenceError("evidence.call.nonce", "A nonce or user data is 1 to 64 bytes.")


class _Work:
    """One verification: the outcomes of its checks, in their order, and what they have established so far."""

    __slots__ = (
        "_ak",
        "_hardware",
        "_hcl",
        "_key",
        "_log",
        "_log_regions",
        "_new",
        "_parts",
        "_quote",
        "_runtime",
        "_runtime_key",
        "_user_data_bound",
        "binding",
        "certificate_open",
        "endorsements",
        "facts",
        "made",
        "needs",
        "now",
        "platform",
        "roots",
        "user_data",
    )

    def __init__(
        self,
        platform: AzurePlatform,
        endorsements: AzureEndorsements,
        roots: Roots,
        now: datetime,
        binding: Binding,
        user_data: Binding,
        facts: FactCache,
    ) -> None:
        self.platform = platform
        self.endorsements = endorsements
        self.roots = roots
        self.now = now
        self.binding = binding
        self.user_data = user_data
        self.facts = facts
        self.made: list[Check] = []
        self.needs: list[Need] = []
        self.certificate_open = False
        self._parts: AzureEvidence | None = None
        self._hcl: HclReport | None = None
        self._runtime: Runtime | None = None
        self._runtime_key = ("", b"")
        self._hardware: EvidenceResult[SnpClaims] | EvidenceResult[TdxClaims] | None = None
        self._quote: QuoteOutcome | None = None
        self._ak: AkCertificate | None = None
        self._key: AttestationKey | None = None
        self._log: BootLogClaims | None = None
        self._log_regions: tuple[UnsignedRegion, ...] = ()
        self._new = False
        self._user_data_bound = False

    def verify(self, evidence: bytes | AzureEvidence) -> None:
        """Make every check; stops at what cannot be read."""
        made = self.made
        parts = self._parts = read_container(evidence) if isinstance(evidence, bytes) else evidence
        made.append(checks.CONTAINER.passed)
        hcl = self._hcl = parse_hcl(parts.hcl, self.platform)
        made += _HCL_PASSED
        commitment = hcl.commitment()
        runtime, key = self._read_runtime(hcl, commitment)
        self._runtime, self._key = runtime, key
        made += _RUNTIME_PASSED
        self._verify_hardware(parts, hcl, Expected(commitment))
        self._verify_quote(parts.quote, key, LOGGED_PCRS if parts.event_log else _NO_PCRS)
        self._verify_log(parts.event_log)
        self._verify_user_data(runtime)
        self._verify_certificate(parts, key)

    def failed(self, spec: CheckSpec, code: str, reason: str) -> None:
        """Note a check that was made and failed."""
        self.made.append(Check(spec, Outcome.FAILED, code, reason))

    def _read_runtime(self, hcl: HclReport, commitment: bytes) -> tuple[Runtime, AttestationKey]:
        """Read the runtime claims, or recall them: the same bytes are always read the same way."""
        # The hash that the hardware is to sign names them as well as another one would.
        key = self._runtime_key = (hcl.hash_name, commitment)
        known: tuple[Runtime, AttestationKey] | None = self.facts.shelf("azure.runtime").get(key, self.now)
        self._new = known is None
        if known is not None:
            return known
        runtime = parse_runtime(hcl.runtime)
        public = runtime.key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return runtime, AttestationKey(public, spki, None, None, _SCHEME)

    def _verify_hardware(self, parts: AzureEvidence, hcl: HclReport, commitment: Expected) -> None:
        given, roots, now, facts = self.endorsements, self.roots, self.now, self.facts
        if self.platform == "azure-snp":
            endorsements = _snp_endorsements(parts.vcek, parts.vcek_issuers, given.snp)
            found = judge_report(hcl.hardware, endorsements, roots, now, commitment, facts)
        else:
            found = judge_td(parts.td_quote, given.collateral, roots, now, commitment, facts)
        self._hardware = found.result
        self.made += found.checks
        self.needs += found.needs

    def _verify_quote(self, quote: VtpmQuote, key: AttestationKey, relied: frozenset[int]) -> None:
        found = self._quote = verify_quote(
            quote.message,
            rsassa(quote.signature, Algorithm.SHA256),
            specs=checks.QUOTE,
            key=key,
            bank=Algorithm.SHA256,
            pcrs=_label(quote),
            relied=relied,
            nonce=self.binding,
            facts=self.facts,
        )
        self.made += _kept(found.checks)

    def _verify_log(self, log: bytes) -> None:
        if not log:
            self.made += _NO_LOG
            return
        self._log_regions = (UnsignedRegion(0, len(log), "all of it: nothing proves the log"),)
        claims = self._quote.claims if self._quote is not None else None
        if claims is None:
            return  # no PCR is authentic
        found = verify_boot_log(
            log, b"", specs=checks.LOG, bank=Algorithm.SHA256, pcrs=claims.pcrs, explained=LOGGED_PCRS
        )
        self.made += [check for check in found.checks if check.spec in checks.LOG_CHECKS]
        self._log, self._log_regions = found.claims, found.unsigned

    def _verify_user_data(self, runtime: Runtime) -> None:
        spec, given = checks.USER_DATA, runtime.claims.user_data
        if isinstance(self.user_data, Unchecked):
            self.made.append(_no_user_data(self.user_data.reason))
        elif given is None:
            self.failed(spec, spec.id + ".absent", "The runtime claims hold no user data.")
        elif hmac.compare_digest(given, self.user_data.value.ljust(USER_DATA_BYTES, b"\0")):
            self.made.append(spec.passed)
            self._user_data_bound = True
        else:
            self.failed(spec, spec.id + ".mismatch", "The user data are not the ones expected.")

    def _verify_certificate(self, parts: AzureEvidence, key: AttestationKey) -> None:
        if parts.ak_certificate is None:
            self.made += _NO_CERTIFICATE
            return
        outcomes, self._ak, lists = certified(
            parts.ak_certificate,
            parts.ak_intermediates,
            self.endorsements.ak_intermediates,
            self.endorsements.ak_crls,
            key.spki,
            self.roots,
            self.now,
            self.facts,
        )
        self.made += outcomes
        self.needs += lists
        chain = outcomes[-2]
        self.certificate_open = chain.outcome is Outcome.NOT_APPLICABLE
        if self.certificate_open:
            self.needs.append(Need("ak-intermediates", {}, chain.reason))

    def result(self, evidence: bytes | AzureEvidence) -> EvidenceResult[AzureClaims]:
        """Close the ledger and return the result."""
        hardware, quote, runtime = self._hardware, self._quote, self._runtime
        if isinstance(self.binding, Unchecked):
            self.needs.append(_BINDING_NEED)
        found = EvidenceResult(
            self.platform,
            ledger_of(_SPECS[self.platform], self.made),
            checks.QUOTE.nonce.id,
            hardware.anchor if hardware is not None else None,
            self._digest(evidence),
            self._unsigned(evidence),
            tuple(self.needs),
            DecodedAzure(
                self._hcl,
                runtime.claims if runtime is not None else None,
                hardware.decoded if hardware is not None else None,
                quote.decoded if quote is not None else None,
            ),
            self._claims(),
        )
        if self._new and found.authentic:
            self._remember()
        return found

    def _claims(self) -> AzureClaims | None:
        hardware, quote, runtime = self._hardware, self._quote, self._runtime
        if hardware is None or runtime is None or quote is None or quote.claims is None:
            return None
        try:
            inner = hardware.claims
        except EvidenceError:  # the ledger says why they are closed
            return None
        return AzureClaims(inner, runtime.claims, quote.claims, self._ak, self._log, self._user_data_bound)

    def _remember(self) -> None:
        """Keep what authentic runtime claims were read as; reading them again can have no other outcome."""
        if self._runtime is not None and self._key is not None:
            self.facts.shelf("azure.runtime").put(self._runtime_key, ALWAYS, (self._runtime, self._key))

    def _digest(self, evidence: bytes | AzureEvidence) -> bytes:
        if self._hardware is not None and self._quote is not None:
            named = self._hardware.signed_digest + self._quote.signed_digest
        elif isinstance(evidence, bytes):
            named = evidence
        else:
            named = evidence.hcl + evidence.quote.message
        return hashlib.sha256(named).digest()

    def _unsigned(self, evidence: bytes | AzureEvidence) -> tuple[UnsignedRegion, ...]:
        """Return what nothing covers: offsets in the container, or in the part that the name says."""
        parts, hcl = self._parts, self._hcl
        if parts is None or hcl is None:
            return (
                (UnsignedRegion(0, len(evidence), "all of it: the evidence cannot be read"),)
                if isinstance(evidence, bytes)
                else ()
            )
        return unsigned_regions(
            evidence,
            parts,
            self._log_regions,
            td=self.platform == "azure-tdx",
            certificate_open=self.certificate_open,
        )


@lru_cache(maxsize=64)
def _snp_endorsements(
    vcek: bytes | None, issuers: tuple[bytes, ...], given: SnpEndorsements | None
) -> SnpEndorsements:
    """Return what vouches for a report; remembered, because each such object hashes all that it holds."""
    authority, root = (*issuers, None, None)[:2]
    return SnpEndorsements(vek=vcek, authority=authority, root=root).or_else(given)


@lru_cache(maxsize=64)
def _no_user_data(reason: str) -> Check:
    """Return the outcome where the caller expects no user data; shared, as callers have few reasons."""
    return Check(checks.USER_DATA, Outcome.NOT_APPLICABLE, "", f"no user data is expected: {reason}")


def _label(quote: VtpmQuote) -> dict[int, bytes]:
    """Give each value its index; values come without, and only what was signed says which PCRs they are."""
    values = quote.pcrs
    if len(values) != _ALL_PCRS:
        try:
            covered = [one.pcrs for one in Attest.parse(quote.message).selections if one.pcrs]
        except AttestError:
            covered = []
        if len(covered) == 1 and len(covered[0]) == len(values):
            return dict(zip(covered[0], values, strict=True))
    return dict(enumerate(values))
