"""The one verification of an SEV-SNP attestation report.

Everything that vouches for the key of a report is one fact about signed bytes and is remembered as such: a
second report of the same chip costs one signature. The remembered fact and the fresh one take the same way
from there on.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from assay.errors import EvidenceError
from assay.evidence.decoding.der import DerError
from assay.evidence.ledger import CheckFailedError, LedgerBuilder, Outcome
from assay.evidence.snp import checks
from assay.evidence.snp.chains import CRL_MISSING, verify_chain
from assay.evidence.snp.claims import FirmwareVersion, GuestPolicy, PlatformInfo, SnpClaims, TcbVersion
from assay.evidence.snp.decoded import DecodedReport, issuer_need, vek_need
from assay.evidence.snp.endorsements import SnpEndorsements
from assay.evidence.snp.products import FORGEABLE, UNSUPPORTED, Product, product_of_cpuid
from assay.evidence.snp.report import REPORT_BYTES, ReportError, SnpReport, stated_key
from assay.evidence.snp.vek import VekExtensions
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion
from assay.evidence.x509.general import GeneralCertificate

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.facts import FactCache
    from assay.evidence.ledger import Ledger
    from assay.evidence.roots import Roots
    from assay.evidence.snp.chains import Vek
    from assay.evidence.snp.vek import Kind
    from assay.evidence.verification import Binding

PLATFORM: Final = "snp"

_SHELF: Final = "snp.keys"
_ECDSA: Final = ec.ECDSA(SHA384())
_BINDINGS: Final = (Expected, Unchecked)
_BINDING_NEED: Final = Need("binding", {}, "The report data was not compared with anything.")
_NO_CHIP: Final = bytes(64)
_MISSING: Final = "snp.vek.missing"


def verify_snp(
    evidence: bytes,
    *,
    endorsements: SnpEndorsements | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[SnpClaims]:
    """Verify a report of version 2 to 5 and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        evidence: The report, 1,184 bytes, alone or with a certificate table behind it.
        endorsements: Certificates and CRL; what they lack is taken from the table. None leaves all of it to
            the table. What neither has leaves checks unmade, and the result says what to get.
        roots: The roots of trust; AMD's have the vendor ``amd``.
        now: The time at which everything must be valid; aware.
        binding: The 64 bytes that the report data must be, or the caller's word that they are not checked.
        facts: Where verified facts are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``, ``evidence.call.type`` when evidence or
            binding are of another type: errors of the caller.
    """
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    expected = binding.value if isinstance(binding, Expected) else b""
    if type(binding) not in _BINDINGS or type(evidence) is not bytes or type(expected) is not bytes:
        raise EvidenceError(
            "evidence.call.type", "A report and what is expected are bytes, and nothing else."
        )
    ledger = LedgerBuilder(checks.CHECKS)
    try:
        report, given = _read(evidence, endorsements or SnpEndorsements())
    except ReportError as defect:
        ledger.failed(defect.spec, defect.code, defect.message)
        return _unreadable(evidence, ledger.close())
    ledger.passed(*checks.LAYOUT_CHECKS)
    needs: list[Need] = []
    vek: Vek | None = None
    try:
        _demand_product(ledger, report)
        vek = _key(ledger, report, given, roots, now, facts, needs)
        if vek is not None:
            _match(ledger, report, vek)
            _demand_signature(ledger, report, vek)
            _bind(ledger, report, binding)
    except CheckFailedError:
        pass
    closed = ledger.close()
    if isinstance(binding, Unchecked):
        needs.append(_BINDING_NEED)
    return EvidenceResult(
        platform=PLATFORM,
        ledger=closed,
        binding_check=checks.BINDING.id,
        anchor=vek.root.anchor if vek is not None else None,
        signed_digest=hashlib.sha256(report.signed).digest(),
        unsigned=_unsigned(evidence),
        needs=tuple(needs),
        decoded=DecodedReport(report),
        _claims=_claims(report, vek) if vek is not None and _complete(closed) else None,
    )


def _read(evidence: bytes, given: SnpEndorsements) -> tuple[SnpReport, SnpEndorsements]:
    """Take evidence apart; what a certificate table holds stands in for what was not given."""
    if len(evidence) <= REPORT_BYTES:
        return SnpReport.parse(evidence), given
    try:
        table = SnpEndorsements.from_table(evidence[REPORT_BYTES:], kind=stated_key(evidence))
        found = given.or_else(table)
    except EvidenceError as error:
        raise ReportError(
            checks.SNP_REPORT_LAYOUT,
            error.code,
            f"Behind the report stands no certificate table: {error.message}",
        ) from None
    return SnpReport.parse(evidence[:REPORT_BYTES]), found


def _unreadable(data: bytes, ledger: Ledger) -> EvidenceResult[SnpClaims]:
    return EvidenceResult(
        platform=PLATFORM,
        ledger=ledger,
        binding_check=checks.BINDING.id,
        anchor=None,
        signed_digest=hashlib.sha256(data).digest(),
        unsigned=(UnsignedRegion(0, len(data), "all of it: the report cannot be read"),),
        needs=(),
        decoded={},
        _claims=None,
    )


def _unsigned(evidence: bytes) -> tuple[UnsignedRegion, ...]:
    if len(evidence) == REPORT_BYTES:
        return ()
    return (UnsignedRegion(REPORT_BYTES, len(evidence), "certificate table, written by the host"),)


def _demand_product(ledger: LedgerBuilder, report: SnpReport) -> None:
    if report.cpuid is None:
        ledger.not_applicable(checks.PRODUCT_CPUID, "a report of version 2 does not state CPUID")
        return
    family, model, _ = report.cpuid
    product = product_of_cpuid(family, model)
    if product is None or product == UNSUPPORTED:
        name = product or "of no known product"
        raise ledger.fail(
            checks.PRODUCT_CPUID,
            "snp.product.unsupported" if product else "snp.product.unknown",
            f"CPUID family 0x{family:02x}, model 0x{model:02x} is {name}: there is no pinned root for it.",
        )
    ledger.passed(checks.PRODUCT_CPUID)


def _key(
    ledger: LedgerBuilder,
    report: SnpReport,
    given: SnpEndorsements,
    roots: Roots,
    now: datetime,
    facts: FactCache,
    needs: list[Need],
) -> Vek | None:
    """Return the verified key of a report, known or fresh; None when it is not at hand."""
    if given.vek is None or given.authority is None:
        product = _cpuid_product(report) or _stated_product(given.vek, report.signing_key)
        kind = report.signing_key.upper()
        if given.vek is None:
            needs.append(vek_need(report, f"There is no certificate of the {kind}."))
        if given.authority is None:
            what = f"There is no certificate of the issuer of the {kind}."
            needs.append(issuer_need(report.signing_key, product, "snp-chain", what))
        if given.crl is None:
            needs.append(issuer_need(report.signing_key, product, "snp-crl", "There is no CRL of the root."))
        reason = f"not checked: there is no certificate of the {kind}, or none of its issuer"
        for spec in (*checks.CHAIN_CHECKS, *checks.CRL_CHECKS, *checks.MATCH_CHECKS, checks.SNP_SIGNATURE):
            ledger.not_checked(spec, _MISSING, reason)
        return None
    shelf = facts.shelf(_SHELF)
    key = (given.digest, roots.digest)
    known: Vek | None = shelf.get(key, now)
    if known is not None:
        ledger.passed(*checks.CHAIN_CHECKS, *checks.CRL_CHECKS)
        return known
    own = LedgerBuilder((*checks.CHAIN_CHECKS, *checks.CRL_CHECKS, checks.SNP_SIGNATURE))
    try:
        fresh = verify_chain(own, given.vek, given, roots, now, facts)
    finally:
        outcomes = own.close()
        ledger.extend(check for check in outcomes if check.code != "ledger.not_reached")
    crl = outcomes[checks.CRL_TIME.id]
    if crl.code == CRL_MISSING or crl.outcome is Outcome.FAILED:
        missing = crl.code == CRL_MISSING
        reason = "There is no CRL of the root." if missing else crl.reason
        needs.append(_crl_need(report, fresh.product, reason))
    if all(check.outcome is Outcome.PASSED for check in outcomes if check.spec is not checks.SNP_SIGNATURE):
        shelf.put(key, fresh.window, fresh)
    return fresh


def _cpuid_product(report: SnpReport) -> Product | None:
    found = product_of_cpuid(*report.cpuid[:2]) if report.cpuid is not None else None
    return found if isinstance(found, Product) else None


def _stated_product(vek: bytes | None, kind: Kind) -> Product | None:
    """Return the product that a certificate says it is for: what to look for, and nothing that is trusted."""
    try:
        return VekExtensions.parse(GeneralCertificate.parse(vek).extensions, kind).product if vek else None
    except DerError:
        return None


def _crl_need(report: SnpReport, product: Product | None, reason: str) -> Need:
    return issuer_need(report.signing_key, product or _cpuid_product(report), "snp-crl", reason)


def _match(ledger: LedgerBuilder, report: SnpReport, vek: Vek) -> None:
    """Record ``MATCH_CHECKS``: the report against the certificate, and against itself."""
    if vek.kind == report.signing_key:
        ledger.passed(checks.VEK_KIND)
    else:
        ledger.failed(
            checks.VEK_KIND,
            "snp.vek.kind",
            f"The report names a {report.signing_key.upper()}, the certificate is of a {vek.kind.upper()}.",
        )
    product = _cpuid_product(report)
    if product is None:
        ledger.not_applicable(checks.PRODUCT_MATCH, "a report of version 2 does not state CPUID")
    elif product is vek.product:
        ledger.passed(checks.PRODUCT_MATCH)
    else:
        ledger.failed(
            checks.PRODUCT_MATCH,
            "snp.product.match",
            f"The report comes from a {product}, the certificate is for {vek.product}.",
        )
    if vek.extensions.tcb == report.reported_tcb:
        ledger.passed(checks.TCB_VEK)
    else:
        ledger.failed(
            checks.TCB_VEK, "snp.tcb.vek", "The certificate is for another TCB version than the reported one."
        )
    _match_chip(ledger, report, vek)
    _order(ledger, report)


def _match_chip(ledger: LedgerBuilder, report: SnpReport, vek: Vek) -> None:
    hwid = vek.extensions.hwid
    if hwid is None:
        ledger.not_applicable(checks.CHIP_ID, "a VLEK is the provider's key and names no chip")
    elif hwid.ljust(len(_NO_CHIP), b"\0") == report.chip_id:
        ledger.passed(checks.CHIP_ID)
    elif report.chip_id == _NO_CHIP and report.mask_chip_key:
        ledger.not_applicable(checks.CHIP_ID, "the platform masks its chip id")
    elif report.chip_id == _NO_CHIP:
        ledger.failed(
            checks.CHIP_ID,
            "snp.chip_id.absent",
            "The report names no chip and does not say that it is masked.",
        )
    else:
        ledger.failed(checks.CHIP_ID, "snp.chip_id.mismatch", "The certificate is for another chip.")


def _order(ledger: LedgerBuilder, report: SnpReport) -> None:
    if _covers(report.current_tcb, report.reported_tcb):
        ledger.passed(checks.TCB_REPORTED)
    else:
        ledger.failed(
            checks.TCB_REPORTED, "snp.tcb.reported", "A component of the reported TCB is above what runs."
        )
    committed = _covers(report.current_tcb, report.committed_tcb)
    if committed and report.committed_version <= report.current_version:
        ledger.passed(checks.TCB_COMMITTED)
    else:
        ledger.failed(
            checks.TCB_COMMITTED,
            "snp.tcb.committed" if not committed else "snp.version.committed",
            "A component of the committed TCB, or the committed version, is above what runs.",
        )


def _covers(current: bytes, other: bytes) -> bool:
    """Return whether no component of a TCB_VERSION is above another's; each is one byte in every product."""
    return current == other or all(own >= least for own, least in zip(current, other, strict=True))


