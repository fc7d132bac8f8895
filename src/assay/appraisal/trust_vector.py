"""The trustworthiness vector of draft-ietf-rats-ar4si-10: eight claims about the Attester, small integers.

The tier follows from the value: 2 to 31 affirming, 32 to 95 warning, 96 and above contraindicated, 0 nothing
claimed. A vector never says more than the ledger does: a claim is affirming only when its checks passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.platforms import platform_of
from assay.appraisal.vocabulary import FORGEABLE, TOKENS, WEAKNESSES
from assay.evidence.ledger import Outcome
from assay.evidence.records import record

if TYPE_CHECKING:
    from assay.appraisal.result import AttestationResult as Appraised

NO_CLAIM: Final = 0
CRYPTO_FAILED: Final = 99

INSTANCE_RECOGNIZED: Final = 2
INSTANCE_NOT_RECOGNIZED: Final = 97
CONFIGURATION_SAFE: Final = 3
CONFIGURATION_VULNERABLE: Final = 32
CONFIGURATION_UNSUPPORTABLE: Final = 96
EXECUTABLES_RUNTIME_APPROVED: Final = 2
EXECUTABLES_BOOT_APPROVED: Final = 3
EXECUTABLES_VULNERABLE: Final = 32
EXECUTABLES_UNRECOGNIZED: Final = 33
HARDWARE_GENUINE: Final = 2
HARDWARE_VULNERABLE: Final = 32
HARDWARE_CONTRAINDICATED: Final = 96
HARDWARE_UNRECOGNIZED: Final = 97
RUNTIME_ENCRYPTED: Final = 2
RUNTIME_ISOLATED: Final = 32
RUNTIME_VISIBLE: Final = 96

_CONFIGURATION_WORDS: Final = frozenset(
    word for word, found in WEAKNESSES.items() if "configuration" in found.concern
)
_HARDWARE_WORDS: Final = frozenset(word for word, found in WEAKNESSES.items() if "hardware" in found.concern)
_CONFIGURATION_KEYS: Final = (
    "attributes.",
    "snp.vmpl.",
    "snp.guest_policy.",
    "snp.min_abi.",
    "azure.secure_boot.",
    "azure.tpm_enabled.",
    "azure.console_enabled.",
    "confidential_space.overrides.",
    "confidential_space.secure_boot.",
    "maa.secure_boot.",
)
_PATCH_KEYS: Final = (
    "tcb.",
    "snp.min_tcb.",
    "snp.min_launch_tcb.",
    "snp.min_firmware.",
    "snp.alias_check.",
    "snp.provisional.",
    "snp.platform_info.",
    "snp.launch_mitigations.",
    "snp.current_mitigations.",
    "nvidia.firmware.",
    "nvidia.hold.",
    "nvidia.manifests.",
)
_MACHINE_KEYS: Final = (
    "hardware.",
    "snp.products.",
    "snp.signing_keys.",
    "snp.chip_ids.",
    "snp.csp_ids.",
    "nvidia.architectures.",
    "nvidia.device_ids.",
)
_HOST_KEYS: Final = ("nitro.host_tpm.", "google.host_tpm.", "tpm.host_tpm.")
"""Keys whose failed checks weigh on a claim."""

_CIRCUMSTANCES: Final = (
    "google.",
    *(
        f"{table}.{key}."
        for table, keys in (
            ("azure", ("ak_certificate", "revocation", "user_data", "vm_ids")),
            ("confidential_space", ("audiences", "gpu_modes", "hardware", "monitoring", "project_ids")),
            ("confidential_space", ("revocation", "service_accounts", "zones")),
            ("dstack", ("key_providers",)),
            ("maa", ("attestation_types", "compliance", "issuers", "policy_hashes", "tees")),
            ("nitro", ("instance_ids", "max_age_seconds", "regions")),
            ("nvidia", ("fresh_revocation", "gpus", "modes", "switches")),
            ("snp", ("min_report_version",)),
            ("tpm", ("ak_certified", "ak_digests", "revocation")),
            ("trust_authority", ("attesters", "issuers", "policies")),
            ("vtpm", ("clock_safe", "min_firmware_version")),
        )
        for key in keys
    ),
)
"""Keys about whose the machine is, when it answered and who vouches for it: no claim of the vector."""

_NOT_OF_CODE: Final = (
    *_CONFIGURATION_KEYS,
    *_PATCH_KEYS,
    *_MACHINE_KEYS,
    *_HOST_KEYS,
    *_CIRCUMSTANCES,
)

_NOT_ENCRYPTED: Final = ("nitro", "nvidia-gpu")
"""TEEs whose evidence shows isolation alone: a hypervisor's, or that of a device's own memory."""

NAMES: Final = (
    "instance-identity",
    "configuration",
    "executables",
    "file-system",
    "hardware",
    "runtime-opaque",
    "storage-opaque",
    "sourced-data",
)
"""The claims, in the order of the draft (section 2.3.4)."""


def tier(value: int) -> str:
    """Return the tier of a value (draft-ietf-rats-ar4si, 2.3.2)."""
    if -1 <= value <= 1:
        return "none"
    if -32 <= value <= 31:
        return "affirming"
    return "warning" if -96 <= value <= 95 else "contraindicated"


@record
class TrustClaim:
    """One claim of the vector.

    Attributes:
        value: The value of the draft.
        reason: Why, as a sentence.
    """

    value: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return value, tier and reason."""
        return {"value": self.value, "tier": tier(self.value), "reason": self.reason}


