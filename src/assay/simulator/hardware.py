"""Simulated machines: fuses, PCK certificate, Quoting Enclave, and the TDs and enclaves that run on them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from assay.errors import SimulatorError
from assay.simulator import pki
from assay.simulator.endorsements import QE_SIGNER, TD_QE_SIGNER, Tee
from assay.simulator.pck_extension import PckExtension
from assay.simulator.quote import (
    HEADER_FIELDS,
    INTEL_QE_VENDOR,
    SGX_BODY,
    SGX_FIELDS,
    SGX_TEE,
    TD10_BODY,
    TD10_FIELDS,
    TD15_BODY,
    TD15_FIELDS,
    TDX_TEE,
    QuoteDraft,
    Region,
)

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from assay.simulator.intel import Authority, Installation
    from assay.simulator.recoveries import Recovery

PCK_LIFE = timedelta(days=7 * 365)
TD_ATTRIBUTES = 1 << 28
TD_DEBUG = 1 << 0
XFAM = 0x0006_02E7
SGX_ATTRIBUTES = 0x05 | 0xE7 << 64
SGX_DEBUG = 1 << 1
_QE_ATTRIBUTES = 0x15 | 0xE7 << 64


@dataclass(frozen=True)
class SimulatedPlatform:
    """One machine with its own fuses; made by ``Installation.machine``.

    Attributes:
        installation: The simulated Intel that made it.
        secret: What its fuses hold, 32 bytes.
        fmspc: Family, 6 bytes.
        tcb: The TCB recovery that it has applied.
        launched_under: The one that it had applied when its TDs were launched.
        module_major: Major version of its TDX module.
        ca: Which authority issued its PCK certificate.
        made: When that was.
        debug: Whether TDs and enclaves are launched in debug mode.
    """

    installation: Installation
    secret: bytes = field(repr=False)
    fmspc: bytes
    tcb: Recovery
    module_major: int
    launched_under: Recovery
    ca: Authority
    made: datetime
    debug: bool

    @cached_property
    def extension(self) -> PckExtension:
        """The SGX extension of its PCK certificate."""
        return PckExtension(
            ppid=self._fuse("PPID", 16),
            components=self.tcb.sgx,
            pce_svn=self.tcb.pce_svn,
            cpu_svn=bytes(self.tcb.sgx),
            pce_id=b"\0\0",
            fmspc=self.fmspc,
            sgx_type=1 if self.ca == "platform" else 0,
            platform_instance_id=self._fuse("instance", 16) if self.ca == "platform" else None,
        )

    @property
    def ppid(self) -> bytes:
        """The platform provisioning id, 16 bytes."""
        return self.extension.ppid

    @cached_property
    def pck_profile(self) -> pki.Profile:
        """What its PCK certificate says."""
        return replace(
            pki.PCK,
            crl_url=pki.PCK_CRL_URL.format(self.ca),
            not_before=self.made,
            not_after=self.made + PCK_LIFE,
            extension=self.extension,
        )

    @cached_property
    def pck(self) -> pki.Issued:
        """Its PCK key and certificate."""
        return self.installation.authority(self.ca).issue(
            self.pck_profile, pki.derive_key(self._bound_secret(), f"PCK {self.tcb.name}")
        )

    @cached_property
    def attestation_key(self) -> ec.EllipticCurvePrivateKey:
        """The key of its Quoting Enclave."""
        return pki.derive_key(self._bound_secret(), "attestation")

    def trust_domain(self, **fields: bytes | int) -> TrustDomain:
        """Launch a TD.

        Args:
            **fields: TD report fields by name, as bytes or little-endian integers: ``mr_td``,
                ``mr_config_id``, ``td_attributes``, ``rtmr0``, ...; what is not given is what this machine
                reports.
        """
        body = Region(TD15_FIELDS)
        module = f"TDX module {self.module_major} {self.tcb.name}"
        body.update(
            {
                "tee_tcb_svn": self._tee_tcb_svn(self.launched_under),
                "tee_tcb_svn_2": self._tee_tcb_svn(self.tcb),
                "mr_seam": hashlib.sha384(module.encode()).digest(),
                "td_attributes": TD_ATTRIBUTES | (TD_DEBUG if self.debug else 0),
                "xfam": XFAM,
                **fields,
            }
        )
        return TrustDomain(self, body)

    def enclave(self, **fields: bytes | int) -> Enclave:
        """Launch an SGX enclave; ``fields`` as for ``trust_domain``: ``mr_enclave``, ``mr_signer``, ..."""
        body = Region(SGX_FIELDS)
        body.update(
            {
                "cpu_svn": self.extension.cpu_svn,
                "attributes": SGX_ATTRIBUTES | (SGX_DEBUG if self.debug else 0),
                **fields,
            }
        )
        return Enclave(self, body)

    def draft(self, tee: Tee, version: int, body: Region, body_type: int) -> QuoteDraft:
        """Return a quote over ``body`` as this machine's Quoting Enclave would sign it."""
        tdx = tee == "tdx"
        header = Region(HEADER_FIELDS)
        header.update(
            {
                "version": version,
                "att_key_type": 2,
                "tee_type": TDX_TEE if tdx else SGX_TEE,
                "qe_vendor_id": INTEL_QE_VENDOR,
                "user_data": self._fuse("QE id", 16).ljust(20, b"\0"),
            }
        )
        if version == 3:
            header.update({"qe_svn": self.tcb.qe_svn, "pce_svn": self.tcb.pce_svn})
        report = Region(SGX_FIELDS)
        report.update(
            {
                "cpu_svn": self.extension.cpu_svn,
                "attributes": _QE_ATTRIBUTES,
                "mr_enclave": hashlib.sha256(b"simulated quoting enclave, " + tee.encode()).digest(),
                "mr_signer": bytes.fromhex(TD_QE_SIGNER if tdx else QE_SIGNER),
                "isv_prod_id": 2 if tdx else 1,
                "isv_svn": self.tcb.td_qe_svn if tdx else self.tcb.qe_svn,
            }
        )
        chain = [self.pck, self.installation.authority(self.ca), self.installation.root]
        return QuoteDraft(
            header=header,
            body=body,
            body_type=body_type,
            qe_report=report,
            attestation_key=self.attestation_key,
            pck_key=self.pck.key,
            certificates=[issued.certificate for issued in chain],
        )

    def _bound_secret(self) -> bytes:
        # Two installations that use the same seed have two machines, with keys of their own.
        return self.installation.secret + self.secret

    def _fuse(self, label: str, size: int) -> bytes:
        return pki.derive_bytes(self._bound_secret(), label, size)

    def _tee_tcb_svn(self, recovery: Recovery) -> bytes:
        if self.module_major == 0:
            return bytes(recovery.tdx)
        svn = recovery.modules.get(self.module_major)
        if svn is None:
            raise SimulatorError(
                "simulator.module.unknown",
                f"The TCB recovery of {recovery.name} has no TDX module {self.module_major}.",
            )
        return bytes([svn, self.module_major, *recovery.tdx[2:]])


