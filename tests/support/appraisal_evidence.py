"""Verified evidence made by hand: every field can be set, so that one property at a time is appraised."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from assay.appraisal import AttestationResult, Context, Policy, appraise
from assay.appraisal.vocabulary import WEAKNESSES
from assay.evidence.dcap.tcb import SgxType, TcbClaims, TcbStatus
from assay.evidence.ledger import Check, CheckSpec, Ledger, Outcome
from assay.evidence.sgx.claims import SgxClaims
from assay.evidence.tdx.claims import TdxClaims
from assay.evidence.verification import Anchor, EvidenceResult

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
TCB_DATE = datetime(2026, 8, 1, tzinfo=UTC)
OWN_ROOT = bytes.fromhex("aa" * 32)
VENDOR = Anchor(bytes(32), "Intel SGX Root CA", simulated=False)
SIMULATED = Anchor(OWN_ROOT, "assay simulator", simulated=True)
FOREIGN = Anchor(bytes.fromhex("bb" * 32), "somebody's simulator", simulated=True)

SIGNATURE = CheckSpec("test.signature", "the signature verifies", "none")
BINDING = CheckSpec("test.binding", "the report data is the one expected", "none")

TCB = TcbClaims(
    status=TcbStatus.UP_TO_DATE,
    platform_status=TcbStatus.UP_TO_DATE,
    module_status=TcbStatus.UP_TO_DATE,
    qe_status=TcbStatus.UP_TO_DATE,
    advisories=(),
    platform_advisories=(),
    module_advisories=(),
    qe_advisories=(),
    effective_date=TCB_DATE,
    platform_date=TCB_DATE,
    module_date=TCB_DATE,
    qe_date=TCB_DATE,
    tcb_evaluation_number=20,
    qe_evaluation_number=20,
    fmspc=bytes.fromhex("20a06f000000"),
    pce_id=bytes(2),
    ppid=bytes.fromhex("11" * 16),
    platform_instance_id=bytes.fromhex("22" * 16),
    sgx_type=SgxType.SCALABLE_WITH_INTEGRITY,
    dynamic_platform=False,
    cached_keys=False,
    smt_enabled=False,
    collateral_valid_from=datetime(2026, 10, 25, tzinfo=UTC),
    collateral_valid_until=datetime(2026, 11, 24, tzinfo=UTC),
)

TDX_WORDS = sorted(
    word for word, found in WEAKNESSES.items() if "tdx" in found.platforms and found.key == "accept"
)
"""The weaknesses that a policy for TDX can admit in ``accept``."""


def register(byte: int, size: int = 48) -> bytes:
    """Return a register that is easy to tell from others."""
    return bytes([byte]) * size


TDX = TdxClaims(
    tee_tcb_svn=bytes(16),
    mr_seam=register(0x01),
    mr_signer_seam=bytes(48),
    seam_attributes=bytes(8),
    td_attributes=(1 << 28).to_bytes(8, "little"),
    xfam=(0x602E7).to_bytes(8, "little"),
    mr_td=register(0x02),
    mr_config_id=register(0x03),
    mr_owner=register(0x04),
    mr_owner_config=register(0x05),
    rtmrs=(register(0x10), register(0x11), register(0x12), register(0x13)),
    report_data=bytes(64),
    tee_tcb_svn_2=bytes(16),
    mr_service_td=bytes(48),
    debug=False,
    tcb=TCB,
)
SGX = SgxClaims(
    cpu_svn=bytes(16),
    misc_select=bytes(4),
    isv_ext_prod_id=bytes(16),
    attributes=(0x05).to_bytes(16, "little"),
    mr_enclave=register(0x20, 32),
    mr_signer=register(0x21, 32),
    config_id=register(0x22, 64),
    isv_prod_id=7,
    isv_svn=3,
    config_svn=2,
    family_id=bytes(16),
    report_data=bytes(64),
    debug=False,
    tcb=replace(TCB, module_status=None, module_date=None),
)


def attributes(*bits: int) -> bytes:
    """Return TDATTRIBUTES with these bits set."""
    return sum(1 << bit for bit in bits).to_bytes(8, "little")


def evidence(
    claims: TdxClaims | SgxClaims = TDX,
    *,
    anchor: Anchor | None = VENDOR,
    signature: Outcome = Outcome.PASSED,
    binding: Outcome = Outcome.PASSED,
) -> EvidenceResult[Any]:
    """Return evidence with these Claims, authentic unless ``signature`` says otherwise."""
    checks = tuple(
        spec.passed if outcome is Outcome.PASSED else Check(spec, outcome, f"{spec.id}.code", "said so")
        for spec, outcome in ((SIGNATURE, signature), (BINDING, binding))
    )
    return EvidenceResult(
        "tdx" if isinstance(claims, TdxClaims) else "sgx",
        Ledger(checks),
        BINDING.id,
        anchor,
        bytes(32),
        (),
        (),
        {"mr_td": "unauthenticated"},
        claims,
    )


def authentic(platform: str, claims: Any, anchor: Anchor = VENDOR) -> EvidenceResult[Any]:
    """Return evidence of any platform whose signature and binding are verified."""
    ledger = Ledger((SIGNATURE.passed, BINDING.passed))
    return EvidenceResult(platform, ledger, BINDING.id, anchor, bytes(32), (), (), {}, claims)


def tdx(**changed: Any) -> TdxClaims:
    """Return TD Claims that differ from the good ones in what is named; TCB fields are found by name."""
    return _changed(TDX, changed)


def sgx(**changed: Any) -> SgxClaims:
    """Return enclave Claims that differ from the good ones in what is named."""
    return _changed(SGX, changed)


def _changed(claims: Any, changed: dict[str, Any]) -> Any:
    of_tcb = {name: value for name, value in changed.items() if name in TcbClaims.__slots__}
    of_claims = {name: value for name, value in changed.items() if name not in of_tcb}
    return replace(claims, tcb=replace(claims.tcb, **of_tcb), **of_claims)


def policy(
    text: str = "", *, platforms: str = '["tdx", "sgx"]', accept: str = "[]", name: str = "test"
) -> Policy:
    """Return a policy with these lines after version, platforms and accept."""
    head = f"version = 1\nplatforms = {platforms}\naccept = {accept}\n"
    return Policy.load((head + text).encode(), name=name)


def judged(
    made: EvidenceResult[Any] | TdxClaims | SgxClaims,
    by: Policy,
    *,
    references: dict[str, frozenset[bytes]] | None = None,
    context: Context | None = None,
    workload_log: Any = None,
    now: datetime = NOW,
) -> AttestationResult:
    """Return the result of appraising ``made``, or evidence with the Claims ``made``."""
    found = made if isinstance(made, EvidenceResult) else evidence(made)
    return appraise(
        found,
        by,
        now=now,
        references=references or {},
        context=context or Context(),
        workload_log=workload_log,
    )


def failures(result: AttestationResult) -> list[str]:
    """Return the codes of the checks that failed."""
    return [check.code for check in result.ledger.failed()]
