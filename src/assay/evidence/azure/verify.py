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

import contextlib
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.errors import EvidenceError
from assay.evidence.azure import checks
from assay.evidence.azure.ak import certified
from assay.evidence.azure.claims import AzureClaims
from assay.evidence.azure.decoded import DecodedAzure
from assay.evidence.azure.forms import AzureEvidence, read_container
from assay.evidence.azure.hcl import AzureError, HclReport, parse_hcl
from assay.evidence.azure.regions import unsigned_regions
from assay.evidence.azure.runtime import Runtime, parse_runtime
from assay.evidence.dcap import checks as dcap
from assay.evidence.dcap import verify_quote as verify_dcap
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.boot import verify_boot_log
from assay.evidence.facts import Window
from assay.evidence.ledger import Check, CheckFailedError, LedgerBuilder, Outcome
from assay.evidence.snp import SnpEndorsements, verify_snp
from assay.evidence.snp import checks as snp
from assay.evidence.tpm.attest import Attest, AttestError
from assay.evidence.tpm.public import AttestationKey
from assay.evidence.tpm.quote import QuoteOutcome, verify_quote
from assay.evidence.tpm.signature import Scheme, rsassa_signature
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion

if TYPE_CHECKING:
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
_INNER_BINDING: Final = {"azure-snp": snp.BINDING, "azure-tdx": dcap.TDX_BINDING}
_BINDING_NEED: Final = Need(
    "binding", {}, "The nonce of the virtual TPM's quote was not compared with anything."
)
_BINDINGS: Final = (Expected, Unchecked)
_ALL_PCRS: Final = 24
_SCHEME: Final = (int(Scheme.RSASSA), int(Algorithm.SHA256))
_NO_CERTIFICATE: Final = tuple(
    Check(spec, Outcome.NOT_APPLICABLE, "", "no certificate of the attestation key came along")
    for spec in checks.AK_CHECKS
)
_VMPL_AT: Final = 0x30
_ALWAYS: Final = Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class AzureEndorsements:
    """What vouches for the hardware and for the attestation key's certificate; all of it public.

    Attributes:
        snp: Certificates and CRL of the chip; a VCEK that comes with the evidence goes before its own.
        collateral: Intel's documents, for TDX.
        ak_intermediates: Certificates between attestation key and root, DER: for VMs that do not send them.
    """

    snp: SnpEndorsements | None = None
    collateral: Collateral | None = None
    ak_intermediates: tuple[bytes, ...] = ()


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
        work.ledger.failed(defect.spec, defect.code, defect.message)
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
    if type(evidence) not in (bytes, AzureEvidence):
        raise EvidenceError("evidence.call.type", "Evidence is bytes or AzureEvidence, and nothing else.")
    for one in (binding, user_data):
        if isinstance(one, Expected) and not (
            type(one.value) is bytes and 0 < len(one.value) <= USER_DATA_BYTES
        ):
            raise EvidenceError("evidence.call.nonce", "A nonce or user data is 1 to 64 bytes.")


