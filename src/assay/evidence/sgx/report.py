"""The report of an SGX enclave, 384 bytes: body of an SGX quote, and what the PCK key signs about the QE.

Offsets from the start, sizes in bytes, integers little-endian; source: SGX ECDSA quoting library API,
appendix A.4.

      0  16  CPUSVN          64  32  MRENCLAVE     256   2  ISVPRODID
     16   4  MISCSELECT      96  32  reserved      258   2  ISVSVN
     20  12  reserved       128  32  MRSIGNER      260   2  CONFIGSVN
     32  16  ISVEXTPRODID   160  32  reserved      262  42  reserved
     48  16  ATTRIBUTES     192  64  CONFIGID      304  16  ISVFAMILYID
                                                   320  64  REPORTDATA
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

SGX_REPORT_BYTES = 384

_LAYOUT = Struct("<16s4s12s16s16s32s32s32s32s64sHHH42s16s64s")
_DEBUG = 0x02
_ZERO_12, _ZERO_32, _ZERO_42 = bytes(12), bytes(32), bytes(42)


class SgxReport(NamedTuple):
    """The fields of one report, as they stand there; see ``SgxClaims`` for their meaning."""

    cpu_svn: bytes
    misc_select: bytes
    reserved_1: bytes
    isv_ext_prod_id: bytes
    attributes: bytes
    mr_enclave: bytes
    reserved_2: bytes
    mr_signer: bytes
    reserved_3: bytes
    config_id: bytes
    isv_prod_id: int
    isv_svn: int
    config_svn: int
    reserved_4: bytes
    family_id: bytes
    report_data: bytes

    @classmethod
    def unpack(cls, quote: bytes, offset: int) -> SgxReport:
        """Read the report at ``offset``; the caller has checked that 384 bytes are there."""
        return cls(*_LAYOUT.unpack_from(quote, offset))

    @property
    def debug(self) -> bool:
        """Whether the enclave is debuggable."""
        return bool(self.attributes[0] & _DEBUG)


def reserved_is_zero(quote: bytes, offset: int) -> bool:
    """Return whether all reserved bytes of the report at ``offset`` are zero."""
    return (
        quote[offset + 20 : offset + 32] == _ZERO_12
        and quote[offset + 96 : offset + 128] == _ZERO_32
        and quote[offset + 160 : offset + 192] == _ZERO_32
        and quote[offset + 262 : offset + 304] == _ZERO_42
    )
