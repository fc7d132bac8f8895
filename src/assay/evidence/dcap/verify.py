"""The one verification of an SGX or TDX quote.

Everything that vouches for the attestation key, apart from the quote's own signature, is one fact about
signed bytes and is remembered as such: a second quote of the same platform costs one signature. The
remembered fact and the fresh one take the same way from there on.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Literal, overload

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from assay.errors import EvidenceError
from assay.evidence.dcap import checks
from assay.evidence.dcap.chains import Trust, verify_pck_chain
from assay.evidence.dcap.decoded import DecodedQuote, collateral_need
from assay.evidence.dcap.endorsed import Endorsed, verify_collateral
from assay.evidence.dcap.match import match, tcb_claims
from assay.evidence.dcap.quote import Quote, QuoteError, parse_quote
from assay.evidence.decoding.der import DerError
from assay.evidence.ledger import Check, Ledger, LedgerBuilder, Outcome
from assay.evidence.records import record
from assay.evidence.sgx.claims import SgxClaims
from assay.evidence.sgx.report import SgxReport
from assay.evidence.tdx.claims import TdxClaims
from assay.evidence.tdx.report import TdReport
from assay.evidence.verification import EvidenceResult, Expected, Need, Unchecked, UnsignedRegion
from assay.evidence.x509.certificate import load_point, raw_signature, verifies

if TYPE_CHECKING:
    from datetime import datetime

    from assay.evidence.dcap.chains import PckChain
    from assay.evidence.dcap.collateral import Collateral
    from assay.evidence.dcap.quote import Platform
    from assay.evidence.dcap.tcb import TcbClaims
    from assay.evidence.facts import FactCache
    from assay.evidence.roots import Roots
    from assay.evidence.verification import Anchor, Binding

_SPECS = {"tdx": checks.TDX_CHECKS, "sgx": checks.SGX_CHECKS}
_BINDING = {"tdx": checks.TDX_BINDING, "sgx": checks.SGX_BINDING}
_HASHED = ec.ECDSA(Prehashed(SHA256()))
_ZERO_32 = bytes(32)
_BINDINGS = (Expected, Unchecked)
_BINDING_NEED = Need("binding", {}, "The report data was not compared with anything.")


@record
class Vouched:
    """Everything that was established about a quote besides its own signature and binding.

    Attributes:
        key: The attestation key.
        tcb: The platform.
        anchor: The root in which the chain ended.
        checks: The outcomes of all checks before the quote's signature.
        signed: The same and a passed signature.
        bound: The same and a passed binding: the whole ledger of the common case.
    """

    key: ec.EllipticCurvePublicKey
    tcb: TcbClaims
    anchor: Anchor
    checks: tuple[Check, ...]
    signed: tuple[Check, ...]
    bound: Ledger


@overload
def verify_quote(
    quote: bytes,
    *,
    platform: Literal["tdx"],
    collateral: Collateral | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[TdxClaims]: ...


@overload
def verify_quote(
    quote: bytes,
    *,
    platform: Literal["sgx"],
    collateral: Collateral | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[SgxClaims]: ...


def verify_quote(
    quote: bytes,
    *,
    platform: Platform,
    collateral: Collateral | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
) -> EvidenceResult[TdxClaims] | EvidenceResult[SgxClaims]:
    """Verify a quote of format 3, 4 or 5 and return every check with its outcome.

    Bad evidence is never an exception: each defect stands in the ledger under its own code.

    Args:
        quote: The quote, with or without zero padding behind it.
        platform: The kind of TEE that the caller demands.
        collateral: Intel's documents; None leaves the checks that need them unmade, and the result says what
            to get.
        roots: The roots of trust.
        now: The time at which everything must be valid; aware.
        binding: The 64 bytes that the report data must be, or the caller's word that they are not checked.
        facts: Where verified facts are remembered between calls.

    Raises:
        EvidenceError: ``evidence.call.time`` for a naive ``now``, ``evidence.call.platform`` for an unknown
            platform, ``evidence.call.type`` when quote or binding are of another type: errors of the caller.
    """
    if now.utcoffset() is None:
        raise EvidenceError("evidence.call.time", "The time of a verification needs a time zone.")
    if platform not in _SPECS:
        raise EvidenceError("evidence.call.platform", "The platform is neither tdx nor sgx.")
    if type(binding) not in _BINDINGS or {type(quote), type(_expected(binding))} != {bytes}:
        raise EvidenceError("evidence.call.type", "A quote and what is expected are bytes, and nothing else.")
    try:
        parsed = parse_quote(quote, platform)
    except QuoteError as defect:
        return _unreadable(quote, platform, defect, binding)
    if collateral is None:
        return _fresh(parsed, platform, None, roots, now, binding, facts, None)
    key = hashlib.sha256(parsed.endorsed).digest() + collateral.digest + roots.digest + _judged(parsed)
    vouched: Vouched | None = facts.platforms.get(key, now)
    if vouched is None:
        return _fresh(parsed, platform, collateral, roots, now, binding, facts, key)
    return _conclude(parsed, platform, vouched, binding)


def _judged(quote: Quote) -> bytes:
    """Return what the platform is judged by besides the bytes that its key vouches for: 1, 73 or 89 bytes.

    Each part has its own fixed size, and the format's version says which there are.
    """
    body, version = quote.body, quote.version.to_bytes(1, "big")
    if not isinstance(body, TdReport):
        return version
    first = version + body.tee_tcb_svn + body.mr_signer_seam + body.seam_attributes
    return first if body.tee_tcb_svn_2 is None else first + body.tee_tcb_svn_2


def _expected(binding: Binding) -> bytes:
    return binding.value if isinstance(binding, Expected) else b""


def _conclude(
    quote: Quote, platform: Platform, vouched: Vouched, binding: Binding
) -> EvidenceResult[TdxClaims] | EvidenceResult[SgxClaims]:
    """Finish the verification of a quote whose attestation key is vouched for."""
    digest = hashlib.sha256(quote.signed).digest()
    needs: tuple[Need, ...] = ()
    try:
        vouched.key.verify(raw_signature(quote.signature), digest, _HASHED)
    except InvalidSignature:
        ledger = Ledger((*vouched.checks, *_broken_signature(platform)))
        return _result(quote, platform, ledger, vouched.anchor, digest, (), None)
    check = _bind(platform, quote.body.report_data, binding)
    if check.outcome is Outcome.PASSED:
        ledger = vouched.bound
    else:
        ledger = Ledger((*vouched.signed, check))
        needs = (_BINDING_NEED,) if check.outcome is Outcome.NOT_CHECKED else ()
    return _result(quote, platform, ledger, vouched.anchor, digest, needs, vouched.tcb)


def _bind(platform: Platform, report_data: bytes, binding: Binding) -> Check:
    spec = _BINDING[platform]
    if isinstance(binding, Unchecked):
        return Check(spec, Outcome.NOT_CHECKED, spec.id + ".unchecked", f"not checked: {binding.reason}")
    if hmac.compare_digest(report_data, binding.value):
        return spec.passed
    return Check(spec, Outcome.FAILED, spec.id + ".mismatch", "The report data are not the ones expected.")


def _broken_signature(platform: Platform) -> tuple[Check, Check]:
    return (
        Check(
            checks.QUOTE_SIGNATURE,
            Outcome.FAILED,
            "dcap.quote.signature",
            "The signature over header and body is not the attestation key's.",
        ),
        Check(
            _BINDING[platform],
            Outcome.NOT_CHECKED,
            "ledger.not_reached",
            "not reached: dcap.quote.signature failed",
        ),
    )


def _unreadable(
    data: bytes, platform: Platform, defect: QuoteError, binding: Binding
) -> EvidenceResult[TdxClaims] | EvidenceResult[SgxClaims]:
    ledger = LedgerBuilder(_SPECS[platform])
    ledger.failed(defect.spec, defect.code, defect.message)
    del binding  # nothing was read that it could be compared with
    return EvidenceResult(
        platform=platform,
        ledger=ledger.close(),
        binding_check=_BINDING[platform].id,
        anchor=None,
        signed_digest=hashlib.sha256(data).digest(),
        unsigned=(UnsignedRegion(0, len(data), "all of it: the quote cannot be read"),),
        needs=(),
        decoded={},
        _claims=None,
    )


def _fresh(
    quote: Quote,
    platform: Platform,
    collateral: Collateral | None,
    roots: Roots,
    now: datetime,
    binding: Binding,
    facts: FactCache,
    key: bytes | None,
) -> EvidenceResult[TdxClaims] | EvidenceResult[SgxClaims]:
    """Establish everything; remember it if, and only if, all of it passed, the quote's signature included."""
    ledger = LedgerBuilder(_SPECS[platform])
    ledger.passed(*checks.LAYOUT_CHECKS)
    start, end = quote.chain
    outcomes, pck = verify_pck_chain(quote.data[start:end], roots, now, facts)
    ledger.extend(outcomes)
    _enclave(ledger, quote, pck)
    attested = _attestation_key(ledger, quote)
    endorsed: Endorsed | None = None
    if collateral is None:
        for spec in checks.COLLATERAL_CHECKS:
            ledger.not_checked(
                spec,
                "dcap.collateral.missing",
                "not checked: there is no collateral for this platform and time",
            )
    elif pck is not None:
        trust = Trust(pck.root, {pck.authority.der: pck.authority}, now, facts)
        outcomes, endorsed = verify_collateral(collateral, platform, trust)
        ledger.extend(outcomes)
        match(ledger, quote, pck, endorsed)
    digest = hashlib.sha256(quote.signed).digest()
    signed = attested is not None and _signed(ledger, quote, attested, digest)
    if signed:
        ledger.extend((_bind(platform, quote.body.report_data, binding),))
    closed = ledger.close()
    anchor = pck.root.anchor if pck is not None else None
    needs = _needs(quote, platform, closed, binding, now)
    before, last = closed.checks[:-2], closed.checks[-2:]
    complete = all(check in last for check in closed.unmet())
    if not (complete and signed):
        return _result(quote, platform, closed, anchor, digest, needs, None)
    assert pck is not None
    assert endorsed is not None
    assert attested is not None
    tcb = tcb_claims(quote, pck, endorsed)
    with_signature = (*before, checks.QUOTE_SIGNATURE.passed)
    vouched = Vouched(
        key=attested,
        tcb=tcb,
        anchor=pck.root.anchor,
        checks=before,
        signed=with_signature,
        bound=Ledger((*with_signature, _BINDING[platform].passed)),
    )
    facts.platforms.put(key, pck.window & endorsed.window, vouched)
    return _result(quote, platform, closed, anchor, digest, needs, tcb)