class _Work:
    """One verification: the ledger, and what its checks have established so far."""

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
        "_user_data_bound",
        "binding",
        "certificate_open",
        "endorsements",
        "facts",
        "ledger",
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
        self.ledger = LedgerBuilder(_SPECS[platform])
        self.needs: list[Need] = []
        self.certificate_open = False
        self._parts: AzureEvidence | None = None
        self._hcl: HclReport | None = None
        self._runtime: Runtime | None = None
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
        ledger = self.ledger
        parts = self._parts = read_container(evidence) if isinstance(evidence, bytes) else evidence
        ledger.passed(checks.CONTAINER)
        hcl = self._hcl = parse_hcl(parts.hcl, self.platform)
        ledger.passed(checks.HCL_LAYOUT, checks.HCL_VERSION, checks.HCL_PLATFORM, checks.HCL_TRAILING)
        runtime, key = self._read_runtime(hcl.runtime)
        self._runtime, self._key = runtime, key
        ledger.passed(checks.RUNTIME_LAYOUT, checks.RUNTIME_KEY)
        self._verify_hardware(parts, hcl)
        self._verify_quote(parts.quote, key, LOGGED_PCRS if parts.event_log else frozenset())
        self._verify_log(parts.event_log)
        self._verify_user_data(runtime)
        self._verify_certificate(parts, key)

    def _read_runtime(self, raw: bytes) -> tuple[Runtime, AttestationKey]:
        """Read the runtime claims, or recall them: the same bytes are always read the same way."""
        shelf = self.facts.shelf("azure.runtime")
        digest = hashlib.sha256(raw).digest()
        known: tuple[Runtime, AttestationKey] | None = shelf.get(digest, self.now)
        self._new = known is None
        if known is not None:
            return known
        runtime = parse_runtime(raw)
        public = runtime.key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return runtime, AttestationKey(public, spki, None, None, _SCHEME)

    def _verify_hardware(self, parts: AzureEvidence, hcl: HclReport) -> None:
        commitment = Expected(hcl.commitment())
        roots, now, facts = self.roots, self.now, self.facts
        found: EvidenceResult[SnpClaims] | EvidenceResult[TdxClaims]
        if self.platform == "azure-snp":
            given = SnpEndorsements(vek=parts.vcek).or_else(self.endorsements.snp)
            found = verify_snp(
                hcl.hardware, endorsements=given, roots=roots, now=now, binding=commitment, facts=facts
            )
        else:
            found = verify_dcap(
                parts.td_quote or b"",
                platform="tdx",
                collateral=self.endorsements.collateral,
                roots=roots,
                now=now,
                binding=commitment,
                facts=facts,
            )
        self._hardware = found
        self.needs.extend(need for need in found.needs if need.kind != "binding")
        self._take(found, _INNER_BINDING[self.platform])
        if self.platform == "azure-snp":
            if any(hcl.hardware[_VMPL_AT : _VMPL_AT + 4]):
                self.ledger.failed(
                    checks.VMPL,
                    checks.VMPL.id,
                    "Something less privileged than the paravisor asked for the report.",
                )
            else:
                self.ledger.passed(checks.VMPL)

    def _take(self, found: EvidenceResult[Any], binding: CheckSpec) -> None:
        """Record the hardware's checks; its binding is how the runtime claims hang on it."""
        self.ledger.extend([check for check in found.ledger.checks if check.spec is not binding])
        outcome = found.ledger[binding.id].outcome
        if outcome is Outcome.PASSED:
            self.ledger.passed(checks.RUNTIME_BOUND)
        elif outcome is Outcome.FAILED:
            self.ledger.failed(
                checks.RUNTIME_BOUND,
                checks.RUNTIME_BOUND.id,
                "The hardware's report data are not the hash of these runtime claims.",
            )

    def _verify_quote(self, quote: VtpmQuote, key: AttestationKey, relied: frozenset[int]) -> None:
        found = self._quote = verify_quote(
            quote.message,
            rsassa_signature(quote.signature, Algorithm.SHA256),
            specs=checks.QUOTE,
            key=key,
            bank=Algorithm.SHA256,
            pcrs=_label(quote),
            relied=relied,
            nonce=self.binding,
        )
        self.ledger.extend(check for check in found.checks if check.spec in checks.QUOTE_CHECKS)

    def _verify_log(self, log: bytes) -> None:
        if not log:
            self.ledger.extend(check for check in checks.LOG.absent if check.spec in checks.LOG_CHECKS)
            return
        self._log_regions = (UnsignedRegion(0, len(log), "all of it: nothing proves the log"),)
        claims = self._quote.claims if self._quote is not None else None
        if claims is None:
            return  # no PCR is authentic
        found = verify_boot_log(
            log, b"", specs=checks.LOG, bank=Algorithm.SHA256, pcrs=claims.pcrs, explained=LOGGED_PCRS
        )
        self.ledger.extend(check for check in found.checks if check.spec in checks.LOG_CHECKS)
        self._log, self._log_regions = found.claims, found.unsigned

    def _verify_user_data(self, runtime: Runtime) -> None:
        spec, given = checks.USER_DATA, runtime.claims.user_data
        if isinstance(self.user_data, Unchecked):
            self.ledger.not_applicable(spec, f"no user data is expected: {self.user_data.reason}")
        elif given is None:
            self.ledger.failed(spec, spec.id + ".absent", "The runtime claims hold no user data.")
        elif hmac.compare_digest(given, self.user_data.value.ljust(USER_DATA_BYTES, b"\0")):
            self.ledger.passed(spec)
            self._user_data_bound = True
        else:
            self.ledger.failed(spec, spec.id + ".mismatch", "The user data are not the ones expected.")

    def _verify_certificate(self, parts: AzureEvidence, key: AttestationKey) -> None:
        if parts.ak_certificate is None:
            self.ledger.extend(_NO_CERTIFICATE)
            return
        outcomes, self._ak = certified(
            parts.ak_certificate,
            parts.ak_intermediates,
            self.endorsements.ak_intermediates,
            key.spki,
            self.roots,
            self.now,
            self.facts,
        )
        self.ledger.extend(outcomes)
        chain = outcomes[-1]
        self.certificate_open = chain.outcome is Outcome.NOT_APPLICABLE
        if self.certificate_open:
            self.needs.append(Need("ak-intermediates", {}, chain.reason))

    def result(self, evidence: bytes | AzureEvidence) -> EvidenceResult[AzureClaims]:
        """Close the ledger and return the result."""
        hardware, quote, runtime = self._hardware, self._quote, self._runtime
        claims: AzureClaims | None = None
        if hardware is not None and quote is not None and runtime is not None and quote.claims is not None:
            with contextlib.suppress(EvidenceError):  # the ledger says why the hardware's Claims are closed
                claims = AzureClaims(
                    hardware.claims, runtime.claims, quote.claims, self._ak, self._log, self._user_data_bound
                )
        if isinstance(self.binding, Unchecked):
            self.needs.append(_BINDING_NEED)
        found = EvidenceResult(
            platform=self.platform,
            ledger=self.ledger.close(),
            binding_check=checks.QUOTE.nonce.id,
            anchor=hardware.anchor if hardware is not None else None,
            signed_digest=self._digest(evidence),
            unsigned=self._unsigned(evidence),
            needs=tuple(self.needs),
            decoded=DecodedAzure(
                self._hcl,
                runtime.claims if runtime is not None else None,
                hardware.decoded if hardware is not None else None,
                quote.decoded if quote is not None else None,
            ),
            _claims=claims,
        )
        if self._new and found.authentic:
            self._remember()
        return found

    def _remember(self) -> None:
        """Keep what authentic runtime claims were read as; reading them again can have no other outcome."""
        if self._runtime is not None and self._hcl is not None and self._key is not None:
            digest = hashlib.sha256(self._hcl.runtime).digest()
            self.facts.shelf("azure.runtime").put(digest, _ALWAYS, (self._runtime, self._key))

    def _digest(self, evidence: bytes | AzureEvidence) -> bytes:
        seal = hashlib.sha256()
        if self._hardware is not None and self._quote is not None:
            seal.update(self._hardware.signed_digest + self._quote.signed_digest)
        elif isinstance(evidence, bytes):
            seal.update(evidence)
        else:
            seal.update(evidence.hcl + evidence.quote.message)
        return seal.digest()

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
