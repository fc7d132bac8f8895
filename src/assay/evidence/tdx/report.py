"""The body of a TDX quote: TD report 1.0 (584 bytes) and 1.5 (648 bytes).

Offsets from the start of the body, sizes in bytes; source: TDX DCAP quoting library API, appendix A.3.2 and
A.3.3.

      0  16  TEE_TCB_SVN         184  48  MRCONFIGID        472  48  RTMR3
     16  48  MRSEAM              232  48  MROWNER           520  64  REPORTDATA
     64  48  MRSIGNERSEAM        280  48  MROWNERCONFIG     584  16  TEE_TCB_SVN_2   (1.5)
    112   8  SEAMATTRIBUTES      328  48  RTMR0             600  48  MRSERVICETD     (1.5)
    120   8  TDATTRIBUTES        376  48  RTMR1
    128   8  XFAM                424  48  RTMR2
    136  48  MRTD
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

TD_REPORT_BYTES = 584
TD_REPORT_15_BYTES = 648

_LAYOUT = Struct("<16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s")
_LAYOUT_15 = Struct("<16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s16s48s")
_DEBUG = 0x01


class TdReport(NamedTuple):
    """The fields of one body, as they stand there; see ``TdxClaims`` for their meaning."""

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes
    tee_tcb_svn_2: bytes | None = None
    mr_service_td: bytes | None = None

    @classmethod
    def unpack(cls, quote: bytes, offset: int, size: int) -> TdReport:
        """Read the body of ``size`` (584 or 648) bytes at ``offset``; the caller checked that it is there."""
        layout = _LAYOUT if size == TD_REPORT_BYTES else _LAYOUT_15
        return cls(*layout.unpack_from(quote, offset))

    @property
    def debug(self) -> bool:
        """Whether the TD is debuggable."""
        return bool(self.td_attributes[0] & _DEBUG)