_UNJUDGED: Final = TrustClaim(NO_CLAIM, "The policy is for other platforms, and judged nothing of this one.")
_THIRD_PARTY: Final = TrustClaim(NO_CLAIM, "Only a third party's word stands for the hardware.")
_ENCRYPTED: Final = TrustClaim(RUNTIME_ENCRYPTED, "The processor encrypts the TEE's memory.")
_ISOLATED: Final = TrustClaim(
    RUNTIME_ISOLATED, "Others are kept out; nothing shows that the memory is encrypted."
)


def vector(subject: Appraised) -> dict[str, TrustClaim]:
    """Return the eight claims about what was appraised, in the order of the draft."""
    if not subject.evidence.authentic:
        return _unauthenticated(subject)
    found = {
        "instance-identity": _instance(subject),
        "configuration": _configuration(subject),
        "executables": _executables(subject),
        "hardware": _hardware(subject),
        "runtime-opaque": _runtime(subject),
    }
    nothing = TrustClaim(NO_CLAIM, "The evidence says nothing about this.")
    return {name: found.get(name, nothing) for name in NAMES}


def _unauthenticated(subject: Appraised) -> dict[str, TrustClaim]:
    if subject.evidence.ledger.failed():
        value, reason = CRYPTO_FAILED, "The evidence failed a check of authenticity."
    else:
        value, reason = NO_CLAIM, "Something is missing to authenticate the evidence."
    judged = ("instance-identity", "hardware")
    return {name: TrustClaim(value if name in judged else NO_CLAIM, reason) for name in NAMES}


def _instance(subject: Appraised) -> TrustClaim:
    outcomes = subject.outcomes("hardware.ppids", "hardware.platform_instance_ids")
    if not outcomes:
        return TrustClaim(NO_CLAIM, "The policy names no machines.")
    if all(outcome is Outcome.PASSED for outcome in outcomes):
        return TrustClaim(INSTANCE_RECOGNIZED, "The machine is on the policy's list.")
    return TrustClaim(INSTANCE_NOT_RECOGNIZED, "The machine is not on the policy's list.")


def _judged(subject: Appraised) -> bool:
    """Return whether any policy looked at the Claims; one for other platforms does not."""
    return bool(subject.outcomes("simulated"))


def _of_the_host(subject: Appraised) -> bool:
    """Return whether the evidence is that of a TPM which the host makes: no TEE stands behind it."""
    return "host-tpm" in subject.admitted or subject.any_failed(*_HOST_KEYS)


