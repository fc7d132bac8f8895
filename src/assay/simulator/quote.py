"""A DCAP quote before it is signed: every field can be changed, then the hardware signs what stands there.

Layouts: Intel SGX ECDSA QuoteGeneration and TDX DCAP specifications; little-endian. Offsets below are
relative to the region that they belong to.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from assay.errors import SimulatorError
from assay.simulator.pki import raw_point, sign_raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import Certificate

INTEL_QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
SGX_TEE, TDX_TEE = 0x00, 0x81
SGX_BODY, TD10_BODY, TD15_BODY = 1, 2, 3

HEADER_FIELDS = {
    "version": (0, 2),
    "att_key_type": (2, 2),
    "tee_type": (4, 4),
    "qe_svn": (8, 2),
    "pce_svn": (10, 2),
    "qe_vendor_id": (12, 16),
    "user_data": (28, 20),
}
SGX_FIELDS = {
    "cpu_svn": (0, 16),
    "misc_select": (16, 4),
    "reserved_1": (20, 12),
    "isv_ext_prod_id": (32, 16),
    "attributes": (48, 16),
    "mr_enclave": (64, 32),
    "reserved_2": (96, 32),
    "mr_signer": (128, 32),
    "reserved_3": (160, 32),
    "config_id": (192, 64),
    "isv_prod_id": (256, 2),
    "isv_svn": (258, 2),
    "config_svn": (260, 2),
    "reserved_4": (262, 42),
    "family_id": (304, 16),
    "report_data": (320, 64),
}
TD10_FIELDS = {
    "tee_tcb_svn": (0, 16),
    "mr_seam": (16, 48),
    "mr_signer_seam": (64, 48),
    "seam_attributes": (112, 8),
    "td_attributes": (120, 8),
    "xfam": (128, 8),
    "mr_td": (136, 48),
    "mr_config_id": (184, 48),
    "mr_owner": (232, 48),
    "mr_owner_config": (280, 48),
    "rtmr0": (328, 48),
    "rtmr1": (376, 48),
    "rtmr2": (424, 48),
    "rtmr3": (472, 48),
    "report_data": (520, 64),
}
TD15_FIELDS = TD10_FIELDS | {"tee_tcb_svn_2": (584, 16), "mr_service_td": (600, 48)}


class Region:
    """Bytes of fixed size with named fields: ``region["mr_td"] = measurement``.

    Args:
        fields: Offset and size in bytes of each field.
        data: The bytes to begin with; all zero without.
    """

    __slots__ = ("data", "fields")

    def __init__(self, fields: Mapping[str, tuple[int, int]], data: bytes = b"") -> None:
        self.fields = fields
        size = max(offset + length for offset, length in fields.values())
        if data and len(data) != size:
            raise SimulatorError(
                "simulator.field.size", f"This region has {size} bytes, but {len(data)} were given."
            )
        self.data = bytearray(data or size)

    def __getitem__(self, name: str) -> bytes:
        offset, size = self._place(name)
        return bytes(self.data[offset : offset + size])

    def __setitem__(self, name: str, value: bytes | int) -> None:
        offset, size = self._place(name)
        encoded = value.to_bytes(size, "little") if isinstance(value, int) else value
        if len(encoded) != size:
            raise SimulatorError(
                "simulator.field.size", f"The field {name} has {size} bytes, but {len(encoded)} were given."
            )
        self.data[offset : offset + size] = encoded

    def _place(self, name: str) -> tuple[int, int]:
        if name not in self.fields:
            raise SimulatorError("simulator.field.unknown", f"There is no field {name!r} here.")
        return self.fields[name]

    def update(self, values: Mapping[str, bytes | int]) -> None:
        """Set several fields."""
        for name, value in values.items():
            self[name] = value


@dataclass(slots=True)
class QuoteDraft:
    """Everything that makes up a quote; change what is to be wrong, then ``encode``.

    Attributes:
        header: 48 bytes.
        body: SGX report (384 bytes) or TD report (584 or 648 bytes).
        body_type: Type of the body in a version 5 descriptor.
        qe_report: Report of the Quoting Enclave, 384 bytes; ``encode`` fills its report data.
        attestation_key: Signs header and body.
        pck_key: Signs the report of the Quoting Enclave.
        certificates: The chain, leaf first.
        qe_auth: Authentication data of the Quoting Enclave, any length.
        qe_binding: Report data of the Quoting Enclave, 64 bytes; None computes it from key and auth data.
        outer_type: Certification data type of the wrapper in versions 4 and 5.
        inner_type: Certification data type of the chain.
        certification: Replaces the PEM chain.
        after_certification: Bytes behind the certification data, inside the wrapper of versions 4 and 5.
        after_wrapper: Bytes behind that wrapper, inside the signature section.
        after_section: Bytes behind the signature section.
    """

    header: Region
    body: Region
    body_type: int
    qe_report: Region
    attestation_key: ec.EllipticCurvePrivateKey = field(repr=False)
    pck_key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificates: list[Certificate]
    qe_auth: bytes = bytes(range(32))
    qe_binding: bytes | None = None
    outer_type: int = 6
    inner_type: int = 5
    certification: bytes | None = None
    after_certification: bytes = b""
    after_wrapper: bytes = b""
    after_section: bytes = b""

    @property
    def version(self) -> int:
        """The version in the header."""
        return int.from_bytes(self.header["version"], "little")

    def signed_bytes(self) -> bytes:
        """Return what the attestation key signs: header, descriptor (version 5), body."""
        descriptor = struct.pack("<HI", self.body_type, len(self.body.data)) if self.version == 5 else b""
        return bytes(self.header.data) + descriptor + bytes(self.body.data)

    def encode(self) -> bytes:
        """Return the quote, signed by the Quoting Enclave and its platform as it stands."""
        signed = self.signed_bytes()
        key = raw_point(self.attestation_key)
        digest = hashlib.sha256(key + self.qe_auth).digest()
        self.qe_report["report_data"] = (
            digest.ljust(64, b"\0") if self.qe_binding is None else self.qe_binding
        )
        report = bytes(self.qe_report.data)
        chain = self.pem_chain() if self.certification is None else self.certification
        inner = (
            report
            + sign_raw(self.pck_key, report)
            + struct.pack("<H", len(self.qe_auth))
            + self.qe_auth
            + struct.pack("<HI", self.inner_type, len(chain))
            + chain
            + self.after_certification
        )
        if self.version > 3:
            inner = struct.pack("<HI", self.outer_type, len(inner)) + inner
        section = sign_raw(self.attestation_key, signed) + key + inner + self.after_wrapper
        return signed + struct.pack("<I", len(section)) + section + self.after_section

    def pem_chain(self) -> bytes:
        """Return the certificates as PEM, leaf first, with the NUL that Intel's library puts at the end."""
        return b"".join(c.public_bytes(Encoding.PEM) for c in self.certificates) + b"\0"
