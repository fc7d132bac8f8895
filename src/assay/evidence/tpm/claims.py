"""What an authenticated TPM quote says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.eventlog.algorithms import Algorithm


@dataclass(frozen=True, slots=True)
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