def _configuration(subject: Appraised) -> TrustClaim:
    if not _judged(subject):
        return _UNJUDGED
    if subject.any_failed(*_CONFIGURATION_KEYS):
        return TrustClaim(CONFIGURATION_UNSUPPORTABLE, "An attribute has a value that the policy refuses.")
    if "debug" in subject.admitted:
        return TrustClaim(CONFIGURATION_UNSUPPORTABLE, "Debug mode is on; the policy admits it.")
    if _CONFIGURATION_WORDS & set(subject.admitted):
        return TrustClaim(CONFIGURATION_VULNERABLE, "A weak attribute is set; the policy admits it.")
    return TrustClaim(CONFIGURATION_SAFE, "No attribute is set that is known to be weak.")


def _executables(subject: Appraised) -> TrustClaim:
    known = platform_of(subject.platform)
    tables = [f"{table}." for table in known.tables]
    if subject.any_failed(*tables, but=_NOT_OF_CODE):
        return TrustClaim(EXECUTABLES_UNRECOGNIZED, "A measurement is not one that the Relying Party named.")
    if subject.any_failed(*tables):
        return TrustClaim(NO_CLAIM, "The policy refuses the machine for something else than what it runs.")
    if subject.any_left_open(*tables):
        return TrustClaim(NO_CLAIM, "What the policy demands of what runs could not be checked.")
    if "development-image" in subject.admitted:
        return TrustClaim(EXECUTABLES_VULNERABLE, "A development image runs; the policy admits it.")
    return known.executables(subject)


def _hardware(subject: Appraised) -> TrustClaim:
    if subject.evidence.simulated or subject.platform in TOKENS:
        return _no_hardware(subject)
    if not _judged(subject):
        return _UNJUDGED
    why = _against(subject)
    if why:
        return TrustClaim(HARDWARE_CONTRAINDICATED, why)
    if _HARDWARE_WORDS & set(subject.admitted):
        return TrustClaim(HARDWARE_VULNERABLE, "The platform has known weaknesses; the policy admits them.")
    return TrustClaim(
        HARDWARE_GENUINE, "The chain ended in the vendor's root and every component is up to date."
    )


def _against(subject: Appraised) -> str:
    """Return what speaks against the hardware, as a sentence; nothing when nothing does."""
    if any(word in FORGEABLE for word in subject.admitted):
        return _FORGEABLE
    return next((why for keys, why in _AGAINST if subject.any_failed(*keys)), "")


_FORGEABLE: Final = "Evidence of this hardware can be forged."
_AGAINST: Final = (
    (("accept_forgeable.",), _FORGEABLE),
    (_HOST_KEYS, "The TPM is the host's, and no TEE."),
    (_PATCH_KEYS, "The platform's patches are not what the policy demands."),
    (_MACHINE_KEYS, "The machine is not one that the policy accepts."),
)


def _no_hardware(subject: Appraised) -> TrustClaim:
    return (
        _THIRD_PARTY if _token(subject) else TrustClaim(HARDWARE_UNRECOGNIZED, "The hardware is simulated.")
    )


def _token(subject: Appraised) -> bool:
    """Return whether somebody else appraised the hardware; a simulated service is no such somebody."""
    anchor = subject.evidence.anchor
    published = anchor is not None and anchor.published_keys
    return published or (subject.platform in TOKENS and not subject.evidence.simulated)


def _runtime(subject: Appraised) -> TrustClaim:
    if _token(subject):
        return _THIRD_PARTY
    if subject.evidence.simulated:
        return TrustClaim(RUNTIME_VISIBLE, "The hardware is simulated: the host sees everything.")
    if not _judged(subject):
        return _UNJUDGED
    if _of_the_host(subject):
        return TrustClaim(
            RUNTIME_VISIBLE, "The TPM is the host's: nothing keeps the host from looking inside."
        )
    if "debug" in subject.admitted or subject.any_failed("attributes.debug"):
        return TrustClaim(RUNTIME_VISIBLE, "Debug mode lets the host see everything.")
    return _ISOLATED if subject.platform in _NOT_ENCRYPTED else _ENCRYPTED
