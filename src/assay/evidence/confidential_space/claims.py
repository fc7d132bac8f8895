"""The authenticated Claims of a Confidential Space token.

What a token says is Google's appraisal of the machine, not the machine's own measurement: the verifier of the
TEE is Google's attestation service, and the token is its Attestation Result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from assay.evidence.records import field, record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


@record
class ImageSignature:
    """A signature over the container image that the attestation service verified.

    Attributes:
        key_id: Fingerprint of the public key, hexadecimal.
        algorithm: Name of the algorithm, such as ``ECDSA_P256_SHA256``.
    """

    key_id: str
    algorithm: str


@record
class ContainerClaims:
    """The workload container.

    Attributes:
        image_reference: Where the image came from.
        image_digest: Its digest, ``sha256:`` and 64 hexadecimal digits.
        image_id: The image's id.
        restart_policy: ``Never``, ``Always`` or ``OnFailure``.
        args: The command line, overrides included.
        env: Environment, overrides included.
        command_override: Arguments that the operator of the machine set instead of the image's.
        env_override: Environment that the operator of the machine set. Not measured by the image digest: what
            reads its trust anchors from these is in the operator's hands.
        signatures: Verified image signatures.
    """

    image_reference: str
    image_digest: str
    image_id: str
    restart_policy: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    command_override: tuple[str, ...]
    env_override: Mapping[str, str]
    signatures: tuple[ImageSignature, ...]


@record
class GceClaims:
    """Where the machine runs.

    Attributes:
        zone: Zone.
        project_id: Project.
        project_number: Its number.
        instance_name: Name of the instance.
        instance_id: Its number.
    """

    zone: str
    project_id: str
    project_number: str
    instance_name: str
    instance_id: str


@record
class ConfidentialSpaceClaims:
    """What an authentic token says.

    Attributes:
        kind: ``oidc``: signed by a key that Google publishes; ``pki``: under a chain to a pinned root.
        issuer: Who issued it.
        audience: For whom.
        subject: The machine, as a URL.
        issued_at: When.
        not_before: From when it is valid.
        expires_at: Until when.
        nonces: ``eat_nonce``, one or several, in their order.
        bound_nonce: Index in ``nonces`` of the one that was expected; None when the binding was not checked.
        debug_status: ``dbgstat`` as it stands there.
        debug: True unless it is ``disabled-since-boot``: somebody may look into the workload.
        software_name: ``swname``: ``CONFIDENTIAL_SPACE``.
        software_version: Versions of the image.
        hardware: ``hwmodel``: ``GCP_INTEL_TDX``, ``GCP_AMD_SEV``, ... ``GCP_SHIELDED_VM`` is no TEE.
        secure_boot: Whether the machine booted securely; None when it is not stated.
        oem: ``oemid``: 11129 is Google.
        attester_tcb: Sources of the evidence: ``INTEL``.
        profile: ``eat_profile``.
        support_attributes: ``LATEST``, ``STABLE``, ``USABLE``, ``EXPERIMENTAL``; empty for debug images.
        monitoring: What the operator may monitor: name -> whether it is on.
        container: The workload.
        gce: Where.
        gpu: What is said of NVIDIA GPUs; None when nothing is.
        gpu_mode: ``cc_mode`` of the GPUs; empty when nothing is said.
        tcb_status: Intel's status of the platform as Google found it; empty when it is not stated.
        tcb_date: Its date, as text; empty when it is not stated.
        service_accounts: The accounts that the workload runs as.
        token: Every claim of the token, for what has no name here.
        revocation_checked: Whether a CRL of every issuer of a PKI token's chain was given and none listed a
            certificate below it; False under a published key. The intermediate names the place of the root's
            list; the leaf names none for the intermediate's.
        named_lists_checked: Whether this holds of every issuer whose list a certificate of that chain names;
            False under a published key.
    """

    kind: Literal["oidc", "pki"]
    issuer: str
    audience: str
    subject: str
    issued_at: datetime
    not_before: datetime
    expires_at: datetime
    nonces: tuple[str, ...]
    bound_nonce: int | None
    debug_status: str
    debug: bool
    software_name: str
    software_version: tuple[str, ...]
    hardware: str
    secure_boot: bool | None
    oem: int
    attester_tcb: tuple[str, ...]
    profile: str
    support_attributes: tuple[str, ...]
    monitoring: Mapping[str, bool]
    container: ContainerClaims
    gce: GceClaims
    gpu: Mapping[str, Any] | None
    gpu_mode: str
    tcb_status: str
    tcb_date: str
    service_accounts: tuple[str, ...]
    token: Mapping[str, Any] = field(repr=False)
    revocation_checked: bool
    named_lists_checked: bool
