"""Verified SEV-SNP evidence made by hand, and a policy that accepts it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from assay.appraisal import AttestationResult, Policy
from assay.evidence.snp.claims import (
    FirmwareVersion,
    GuestPolicy,
    PlatformInfo,
    SnpClaims,
    TcbVersion,
)
from assay.evidence.snp.products import Product
from assay.evidence.verification import Anchor
from support.appraisal_evidence import authentic
from support.appraisal_evidence import judged as appraised

ARK = Anchor(bytes(32), "AMD ARK-Genoa", simulated=False)
TCB = TcbVersion(Product.GENOA, bytes([9, 0, 0, 0, 0, 0, 21, 72]))

SNP = SnpClaims(
    version=3,
    guest_svn=4,
    policy=GuestPolicy(1 << 17 | 1 << 16),
    family_id=b"f" * 16,
    image_id=b"i" * 16,
    vmpl=0,
    platform=PlatformInfo(1 << 5 | 1),
    signing_key="vcek",
    author_key=False,
    mask_chip_key=False,
    report_data=bytes(64),
    measurement=b"m" * 48,
    host_data=b"h" * 32,
    id_key_digest=b"k" * 48,
    author_key_digest=b"a" * 48,
    report_id=b"r" * 32,
    report_id_ma=b"\xff" * 32,
    product=Product.GENOA,
    product_name="Genoa-B1",
    cpuid=(0x19, 0x11, 1),
    reported_tcb=TCB,
    current_tcb=TCB,
    committed_tcb=TCB,
    launch_tcb=TCB,
    current_version=FirmwareVersion(1, 55, 21),
    committed_version=FirmwareVersion(1, 55, 21),
    provisional=False,
    chip_id=b"c" * 64,
    chip_id_masked=False,
    csp_id=None,
    launch_mitigations=None,
    current_mitigations=None,
    debug=False,
    forgeable=False,
    alias_check_complete=True,
    endorsed_from=datetime(2026, 10, 25, tzinfo=UTC),
    endorsed_until=datetime(2027, 10, 25, tzinfo=UTC),
)
GENOA = "[snp.min_tcb.genoa]\nbl = 9\ntee = 0\nsnp = 21\nucode = 72\n"


def snp(**changed: Any) -> SnpClaims:
    """Return the Claims with some of them changed."""
    return replace(SNP, **changed)


def policy(body: str = "", *, accept: str = "[]", top: str = "", tcb: str = GENOA) -> Policy:
    """Return a policy for SNP with these keys of ``[snp]``."""
    head = f'version = 1\nplatforms = ["snp"]\naccept = {accept}\n{top}'
    return Policy.load(f"{head}[snp]\n{body}\n{tcb}".encode(), name="test")


def judged(claims: SnpClaims, by: Policy, anchor: Anchor = ARK) -> AttestationResult:
    """Return what the policy makes of authentic, bound evidence with these Claims."""
    return appraised(authentic("snp", claims, anchor), by)
