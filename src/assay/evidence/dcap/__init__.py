"""Intel DCAP: quotes of SGX enclaves and TDX trust domains, verified with collateral.

``verify_quote`` is the one entry; ``CHECKS`` are the checks it makes, in order.
"""

from __future__ import annotations

from assay.evidence.dcap.checks import CHECKS, SGX_CHECKS, TDX_CHECKS
from assay.evidence.dcap.collateral import Collateral
from assay.evidence.dcap.tcb import SgxType, TcbClaims, TcbStatus
from assay.evidence.dcap.verify import verify_quote

__all__ = [
    "CHECKS",
    "SGX_CHECKS",
    "TDX_CHECKS",
    "Collateral",
    "SgxType",
    "TcbClaims",
    "TcbStatus",
    "verify_quote",
]