def _demand_signature(ledger: LedgerBuilder, report: SnpReport, vek: Vek) -> None:
    try:
        vek.key.verify(encode_dss_signature(report.r, report.s), report.signed, _ECDSA)
    except InvalidSignature:
        raise ledger.fail(
            checks.SNP_SIGNATURE,
            "snp.report.signature",
            "The signature over the report is not that of its VCEK or VLEK.",
        ) from None
    ledger.passed(checks.SNP_SIGNATURE)


def _bind(ledger: LedgerBuilder, report: SnpReport, binding: Binding) -> None:
    spec = checks.BINDING
    if isinstance(binding, Unchecked):
        ledger.not_checked(spec, "snp.binding.unchecked", f"not checked: {binding.reason}")
    elif hmac.compare_digest(report.report_data, binding.value):
        ledger.passed(spec)
    else:
        ledger.failed(spec, "snp.binding.mismatch", "The report data are not the ones expected.")


def _complete(ledger: Ledger) -> bool:
    passed, not_applicable, binding = Outcome.PASSED, Outcome.NOT_APPLICABLE, checks.BINDING
    for check in ledger.checks:
        outcome = check.outcome
        if outcome is not passed and outcome is not not_applicable and check.spec is not binding:
            return False
    return True


def _claims(report: SnpReport, vek: Vek) -> SnpClaims:
    product, extensions = vek.product, vek.extensions
    policy, platform = GuestPolicy(report.policy), PlatformInfo(report.platform_info)
    stated = {report.reported_tcb, report.current_tcb, report.committed_tcb, report.launch_tcb}
    versions = {raw: TcbVersion(product, raw) for raw in stated}  # most often all four are one
    return SnpClaims(
        version=report.version,
        guest_svn=report.guest_svn,
        policy=policy,
        family_id=report.family_id,
        image_id=report.image_id,
        vmpl=report.vmpl,
        platform=platform,
        signing_key=report.signing_key,
        author_key=report.author_key,
        mask_chip_key=report.mask_chip_key,
        report_data=report.report_data,
        measurement=report.measurement,
        host_data=report.host_data,
        id_key_digest=report.id_key_digest,
        author_key_digest=report.author_key_digest,
        report_id=report.report_id,
        report_id_ma=report.report_id_ma,
        product=product,
        product_name=extensions.product_name,
        cpuid=report.cpuid,
        reported_tcb=versions[report.reported_tcb],
        current_tcb=versions[report.current_tcb],
        committed_tcb=versions[report.committed_tcb],
        launch_tcb=versions[report.launch_tcb],
        current_version=FirmwareVersion(*report.current_version),
        committed_version=FirmwareVersion(*report.committed_version),
        provisional=(report.current_tcb, report.current_version)
        != (report.committed_tcb, report.committed_version),
        chip_id=report.chip_id,
        chip_id_masked=report.chip_id == _NO_CHIP and extensions.hwid is not None,
        csp_id=extensions.csp_id,
        launch_mitigations=report.launch_mitigations,
        current_mitigations=report.current_mitigations,
        debug=policy.debug,
        forgeable=product in FORGEABLE,
        alias_check_complete=platform.alias_check_complete,
        endorsed_from=vek.window.start,
        endorsed_until=vek.window.end,
    )
