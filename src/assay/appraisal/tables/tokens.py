"""Tables about tokens in which somebody else appraised: Google, Microsoft, Intel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from assay.appraisal.fields import Choice, Flag, Key, ListOf, Text
from assay.appraisal.register_fields import Allowed, AnyRegister, Register
from assay.appraisal.revocation_field import REVOCATION

SUPPORT: Final = ("LATEST", "STABLE", "USABLE", "EXPERIMENTAL")
_ID: Final = 256


@dataclass(frozen=True, slots=True)
class ConfidentialSpace:
    """``[confidential_space]``: a workload container in Google's Confidential Space."""

    image_digests: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Text(80)), "Digests of the container images that may run: sha256:..."),
    ] = None
    image_references: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(512)), "Names of the images that may run.")
    ] = None
    audiences: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(512)), "Audiences that the token may be for.")
    ] = None
    hardware: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Text(64)), "Hardware models that are accepted, such as GCP_INTEL_TDX."),
    ] = None
    project_ids: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Projects that the machine may belong to.")
    ] = None
    zones: Annotated[tuple[str, ...] | None, Key(ListOf(Text(64)), "Zones that it may run in.")] = None
    service_accounts: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Text(_ID)), "Service accounts that the workload may run as; no other may be there."),
    ] = None
    support: Annotated[
        str | None,
        Key(Choice(SUPPORT), "What the image must be called by Google: LATEST, STABLE, USABLE."),
    ] = None
    secure_boot: Annotated[bool | None, Key(Flag(), "Whether the machine booted securely.")] = None
    monitoring: Annotated[
        bool | None, Key(Flag(), "false forbids every kind of monitoring by the operator.")
    ] = None
    gpu_modes: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(32)), "Modes of confidential GPUs that are accepted: ON.")
    ] = None
    revocation: Annotated[str | None, REVOCATION] = None


@dataclass(frozen=True, slots=True)
class Maa:
    """``[maa]``: a token of Microsoft Azure Attestation."""

    measurement: Annotated[
        Allowed | None,
        Key(AnyRegister((32, 48)), "Launch measurement of the guest (48 bytes), or MRENCLAVE (32)."),
    ] = None
    issuers: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(_ID)), "Instances of the service that may have issued it.")
    ] = None
    attestation_types: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "What may have been attested: azurevm, sgx, ...")
    ] = None
    tees: Annotated[tuple[str, ...] | None, Key(ListOf(Text(32)), "TEEs that are accepted.")] = None
    compliance: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(64)), "Statements of compliance: azure-compliant-cvm.")
    ] = None
    policy_hashes: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Text(_ID)), "Policies under which the service may have appraised (x-ms-policy-hash)."),
    ] = None
    secure_boot: Annotated[bool | None, Key(Flag(), "Whether the guest booted securely.")] = None


@dataclass(frozen=True, slots=True)
class TrustAuthority:
    """``[trust_authority]``: a token of Intel Trust Authority."""

    mrtd: Annotated[Allowed | None, Key(Register(48), "What the TD started from.")] = None
    rtmr0: Annotated[Allowed | None, Key(Register(48), "The virtual machine's shape.")] = None
    rtmr1: Annotated[Allowed | None, Key(Register(48), "Boot loader or kernel.")] = None
    rtmr2: Annotated[Allowed | None, Key(Register(48), "Kernel command line and initrd.")] = None
    rtmr3: Annotated[Allowed | None, Key(Register(48), "What the guest extended at run time.")] = None
    mrenclave: Annotated[Allowed | None, Key(Register(32), "The enclave's code and initial data.")] = None
    mrsigner: Annotated[Allowed | None, Key(Register(32), "SHA-256 of the enclave's signer.")] = None
    issuers: Annotated[
        tuple[str, ...] | None, Key(ListOf(Text(_ID)), "Instances of the service that may have issued it.")
    ] = None
    attesters: Annotated[
        tuple[str, ...] | None, Key(ListOf(Choice(("TDX", "SGX"))), "TEEs that are accepted.")
    ] = None
    policies: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(Text(_ID)), "Ids of the service's policies, all of which must have matched."),
    ] = None
