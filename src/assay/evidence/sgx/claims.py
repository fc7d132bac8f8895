"""The authenticated Claims of an enclave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.records import record

if TYPE_CHECKING:
    from assay.evidence.dcap.tcb import TcbClaims


@record
class SgxClaims:
    """The fields of an enclave report (Intel SGX ECDSA quoting API, appendix A.4), and the platform under it.

    Attributes:
        cpu_svn: Security version of the processor, 16 bytes.
        misc_select: Extended features in the save area, 4 bytes, little-endian bit mask.
        isv_ext_prod_id: Extended product id, 16 bytes.
        attributes: FLAGS and XFRM, 16 bytes.
        mr_enclave: Measurement of the enclave, 32 bytes.
        mr_signer: SHA-256 of the signer's key, 32 bytes.
        config_id: Configuration id, 64 bytes.
        isv_prod_id: Product id.
        isv_svn: Security version of the enclave.
        config_svn: Security version of the configuration.
        family_id: Family id, 16 bytes.
        report_data: What the enclave put in, 64 bytes.
        debug: Whether the enclave is debuggable (bit 1 of ``attributes``): nothing in it is secret then.
        tcb: The platform.
    """

    cpu_svn: bytes
    misc_select: bytes
    isv_ext_prod_id: bytes
    attributes: bytes
    mr_enclave: bytes
    mr_signer: bytes
    config_id: bytes
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    family_id: bytes
    report_data: bytes
    debug: bool
    tcb: TcbClaims
