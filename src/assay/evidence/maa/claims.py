"""The authenticated Claims of a Microsoft Azure Attestation token: a third party's appraisal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Tee = Literal["sevsnpvm", "tdxvm", "sgx"]


@record
class MaaClaims:
    """What an authentic token says.

    Attributes:
        issuer: The instance of the service, as a URL.
        issued_at: When.
        not_before: From when it is valid.
        expires_at: Until when.
        attestation_type: What was attested: ``azurevm`` (a guest with its vTPM) or the TEE itself.
        tee: The TEE under it.
        debug: True unless the token says that the TEE is not debuggable.
        secure_boot: Whether the guest booted securely; None when the token does not say.
        compliance: ``azure-compliant-cvm`` and the like; empty when the token does not say.
        policy_hash: ``x-ms-policy-hash``: under which policy the service appraised; empty when not stated.
        measurement: Launch measurement of the guest, or MRENCLAVE; empty when not stated.
        report_data: The TEE's report data; in an ``azurevm`` token the paravisor's, not the client's.
        client_nonce: The nonce that the client put into the runtime data; None without one.
        bound_slot: Index of the carrier that held the expected value; None when it was not checked.
        isolation: Claims about the TEE: ``x-ms-isolation-tee``, or the token's own.
        runtime: ``x-ms-runtime``: keys and data of the client, which the evidence vouches for.
        token: Every claim of the token.
    """

    issuer: str
    issued_at: datetime
    not_before: datetime
    expires_at: datetime
    attestation_type: str
    tee: Tee
    debug: bool
    secure_boot: bool | None
    compliance: str
    policy_hash: str
    measurement: bytes
    report_data: bytes
    client_nonce: bytes | None
    bound_slot: int | None
    isolation: Mapping[str, Any]
    runtime: Mapping[str, Any]
    token: Mapping[str, Any] = field(repr=False)
