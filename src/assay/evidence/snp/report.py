"""An attestation report: 1,184 bytes, little-endian, of which the first 672 are signed.

Offsets and sizes in bytes; source: SEV Secure Nested Paging Firmware ABI (56860), ATTESTATION_REPORT.

    000   4  VERSION            0E0  48  ID_KEY_DIGEST      1E0  8  COMMITTED_TCB
    004   4  GUEST_SVN          110  48  AUTHOR_KEY_DIGEST  1E8  3  CURRENT build, minor, major
    008   8  POLICY             140  32  REPORT_ID          1EB  1  zero
    010  16  FAMILY_ID          160  32  REPORT_ID_MA       1EC  3  COMMITTED build, minor, major
    020  16  IMAGE_ID           180   8  REPORTED_TCB       1EF  1  zero
    030   4  VMPL               188   3  CPUID family,      1F0  8  LAUNCH_TCB
    034   4  SIGNATURE_ALGO              model, stepping    1F8  8  LAUNCH_MIT_VECTOR   (5)
    038   8  CURRENT_TCB                 (from 3 on)        200  8  CURRENT_MIT_VECTOR  (5)
    040   8  PLATFORM_INFO      18B  21  zero               208 152 zero
    048   4  key flags          1A0  64  CHIP_ID            2A0 144 SIGNATURE: R, S, 72 each
    04C   4  zero                                           330 368 zero
    050  64  REPORT_DATA
    090  48  MEASUREMENT
    0C0  32  HOST_DATA
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError
from assay.evidence.records import record
from assay.evidence.snp import checks

if TYPE_CHECKING:
    from assay.evidence.ledger import CheckSpec
    from assay.evidence.snp.vek import Kind

REPORT_BYTES: Final = 1184
SIGNED_BYTES: Final = 672

_LAYOUT = Struct(
    "<2IQ16s16s2I8sQ2I"  # 000 .. 04F
    "64s48s32s48s48s32s32s8s"  # 050 .. 187
    "3B21s64s8s3BB3BB8s2Q152s"  # 188 .. 29F
    "48s24s48s24s368s"  # 2A0 .. 49F
)
_VERSIONS: Final = frozenset({2, 3, 4, 5})
_ECDSA_P384_SHA384: Final = 1
_HOST: Final = 0xFFFFFFFF
_POLICY_ONE: Final = 1 << 17
_POLICY_V2: Final = (1 << 26) - 1
_FLAGS_AT: Final = 0x48
_KEYS: Final[dict[int, Kind]] = {0: "vcek", 1: "vlek"}
_ZERO: Final = b"\0"
_P384_ORDER: Final = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)


class ReportError(EvidenceError):
    """The bytes are not a report that can be looked at further.

    Args:
        spec: The check that fails.
        code: Stable error code.
        message: A sentence for a person.
    """

    def __init__(self, spec: CheckSpec, code: str, message: str) -> None:
        super().__init__(code, message)
        self.spec = spec


@record
class SnpReport:
    """The fields of a report as they stand there; see ``SnpClaims`` for their meaning.

    Attributes:
        data: The 1,184 bytes.
        signed: The 672 bytes that the signature covers.
        signing_key: Which kind of key the report says signed it.
        cpuid: Family, model, stepping; None in version 2.
        r: First half of the signature, in 1..n-1.
        s: Second half, in 1..n-1.
    """

    data: bytes
    signed: bytes
    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    current_tcb: bytes
    platform_info: int
    author_key: bool
    mask_chip_key: bool
    signing_key: Kind
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: tuple[int, int, int] | None
    chip_id: bytes
    committed_tcb: bytes
    current_version: tuple[int, int, int]
    committed_version: tuple[int, int, int]
    launch_tcb: bytes
    launch_mitigations: int | None
    current_mitigations: int | None
    r: int
    s: int

    @classmethod
    def parse(cls, data: bytes) -> SnpReport:
        """Decode one report of exactly 1,184 bytes.

        Raises:
            ReportError: With the check that fails and its code: ``snp.report.length``,
                ``snp.report.version``, ``snp.report.reserved``, ``snp.report.policy``,
                ``snp.report.signature_algorithm``, ``snp.report.signing_key``, ``snp.report.vmpl``,
                ``snp.report.signature_padding``, ``snp.report.signature_range``.
        """
        if len(data) != REPORT_BYTES:
            raise ReportError(
                checks.SNP_REPORT_LAYOUT,
                "snp.report.length",
                f"A report has {REPORT_BYTES} bytes; these are {len(data)}.",
            )
        (
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            algorithm,
            current_tcb,
            platform_info,
            flags,
            reserved_04c,
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            report_id,
            report_id_ma,
            reported_tcb,
            family,
            model,
            stepping,
            reserved_18b,
            chip_id,
            committed_tcb,
            build,
            minor,
            major,
            reserved_1eb,
            committed_build,
            committed_minor,
            committed_major,
            reserved_1ef,
            launch_tcb,
            launch_mitigations,
            current_mitigations,
            reserved_208,
            r,
            padding_r,
            s,
            padding_s,
            reserved_330,
        ) = _LAYOUT.unpack(data)
        if version not in _VERSIONS:
            raise ReportError(
                checks.SNP_REPORT_VERSION,
                "snp.report.version",
                f"The report has version {version}, not 2, 3, 4 or 5.",
            )
        zero = (
            not (reserved_04c or reserved_1eb or reserved_1ef or flags >> 5)
            and not reserved_18b.strip(_ZERO)
            and not reserved_208.strip(_ZERO)
            and (version > 2 or not (family or model or stepping))
            and (version > 4 or not (launch_mitigations or current_mitigations))
        )
        if not zero:
            raise ReportError(
                checks.REPORT_RESERVED,
                "snp.report.reserved",
                f"Bytes that are reserved in version {version} are not zero.",
            )
        _demand_policy(policy, version)
        if algorithm != _ECDSA_P384_SHA384:
            raise ReportError(
                checks.REPORT_ALGORITHM,
                "snp.report.signature_algorithm",
                f"The report is signed with algorithm {algorithm}, not ECDSA P-384 with SHA-384 (1).",
            )
        key = _KEYS.get(flags >> 2 & 7)
        if key is None:
            raise ReportError(
                checks.REPORT_SIGNING_KEY,
                "snp.report.signing_key",
                f"The report says it was signed by key {flags >> 2 & 7}: neither VCEK (0) nor VLEK (1).",
            )
        _demand_vmpl(vmpl)
        if (padding_r + padding_s + reserved_330).strip(_ZERO):
            raise ReportError(
                checks.SNP_REPORT_SIGNATURE,
                "snp.report.signature_padding",
                "Bytes around the two numbers of the signature are not zero.",
            )
        first, second = int.from_bytes(r, "little"), int.from_bytes(s, "little")
        if not (0 < first < _P384_ORDER and 0 < second < _P384_ORDER):
            raise ReportError(
                checks.SNP_REPORT_SIGNATURE,
                "snp.report.signature_range",
                "A number of the signature is zero or not below the order of the curve.",
            )
        return cls(
            data=data,
            signed=data[:SIGNED_BYTES],
            version=version,
            guest_svn=guest_svn,
            policy=policy,
            family_id=family_id,
            image_id=image_id,
            vmpl=vmpl,
            current_tcb=current_tcb,
            platform_info=platform_info,
            author_key=bool(flags & 1),
            mask_chip_key=bool(flags & 2),
            signing_key=key,
            report_data=report_data,
            measurement=measurement,
            host_data=host_data,
            id_key_digest=id_key_digest,
            author_key_digest=author_key_digest,
            report_id=report_id,
            report_id_ma=report_id_ma,
            reported_tcb=reported_tcb,
            cpuid=(family, model, stepping) if version > 2 else None,
            chip_id=chip_id,
            committed_tcb=committed_tcb,
            current_version=(major, minor, build),
            committed_version=(committed_major, committed_minor, committed_build),
            launch_tcb=launch_tcb,
            launch_mitigations=launch_mitigations if version > 4 else None,
            current_mitigations=current_mitigations if version > 4 else None,
            r=first,
            s=second,
        )


def stated_key(data: bytes) -> Kind | None:
    """Return which kind of key a report says that it is signed by, of a report that is not read yet."""
    return _KEYS.get(data[_FLAGS_AT] >> 2 & 7)


def _demand_policy(policy: int, version: int) -> None:
    """Demand bit 17; later bits may be set only by firmware that is younger than version 2."""
    if not policy & _POLICY_ONE:
        raise ReportError(
            checks.REPORT_POLICY, "snp.report.policy_bit_17", "Bit 17 of the guest policy is not one."
        )
    if version == 2 and policy & ~_POLICY_V2:  # firmware of that age refuses to launch such a guest
        raise ReportError(
            checks.REPORT_POLICY,
            "snp.report.policy_reserved",
            "Reserved bits of the guest policy are not zero in a report of version 2.",
        )


def _demand_vmpl(vmpl: int) -> None:
    if vmpl == _HOST:
        raise ReportError(
            checks.REPORT_VMPL,
            "snp.report.host_request",
            "The host asked for this report and chose its report data, not the guest.",
        )
    if vmpl > 3:
        raise ReportError(
            checks.REPORT_VMPL,
            "snp.report.vmpl",
            f"The report names privilege level {vmpl}; guests have 0 to 3.",
        )
