"""What an authenticated TPM quote says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.eventlog.algorithms import Algorithm
    from assay.evidence.eventlog.boot import BootLogClaims
    from assay.evidence.ima.verify import ImaClaims


@record
class TpmQuoteClaims:
    """Claims of one quote; every PCR value was compared with the signed digest.

    Attributes:
        qualified_signer: Qualified name of the attestation key as the TPM states it.
        extra_data: The qualifying data, at most 64 bytes.
        clock: Milliseconds that the TPM has been powered since it was last cleared.
        reset_count: TPM resets since it was last cleared.
        restart_count: TPM restarts and resumes since the last reset.
        safe: False when the clock may have gone back since the last orderly shutdown.
        firmware_version: Vendor's number of the TPM firmware.
        bank: Hash algorithm of the PCRs.
        selection: Indices of the PCRs, ascending; each of them and no other is in ``pcrs``.
        pcr_digest: The signed digest over them.
        pcrs: PCR values by index.
        signature_hash: Hash of signature and ``pcr_digest``.
        ak_digest: SHA-256 of the attestation key's SPKI, 32 bytes.
        ak_name: TPM name of the attestation key; None when its public area was not given.
    """

    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    bank: Algorithm
    selection: tuple[int, ...]
    pcr_digest: bytes
    pcrs: Mapping[int, bytes]
    signature_hash: Algorithm
    ak_digest: bytes
    ak_name: bytes | None

    def gone_back(self, before: TpmQuoteClaims) -> str | None:
        """Compare with the last accepted quote of the same key, for appraisal.

        Args:
            before: What that quote said.

        Returns:
            Why this quote cannot have been made after it; None when it can.
        """
        if self.ak_digest != before.ak_digest:
            return "The quotes are of different attestation keys."
        if self.reset_count < before.reset_count:
            return "The TPM's reset count has gone back."
        if self.reset_count == before.reset_count and self.restart_count < before.restart_count:
            return "The TPM's restart count has gone back without a reset."
        if self.clock < before.clock and self.safe:
            return "The TPM's clock has gone back although it says that it cannot have."
        return None


@record
class TpmClaims:
    """Claims of a stand-alone TPM.

    Attributes:
        quote: The quote.
        boot: What the event logs say; None when the evidence has none.
        ima: What the kernel measured; None when the evidence has no IMA log.
        ak_certified: True when a certificate vouches for the attestation key, False when the caller gave it.
        ak_common_name: Common name of that certificate; empty without one.
        ak_revocation_checked: Whether a CRL of every issuer above the key was given, and none listed a
            certificate below it; False without a certificate.
        ak_named_lists_checked: Whether this holds of every issuer whose list a certificate names; it does
            where none is named, and is False without a certificate.
    """

    quote: TpmQuoteClaims
    boot: BootLogClaims | None
    ima: ImaClaims | None
    ak_certified: bool
    ak_common_name: str
    ak_revocation_checked: bool
    ak_named_lists_checked: bool
