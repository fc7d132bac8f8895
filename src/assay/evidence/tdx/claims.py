"""The authenticated Claims of a trust domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.records import record

if TYPE_CHECKING:
    from assay.evidence.dcap.tcb import TcbClaims

Registers = tuple[bytes, bytes, bytes, bytes]


@record
class TdxClaims:
    """The fields of a TD report (Intel TDX DCAP quoting API, appendix A.3), and the platform under it.

    Attributes:
        tee_tcb_svn: Security versions of the TDX components at launch of the TD, 16 bytes.
        mr_seam: Measurement of the TDX module, 48 bytes.
        mr_signer_seam: Signer of the TDX module, 48 bytes; zero for Intel's.
        seam_attributes: Attributes of the TDX module, 8 bytes.
        td_attributes: Attributes of the TD, 8 bytes, little-endian bit mask.
        xfam: Extended features that the TD may use, 8 bytes, little-endian bit mask.
        mr_td: Measurement of the initial contents of the TD, 48 bytes.
        mr_config_id: Configuration id set at launch, 48 bytes.
        mr_owner: Owner id set at launch, 48 bytes.
        mr_owner_config: Owner's configuration id set at launch, 48 bytes.
        rtmrs: RTMR0 to RTMR3, 48 bytes each.
        report_data: What the TD put in, 64 bytes.
        tee_tcb_svn_2: Current security versions, 16 bytes; TD 1.5 only.
        mr_service_td: Measurement of the bound service TD, 48 bytes, zero for none; TD 1.5 only.
        debug: Whether the TD is debuggable (bit 0 of ``td_attributes``): nothing in it is secret then.
        tcb: The platform.
    """

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
    rtmrs: Registers
    report_data: bytes
    tee_tcb_svn_2: bytes | None
    mr_service_td: bytes | None
    debug: bool
    tcb: TcbClaims