@dataclass(frozen=True, slots=True)
class TrustDomain:
    """A running TD.

    Attributes:
        platform: The machine.
        body: Its TD report, 648 bytes; report data is set for each quote.
    """

    platform: SimulatedPlatform
    body: Region

    def extend(self, index: int, digest: bytes) -> None:
        """Extend a runtime measurement register: RTMR = SHA-384(RTMR || digest).

        Raises:
            SimulatorError: ``simulator.extend.invalid`` unless it is one of four registers and 48 bytes.
        """
        if index not in range(4) or len(digest) != hashlib.sha384().digest_size:
            raise SimulatorError(
                "simulator.extend.invalid", "A TD extends one of the registers 0 to 3 with 48 bytes."
            )
        name = f"rtmr{index}"
        self.body[name] = hashlib.sha384(self.body[name] + digest).digest()

    def draft(self, report_data: bytes, *, version: int = 4, td15: bool | None = None) -> QuoteDraft:
        """Return a quote before it is signed.

        Args:
            report_data: 64 bytes.
            version: 4 (always TD 1.0) or 5.
            td15: Whether a version 5 quote holds a TD 1.5 report; None says yes.

        Raises:
            SimulatorError: ``simulator.quote.version`` for other combinations.
        """
        extended = version == 5 if td15 is None else td15
        if version not in (4, 5) or (extended and version == 4):
            raise SimulatorError(
                "simulator.quote.version", "A TD is quoted in version 4 (TD 1.0) or 5 (TD 1.0 or 1.5)."
            )
        fields = TD15_FIELDS if extended else TD10_FIELDS
        size = max(offset + length for offset, length in fields.values())
        body = Region(fields, bytes(self.body.data[:size]))
        body["report_data"] = report_data
        return self.platform.draft("tdx", version, body, TD15_BODY if extended else TD10_BODY)

    def quote(self, report_data: bytes, *, version: int = 4, td15: bool | None = None) -> bytes:
        """Return a signed quote; see ``draft``."""
        return self.draft(report_data, version=version, td15=td15).encode()


@dataclass(frozen=True, slots=True)
class Enclave:
    """A running SGX enclave.

    Attributes:
        platform: The machine.
        body: Its report, 384 bytes; report data is set for each quote.
    """

    platform: SimulatedPlatform
    body: Region

    def draft(self, report_data: bytes, *, version: int = 3) -> QuoteDraft:
        """Return a quote before it is signed; version 3, 4 or 5.

        Raises:
            SimulatorError: ``simulator.quote.version`` for another version.
        """
        if version not in (3, 4, 5):
            raise SimulatorError("simulator.quote.version", "An enclave is quoted in version 3, 4 or 5.")
        body = Region(SGX_FIELDS, bytes(self.body.data))
        body["report_data"] = report_data
        return self.platform.draft("sgx", version, body, SGX_BODY)

    def quote(self, report_data: bytes, *, version: int = 3) -> bytes:
        """Return a signed quote; see ``draft``."""
        return self.draft(report_data, version=version).encode()
