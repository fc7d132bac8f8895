"""The authenticated Claims of a Google Cloud VM's virtual TPM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.eventlog.boot import BootLogClaims
    from assay.evidence.snp.claims import SnpClaims
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.tpm.claims import TpmQuoteClaims
    from assay.evidence.verification import Anchor


@record
class Instance:
    """The VM to which Google certified the attestation key.

    Attributes:
        zone: Where it runs: ``us-central1-a``.
        project_number: Number of its project.
        project_id: Id of its project.
        instance_id: Number of the instance; never used again.
        instance_name: Its name, which can be used again.
        security_version: Version of the virtual TPM's platform; None when the certificate does not say.
        production: Whether Google says that the platform is a production one; None when it does not say.
        flags: Further truth values of the certificate by their tag, 2 and up, whose meaning Google does not
            publish.
    """

    zone: str
    project_number: int
    project_id: str
    instance_id: int
    instance_name: str
    security_version: int | None
    production: bool | None
    flags: Mapping[int, bool]


@record
class CertifiedKey:
    """The attestation key's certificate.

    Attributes:
        instance: The VM it was issued to.
        fingerprint: SHA-256 of the certificate, 32 bytes.
        anchor: The root in which its chain ended.
        revocation_checked: Whether a CRL of every issuer was given and none listed a certificate below it.
            Newer leaves name no place where their issuer publishes one; the authorities do.
        named_lists_checked: Whether this holds of every issuer whose list a certificate names; it does where
            none is named.
    """

    instance: Instance
    fingerprint: bytes
    anchor: Anchor
    revocation_checked: bool
    named_lists_checked: bool


@record
class GoogleVmClaims:
    """What a Google Cloud VM proves.

    The virtual TPM is the host's, not the confidential VM's: its quote rests on Google's word alone.

    Attributes:
        tpm: The quote of the SHA-256 bank.
        ak: The certified attestation key.
        log: What the event logs say of the PCRs that they were to explain; None without logs.
        td: Claims of the TD quote; None unless one was asked for.
        td_bound: Whether the TD quote was shown to carry this session's binding too.
        snp: Claims of the SNP report; None unless one was asked for.
        snp_bound: Whether the SNP report was shown to carry this session's binding too.
    """

    tpm: TpmQuoteClaims
    ak: CertifiedKey
    log: BootLogClaims | None
    td: TdxClaims | None
    td_bound: bool
    snp: SnpClaims | None
    snp_bound: bool