def _enclave(ledger: LedgerBuilder, quote: Quote, pck: PckChain | None) -> None:
    """Record ``ENCLAVE_CHECKS``: the QE's report, and that it commits to the attestation key."""
    report = SgxReport.unpack(quote.data, quote.qe_report_at)
    start, end = quote.auth
    commitment = hashlib.sha256(quote.attestation_key + quote.data[start:end]).digest()
    if report.report_data[:32] != commitment:
        ledger.failed(
            checks.QE_REPORT_DATA,
            "dcap.qe_report.data",
            "The QE's report does not commit to this attestation key.",
        )
    elif report.report_data[32:] != _ZERO_32:
        ledger.failed(
            checks.QE_REPORT_DATA,
            "dcap.qe_report.data_tail",
            "The second half of the QE's report data is not zero.",
        )
    else:
        ledger.passed(checks.QE_REPORT_DATA)
    if report.debug:
        ledger.failed(checks.QE_REPORT_DEBUG, "dcap.qe_report.debug", "The quoting enclave is debuggable.")
    else:
        ledger.passed(checks.QE_REPORT_DEBUG)
    if pck is None:
        return
    if verifies(pck.key, raw_signature(quote.qe_report_signature), quote.qe_report_bytes):
        ledger.passed(checks.QE_REPORT_SIGNATURE)
    else:
        ledger.failed(
            checks.QE_REPORT_SIGNATURE,
            "dcap.qe_report.signature",
            "The signature of the QE's report is not the PCK key's.",
        )


