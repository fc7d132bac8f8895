"""Rules about tokens. What they judge is somebody else's appraisal: its issuer's word for a machine."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Attributes
from assay.appraisal.platforms import PlatformAppraisal
from assay.appraisal.rules.lists import flag_rule, listed_rule
from assay.appraisal.rules.patches import status_rule
from assay.appraisal.rules.registers import register_rule
from assay.appraisal.rules.revocation import Looked, revocation_rule
from assay.appraisal.rules.subject import Rule, Subject, Workshop, failed
from assay.appraisal.rules.weaknesses import weakness_rule
from assay.appraisal.tables.tokens import ConfidentialSpace, Maa, TrustAuthority
from assay.appraisal.trust_vector import EXECUTABLES_BOOT_APPROVED, NO_CLAIM, TrustClaim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from assay.appraisal.document import Document
    from assay.appraisal.result import AttestationResult
    from assay.evidence.ledger import Check

TEES: Final = frozenset({"GCP_AMD_SEV", "GCP_AMD_SEV_ES", "GCP_AMD_SEV_SNP", "GCP_INTEL_TDX"})
"""Hardware models of Confidential Space that are TEEs; GCP_SHIELDED_VM is none."""

AZURE_VM: Final = "azurevm"
"""What Azure Attestation calls a guest with its virtual TPM."""

_TD_REGISTERS: Final = ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")
_ENCLAVE_REGISTERS: Final = ("mrenclave", "mrsigner")
_STARTED: Final = ("mrtd", "mrenclave")  # a signer alone would be every enclave that it ever signed


def _debug(shop: Workshop, what: str) -> Rule:
    return weakness_rule(
        shop,
        "attributes.debug",
        "debug",
        f"the {what} is not in debug mode",
        lambda claims: f"The {what} is in debug mode: somebody can look into it." if claims.debug else "",
        wanted=(shop.document.attributes or Attributes()).debug,
    )


def _issued(claims: Any) -> datetime:
    found: datetime = claims.issued_at
    return found


# --- Confidential Space -------------------------------------------------------------------------------------


def _confidential_space(shop: Workshop) -> Iterator[Rule]:
    table: ConfidentialSpace = shop.document.confidential_space or ConfidentialSpace()
    yield _debug(shop, "workload")
    yield weakness_rule(
        shop,
        "confidential_space.tee",
        "no-tee",
        "the machine is a TEE",
        lambda claims: (
            ""
            if claims.hardware in TEES
            else f"The machine is a {ascii(claims.hardware)[1:-1][:64]}, which is no TEE that is known here."
        ),
    )
    yield weakness_rule(
        shop,
        "confidential_space.overrides",
        "operator-overrides",
        "the operator changed neither arguments nor environment of the image",
        _overrides,
    )
    yield status_rule(shop, "confidential_space.tcb", attrgetter("tcb_status"), required=False)
    for key, read in (
        ("image_digests", attrgetter("container.image_digest")),
        ("image_references", attrgetter("container.image_reference")),
        ("audiences", attrgetter("audience")),
        ("hardware", attrgetter("hardware")),
        ("project_ids", attrgetter("gce.project_id")),
        ("zones", attrgetter("gce.zone")),
        ("gpu_modes", attrgetter("gpu_mode")),
    ):
        values = getattr(table, key)
        if values is not None:
            yield listed_rule(shop, f"confidential_space.{key}", read, values)
    if table.service_accounts is not None:
        yield _only(shop, "confidential_space.service_accounts", attrgetter("service_accounts"), table)
    if table.support is not None:
        wanted = table.support
        yield flag_rule(
            shop,
            "confidential_space.support",
            lambda claims: wanted in claims.support_attributes,
            wanted=True,
            title=f"Google calls the image {wanted}",
        )
    if table.secure_boot is not None:
        yield flag_rule(
            shop, "confidential_space.secure_boot", attrgetter("secure_boot"), wanted=table.secure_boot
        )
    if table.monitoring is not None:
        yield flag_rule(
            shop,
            "confidential_space.monitoring",
            lambda claims: any(claims.monitoring.values()) if claims.monitoring else None,
            wanted=table.monitoring,
        )
    if table.revocation is not None:
        yield revocation_rule(shop, "confidential_space.revocation", _lists, table.revocation)


def _lists(claims: Any) -> Looked | None:
    """Return what was looked at; a token under a published key shows no chain."""
    return Looked(claims.named_lists_checked, claims.revocation_checked) if claims.kind == "pki" else None


def _overrides(claims: Any) -> str:
    container = claims.container
    names = [*container.env_override, *(["arguments"] if container.command_override else [])]
    if not names:
        return ""
    shown = ", ".join(ascii(name)[1:-1][:40] for name in names[:8])
    return f"The operator of the machine set, and no digest covers: {shown}."


def _only(shop: Workshop, path: str, read: Callable[[Any], Any], table: ConfidentialSpace) -> Rule:
    """Return the rule that something is there, and nothing that the policy does not name."""
    spec = shop.spec(path, "the workload runs as accounts that the policy names, and no other")
    passed = spec.passed
    allowed = frozenset(table.service_accounts or ())

    def judge(subject: Subject) -> Check:
        found = frozenset(read(subject.claims))
        if found and found <= allowed:
            return passed
        shown = ", ".join(ascii(name)[1:-1][:80] for name in sorted(found - allowed)[:4]) or "none at all"
        return failed(spec, path, "not_listed", f"The workload runs as {shown}.")

    return Rule(spec, judge)


def _image(result: AttestationResult) -> TrustClaim:
    if result.passed("confidential_space.image_digests"):
        return TrustClaim(EXECUTABLES_BOOT_APPROVED, "The container image is one that was named.")
    return TrustClaim(NO_CLAIM, "The policy does not name the container image.")


# --- Azure Attestation --------------------------------------------------------------------------------------


def _maa(shop: Workshop) -> Iterator[Rule]:
    table: Maa = shop.document.maa or Maa()
    yield _debug(shop, "TEE")
    if table.measurement is not None:
        yield register_rule(shop, "maa.measurement", attrgetter("measurement"), table.measurement)
    for key, read in (
        ("issuers", attrgetter("issuer")),
        ("attestation_types", attrgetter("attestation_type")),
        ("tees", lambda claims: str(claims.tee)),
        ("compliance", attrgetter("compliance")),
        ("policy_hashes", attrgetter("policy_hash")),
    ):
        values = getattr(table, key)
        if values is not None:
            yield listed_rule(shop, f"maa.{key}", read, values)
    if table.secure_boot is not None:
        yield flag_rule(shop, "maa.secure_boot", attrgetter("secure_boot"), wanted=table.secure_boot)


def _launched(result: AttestationResult) -> TrustClaim:
    if result.passed("maa.measurement") and result.evidence.claims.attestation_type != AZURE_VM:
        return TrustClaim(EXECUTABLES_BOOT_APPROVED, "What was launched is named.")
    return TrustClaim(NO_CLAIM, "The policy does not name what was launched.")


# --- Trust Authority ----------------------------------------------------------------------------------------


def _trust_authority(shop: Workshop) -> Iterator[Rule]:
    table: TrustAuthority = shop.document.trust_authority or TrustAuthority()
    yield _debug(shop, "TEE")
    yield status_rule(shop, "trust_authority.tcb", attrgetter("tcb_status"), required=True)
    for name in (*_TD_REGISTERS, *_ENCLAVE_REGISTERS):
        allowed = getattr(table, name)
        if allowed is not None:
            yield register_rule(shop, f"trust_authority.{name}", _measured(name), allowed)
    if table.issuers is not None:
        yield listed_rule(shop, "trust_authority.issuers", attrgetter("issuer"), table.issuers)
    if table.attesters is not None:
        yield listed_rule(shop, "trust_authority.attesters", attrgetter("attester"), table.attesters)
    if table.policies is not None:
        wanted = frozenset(table.policies)
        yield flag_rule(
            shop,
            "trust_authority.policies",
            lambda claims: wanted <= frozenset(claims.policies_matched),
            wanted=True,
            title="every policy of the service that was named matched",
        )


def _measured(name: str) -> Callable[[Any], bytes]:
    def read(claims: Any) -> bytes:
        found: bytes = claims.measurements.get(name, b"")
        return found

    return read


def _registers(result: AttestationResult) -> TrustClaim:
    if any(result.passed(f"trust_authority.{name}") for name in _STARTED):
        return TrustClaim(EXECUTABLES_BOOT_APPROVED, "What was started is named.")
    return TrustClaim(NO_CLAIM, "The policy does not name what was started.")


# --- Platforms ----------------------------------------------------------------------------------------------


def _names_image(document: Document) -> bool:
    return (document.confidential_space or ConfidentialSpace()).image_digests is not None


def _names_launch(document: Document) -> bool:
    """Return whether a policy names the launch of a TEE, and whose word that is.

    What is measured of an Azure guest is Microsoft's paravisor, the same under every guest; and anybody can
    make an instance of the service, with a policy of their own.
    """
    table = document.maa or Maa()
    types = table.attestation_types or (AZURE_VM,)
    return table.measurement is not None and table.issuers is not None and AZURE_VM not in types


def _names_start(document: Document) -> bool:
    table = document.trust_authority or TrustAuthority()
    return any(getattr(table, name) is not None for name in _STARTED)


PLATFORMS: Final = {
    "confidential-space": PlatformAppraisal(
        name="confidential-space",
        title="Google Confidential Space",
        tables=("confidential_space",),
        rules=_confidential_space,
        names_code=_names_image,
        code_keys="confidential_space.image_digests",
        measured={"confidential_space.image_digests": "its container image"},
        reference_sizes={},
        executables=_image,
        endorsed_since=_issued,
    ),
    "maa": PlatformAppraisal(
        name="maa",
        title="Azure Attestation token",
        tables=("maa",),
        rules=_maa,
        names_code=_names_launch,
        code_keys="maa.measurement with maa.issuers, and maa.attestation_types without azurevm",
        measured={"maa.measurement": "what was launched"},
        reference_sizes={"measurement": (32, 48)},
        executables=_launched,
        endorsed_since=_issued,
    ),
    "trust-authority": PlatformAppraisal(
        name="trust-authority",
        title="Intel Trust Authority token",
        tables=("trust_authority",),
        rules=_trust_authority,
        names_code=_names_start,
        code_keys="trust_authority.mrtd or trust_authority.mrenclave",
        measured={
            "trust_authority.mrtd": "what a TD started from",
            "trust_authority.mrenclave": "an enclave",
        },
        reference_sizes={
            **dict.fromkeys(_TD_REGISTERS, (48,)),
            "mrenclave": (32,),
            "mrsigner": (32,),
        },
        executables=_registers,
        endorsed_since=_issued,
    ),
}
