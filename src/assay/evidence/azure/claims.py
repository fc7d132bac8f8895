"""The authenticated Claims of an Azure confidential VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.records import record

if TYPE_CHECKING:
    from assay.evidence.azure.runtime import RuntimeClaims
    from assay.evidence.eventlog.boot import BootLogClaims
    from assay.evidence.snp.claims import SnpClaims
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.tpm.claims import TpmQuoteClaims
    from assay.evidence.verification import Anchor


@record
class AkCertificate:
    """The certificate of the attestation key: Azure's own word for the virtual TPM, besides the hardware's.

    Attributes:
        common_name: The VM that Azure issued it to, ``<id>.ConfidentialVM.Azure.windows.net``.
        issuer: Common name of the authority that issued it.
        fingerprint: SHA-256 of the certificate, 32 bytes.
        anchor: The root in which its chain ended; it never makes evidence hardware evidence.
        revocation_checked: Whether a CRL of every issuer was given and none listed a certificate below it.
            The authorities name places where the lists above them are; an attestation key's certificate
            names none.
        named_lists_checked: Whether this holds of every issuer whose list a certificate names; it does where
            none is named.
    """

    common_name: str
    issuer: str
    fingerprint: bytes
    anchor: Anchor
    revocation_checked: bool
    named_lists_checked: bool


@record
class AzureClaims:
    """What an Azure confidential VM proves: hardware, paravisor, virtual TPM.

    Attributes:
        hardware: Claims of the hardware's report. Its measurement (SNP) or MRTD (TDX) is Microsoft's
            paravisor, not the guest's code; its report data are the hash of the runtime claims.
        runtime: What the paravisor, so measured, states about its VM.
        tpm: The quote of the virtual TPM that runs in the paravisor: what booted.
        ak_certificate: Azure's certificate for the TPM's attestation key; None when there was none, or none
            whose chain could be built.
        log: What the event log says of the boot, for the PCRs that it explains; None when none came along.
        user_data_bound: Whether the hardware's own layer was shown to be fresh, by user data that the caller
            expected. The quote's nonce shows that of the TPM's layer alone.
    """

    hardware: SnpClaims | TdxClaims
    runtime: RuntimeClaims
    tpm: TpmQuoteClaims
    ak_certificate: AkCertificate | None
    log: BootLogClaims | None
    user_data_bound: bool

    @property
    def debug(self) -> bool:
        """Whether the host may debug the VM: nothing in it is secret then."""
        return self.hardware.debug
