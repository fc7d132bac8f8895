"""One simulated Azure: its authority for virtual TPMs, on hardware of a simulated AMD and Intel."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.vtpm_pki import AIK_USAGE, CertificateDraft, CrlDraft

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import rsa

    from assay.simulator.intel import Installation

ROOT_NAME: Final = "Azure Virtual TPM Root Certificate Authority 2023"
AUTHORITY_NAME: Final = "Global Virtual TPM CA - 99"
VM_NAME: Final = "0123456789ab.ConfidentialVM.Azure.windows.net"
# The paravisor's image, not the guest's: what a launch measurement of Azure stands for.
PARAVISOR: Final = b"a simulated paravisor"
_YEARS_20: Final = 7300
_AK_BITS: Final = 2048


@dataclass(frozen=True)
class SimulatedAzure:
    """A cloud.

    Attributes:
        amd: Who made the hardware of SNP VMs.
        intel: Who made the hardware of TDX VMs.
    """

    amd: SimulatedAmd
    intel: Installation
    _keys: SimulatedAmd = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Keys are kept where AMD's are, whatever their size: a virtual TPM's have 2,048 bits.
        object.__setattr__(self, "_keys", SimulatedAmd(self.amd.secret, self.amd.directory, bits=_AK_BITS))

    @property
    def has_root(self) -> bool:
        """Whether the root for virtual TPMs was made before."""
        return self._keys.has_rsa_key("azure-vtpm-root")

    @property
    def root_key(self) -> rsa.RSAPrivateKey:
        """Key of the root for virtual TPMs."""
        return self._keys.rsa_key("azure-vtpm-root")

    @property
    def authority_key(self) -> rsa.RSAPrivateKey:
        """Key of the authority below it."""
        return self._keys.rsa_key("azure-vtpm-authority")

    def ak_key(self, vm: str = "") -> rsa.RSAPrivateKey:
        """Return the attestation key of one VM's virtual TPM."""
        return self._keys.rsa_key(f"azure-vtpm-ak{vm}")

    @property
    def root_der(self) -> bytes:
        """The root for virtual TPMs, DER."""
        draft = CertificateDraft(
            ROOT_NAME, ROOT_NAME, self.root_key, self.root_key, authority=True, serial=1, days=_YEARS_20
        )
        return draft.sign()

    def authority_draft(self) -> CertificateDraft:
        """Return the authority's certificate before it is signed."""
        return CertificateDraft(
            AUTHORITY_NAME,
            ROOT_NAME,
            self.authority_key,
            self.root_key,
            authority=True,
            usages=(AIK_USAGE,),
            serial=2,
            digest="sha384",
        )

    def ak_draft(self, key: rsa.RSAPrivateKey) -> CertificateDraft:
        """Return the certificate of an attestation key before it is signed."""
        return CertificateDraft(
            VM_NAME,
            AUTHORITY_NAME,
            key,
            self.authority_key,
            authority=False,
            usages=(AIK_USAGE,),
            serial=3,
        )

    def crl_draft(self, issuer: str, at: datetime) -> CrlDraft:
        """Return the CRL of ``root`` or ``authority``, made a day before ``at``."""
        name, key = (ROOT_NAME, self.root_key) if issuer == "root" else (AUTHORITY_NAME, self.authority_key)
        return CrlDraft(name, key, at.replace(microsecond=0) - timedelta(days=1))