def _attestation_key(ledger: LedgerBuilder, quote: Quote) -> ec.EllipticCurvePublicKey | None:
    try:
        return load_point(b"\x04" + quote.attestation_key)
    except DerError:
        ledger.failed(
            checks.QUOTE_SIGNATURE, "dcap.quote.key_invalid", "The attestation key is no point on the curve."
        )
        return None


def _signed(ledger: LedgerBuilder, quote: Quote, key: ec.EllipticCurvePublicKey, digest: bytes) -> bool:
    try:
        key.verify(raw_signature(quote.signature), digest, _HASHED)
    except InvalidSignature:
        ledger.failed(
            checks.QUOTE_SIGNATURE,
            "dcap.quote.signature",
            "The signature over header and body is not the attestation key's.",
        )
        return False
    ledger.passed(checks.QUOTE_SIGNATURE)
    return True


_TIME_CHECKS = (
    checks.ROOT_CRL_TIME,
    checks.PCK_CRL_TIME,
    checks.TCB_INFO_TIME,
    checks.QE_IDENTITY_TIME,
    checks.TCB_SIGNER_VALIDITY,
)


def _needs(
    quote: Quote, platform: Platform, ledger: Ledger, binding: Binding, now: datetime
) -> tuple[Need, ...]:
    found = []
    stale = [
        check.reason
        for check in ledger.unmet()
        if check.code == "dcap.collateral.missing"
        or (check.outcome is Outcome.FAILED and check.spec in _TIME_CHECKS)
    ]
    if stale:
        found.append(collateral_need(quote, platform, now, stale[0]))
    if isinstance(binding, Unchecked):
        found.append(_BINDING_NEED)
    return tuple(found)


