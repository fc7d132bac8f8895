"""What verified collateral means for one quote: whether it is about it, and what it says of its platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.dcap import checks
from assay.evidence.dcap.levels import earliest, isv_level, merge, module_level, platform_level, relaunch
from assay.evidence.dcap.tcb import TcbClaims
from assay.evidence.sgx.report import SgxReport
from assay.evidence.tdx.report import TdReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.dcap.chains import PckChain
    from assay.evidence.dcap.documents import ModuleIdentity
    from assay.evidence.dcap.endorsed import Endorsed
    from assay.evidence.dcap.quote import Quote
    from assay.evidence.ledger import CheckSpec, LedgerBuilder

_ZERO_8 = bytes(8)


def match(ledger: LedgerBuilder, quote: Quote, pck: PckChain, endorsed: Endorsed) -> None:
    """Record ``MATCH_CHECKS``: whether verified collateral is about this quote, and what it says of it."""
    _match_revocation(ledger, pck, endorsed)
    info, identity = endorsed.tcb_info, endorsed.qe_identity
    if info is not None:
        _compare(
            ledger,
            checks.TCB_INFO_FMSPC,
            info.fmspc == pck.extension.fmspc,
            "The TCB info is for another FMSPC than this platform's.",
        )
        _compare(
            ledger,
            checks.TCB_INFO_PCEID,
            info.pce_id == pck.extension.pce_id,
            "The TCB info is for another PCE id than this platform's.",
        )
    if identity is not None:
        report = SgxReport.unpack(quote.data, quote.qe_report_at)
        _compare(
            ledger,
            checks.QE_REPORT_IDENTITY,
            report.mr_signer == identity.mr_signer
            and report.isv_prod_id == identity.isv_prod_id
            and _masked(report.misc_select, identity.misc_select_mask)
            == _masked(identity.misc_select, identity.misc_select_mask)
            and _masked(report.attributes, identity.attributes_mask)
            == _masked(identity.attributes, identity.attributes_mask),
            "The quoting enclave is not the one that Intel identified.",
        )
    body = quote.body
    if not isinstance(body, TdReport):
        for spec in (checks.TDX_MODULE_IDENTITY, checks.TDX_MODULE_SIGNER, checks.TDX_MODULE_ATTRIBUTES):
            ledger.not_applicable(spec, "an SGX enclave runs on no TDX module")
    elif info is not None:
        _match_module(ledger, body, info.modules)


def _match_module(ledger: LedgerBuilder, body: TdReport, modules: Mapping[int, ModuleIdentity]) -> None:
    version = body.tee_tcb_svn[1]
    module = modules.get(version)
    if module is None:
        ledger.failed(
            checks.TDX_MODULE_IDENTITY,
            "dcap.tdx_module.identity",
            f"The TCB info identifies no TDX module of version {version}.",
        )
        return
    ledger.passed(checks.TDX_MODULE_IDENTITY)
    _compare(
        ledger,
        checks.TDX_MODULE_SIGNER,
        body.mr_signer_seam == module.mr_signer,
        "The TDX module has another signer than the one identified.",
    )
    mask = module.attributes_mask
    _compare(
        ledger,
        checks.TDX_MODULE_ATTRIBUTES,
        body.seam_attributes == _ZERO_8
        and _masked(body.seam_attributes, mask) == _masked(module.attributes, mask),
        "The attributes of the TDX module are not zero, or not the ones identified.",
    )


def _match_revocation(ledger: LedgerBuilder, pck: PckChain, endorsed: Endorsed) -> None:
    if endorsed.root_crl is not None and endorsed.signers is not None:
        used = {pck.authority.serial, *(signer.serial for signer in endorsed.signers)}
        if endorsed.crl_authority is not None:
            used.add(endorsed.crl_authority.serial)
        _compare(
            ledger,
            checks.ROOT_CRL_REVOKED,
            not used & endorsed.root_crl.revoked,
            "The root has revoked the PCK CA or a TCB signer.",
        )
    crl, authority = endorsed.pck_crl, endorsed.crl_authority
    if crl is None or authority is None:
        return
    same = (
        authority.subject == pck.authority.subject
        and authority.point == pck.authority.point
        and crl.issuer == pck.leaf.issuer
        and crl.authority == pck.authority.key_identifier()
    )
    _compare(
        ledger, checks.PCK_CRL_ISSUER, same, "The PCK CRL is not of the CA that issued this PCK certificate."
    )
    if same:
        _compare(
            ledger,
            checks.PCK_CRL_REVOKED,
            pck.leaf.serial not in crl.revoked,
            "The PCK certificate is revoked.",
        )


def _compare(ledger: LedgerBuilder, spec: CheckSpec, equal: bool, reason: str) -> None:  # noqa: FBT001 - an outcome
    if equal:
        ledger.passed(spec)
    else:
        ledger.failed(spec, spec.id, reason)


def _masked(value: bytes, mask: bytes) -> int:
    return int.from_bytes(value, "big") & int.from_bytes(mask, "big")


def tcb_claims(quote: Quote, pck: PckChain, endorsed: Endorsed) -> TcbClaims:
    """Evaluate a platform whose every check passed."""
    info, identity = endorsed.tcb_info, endorsed.qe_identity
    assert info is not None
    assert identity is not None
    body = quote.body
    qe = isv_level(identity.levels, SgxReport.unpack(quote.data, quote.qe_report_at).isv_svn)
    tee = body.tee_tcb_svn if isinstance(body, TdReport) else None
    platform, sgx = platform_level(info, pck.extension, tee)
    module = module_level(info.modules[tee[1]], tee) if tee is not None else None
    status = platform.status if module is None else merge(platform.status, module.status)
    if isinstance(body, TdReport) and body.tee_tcb_svn_2 is not None and module is not None:
        status = relaunch(
            info,
            sgx=sgx.status,
            tdx=status,
            module=module.status,
            qe=qe.status,
            tee_tcb_svn_2=body.tee_tcb_svn_2,
        )
    status = merge(status, qe.status)
    module_advisories = module.advisories if module is not None else ()
    dates = (platform.date, qe.date) if module is None else (platform.date, module.date, qe.date)
    extension = pck.extension
    window = pck.window & endorsed.window
    return TcbClaims(
        status=status,
        platform_status=platform.status,
        module_status=module.status if module is not None else None,
        qe_status=qe.status,
        advisories=tuple(sorted({*platform.advisories, *module_advisories, *qe.advisories})),
        platform_advisories=platform.advisories,
        module_advisories=module_advisories,
        qe_advisories=qe.advisories,
        effective_date=earliest(*dates),
        platform_date=platform.date,
        module_date=module.date if module is not None else None,
        qe_date=qe.date,
        tcb_evaluation_number=info.evaluation_number,
        qe_evaluation_number=identity.evaluation_number,
        fmspc=extension.fmspc,
        pce_id=extension.pce_id,
        ppid=extension.ppid,
        platform_instance_id=extension.platform_instance_id,
        sgx_type=extension.sgx_type,
        dynamic_platform=extension.dynamic_platform,
        cached_keys=extension.cached_keys,
        smt_enabled=extension.smt_enabled,
        collateral_valid_from=window.start,
        collateral_valid_until=window.end,
    )
