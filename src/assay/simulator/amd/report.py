"""An attestation report before it is signed: every field may be changed, reserved ones included."""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

_SIGNED = Struct("<2IQ16s16s2I8sQ2I64s48s32s48s48s32s32s8s3s21s64s8s4s4s8s2Q152s")
_ECDSA = ec.ECDSA(SHA384(), deterministic_signing=True)


@dataclass(slots=True)
class ReportDraft:
    """The fields of ATTESTATION_REPORT (AMD 56860), with the values of an ordinary guest.

    Attributes:
        version: 2 to 5; ``cpuid`` is written from 3 on, the mitigation vectors in 5, whatever they say here.
        flags: AUTHOR_KEY_EN (bit 0), MASK_CHIP_KEY (1), SIGNING_KEY (4:2).
        cpuid: Family, model, stepping.
        current_version: Build, minor, major.
        committed_version: Build, minor, major.
        reserved: Offset of a reserved byte -> its value.
    """

    version: int
    chip_id: bytes
    cpuid: bytes
    current_tcb: bytes
    reported_tcb: bytes
    committed_tcb: bytes
    launch_tcb: bytes
    current_version: tuple[int, int, int]
    committed_version: tuple[int, int, int]
    report_data: bytes
    measurement: bytes
    host_data: bytes = bytes(32)
    guest_svn: int = 0
    policy: int = 0x30000
    family_id: bytes = bytes(16)
    image_id: bytes = bytes(16)
    vmpl: int = 0
    algorithm: int = 1
    platform_info: int = 0x25
    flags: int = 0
    id_key_digest: bytes = bytes(48)
    author_key_digest: bytes = bytes(48)
    report_id: bytes = b"\x11" * 32
    report_id_ma: bytes = b"\xff" * 32
    launch_mitigations: int = 0x0B
    current_mitigations: int = 0x0B
    reserved: dict[int, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the 672 bytes that are signed."""
        newest = self.version >= 5
        body = bytearray(
            _SIGNED.pack(
                self.version,
                self.guest_svn,
                self.policy,
                self.family_id,
                self.image_id,
                self.vmpl,
                self.algorithm,
                self.current_tcb,
                self.platform_info,
                self.flags,
                0,
                self.report_data,
                self.measurement,
                self.host_data,
                self.id_key_digest,
                self.author_key_digest,
                self.report_id,
                self.report_id_ma,
                self.reported_tcb,
                self.cpuid if self.version >= 3 else bytes(3),
                bytes(21),
                self.chip_id,
                self.committed_tcb,
                bytes([*self.current_version, 0]),
                bytes([*self.committed_version, 0]),
                self.launch_tcb,
                self.launch_mitigations if newest else 0,
                self.current_mitigations if newest else 0,
                bytes(152),
            )
        )
        for at, value in self.reserved.items():
            body[at] = value
        return bytes(body)

    def sign(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        """Return the report, 1,184 bytes, signed by ``key``."""
        body = self.encode()
        r, s = decode_dss_signature(key.sign(body, _ECDSA))
        return (body + r.to_bytes(72, "little") + s.to_bytes(72, "little")).ljust(1184, b"\0")