def _result(
    quote: Quote,
    platform: Platform,
    ledger: Ledger,
    anchor: Anchor | None,
    digest: bytes,
    needs: tuple[Need, ...],
    tcb: TcbClaims | None,
) -> EvidenceResult[TdxClaims] | EvidenceResult[SgxClaims]:
    size = len(quote.data)
    claims = None if tcb is None else _claims(quote.body, tcb)
    return EvidenceResult(  # type: ignore[return-value]  # the body decides which of the two it is
        platform,
        ledger,
        _BINDING[platform].id,
        anchor,
        digest,
        () if quote.end == size else (UnsignedRegion(quote.end, size, "zero padding"),),
        needs,
        DecodedQuote(quote),
        claims,
    )


def _claims(body: TdReport | SgxReport, tcb: TcbClaims) -> TdxClaims | SgxClaims:
    if isinstance(body, TdReport):
        return TdxClaims(*body[:10], body[10:14], *body[14:17], body.debug, tcb)
    return SgxClaims(
        cpu_svn=body.cpu_svn,
        misc_select=body.misc_select,
        isv_ext_prod_id=body.isv_ext_prod_id,
        attributes=body.attributes,
        mr_enclave=body.mr_enclave,
        mr_signer=body.mr_signer,
        config_id=body.config_id,
        isv_prod_id=body.isv_prod_id,
        isv_svn=body.isv_svn,
        config_svn=body.config_svn,
        family_id=body.family_id,
        report_data=body.report_data,
        debug=body.debug,
        tcb=tcb,
    )
