"""The words of the policy language: platforms, TCB statuses, rungs of isolation, and weaknesses.

The vocabulary of ``accept`` is closed. Each word names one weakness that is refused unless a policy names it,
and carries the sentence that a result shows when the evidence has the weakness and the policy let it pass.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from assay.evidence.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

PLATFORMS: Final = (
    "tdx",
    "sgx",
    "snp",
    "nitro",
    "nitro-tpm",
    "azure-snp",
    "azure-tdx",
    "gcp-tdx",
    "gcp-snp",
    "gcp-vtpm",
    "tpm",
    "confidential-space",
    "maa",
    "trust-authority",
    "nvidia-gpu",
    "nras",
)

TOKENS: Final = ("confidential-space", "maa", "trust-authority", "nras")
"""Platforms whose evidence is a token that somebody else issued."""

_TDX: Final = ("tdx", "azure-tdx", "gcp-tdx")
_SNP: Final = ("snp", "azure-snp", "gcp-snp")
_BITS: Final = (*_TDX, *_SNP)
_DCAP: Final = (*_TDX, "sgx")
_JUDGED: Final = (*_DCAP, "confidential-space", "trust-authority")
_NITRO: Final = ("nitro", "nitro-tpm")
_AZURE: Final = ("azure-snp", "azure-tdx")
_GOOGLE: Final = ("gcp-tdx", "gcp-snp", "gcp-vtpm")

TABLES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "tdx": _TDX,
        "dstack": ("tdx", "gcp-tdx", "snp", *_NITRO),
        "sgx": ("sgx",),
        "snp": _SNP,
        "nitro": _NITRO,
        "vtpm": (*_AZURE, *_GOOGLE, "tpm"),
        "azure": _AZURE,
        "google": _GOOGLE,
        "tpm": ("tpm",),
        "ima": ("tpm",),
        "confidential_space": ("confidential-space",),
        "maa": ("maa",),
        "trust_authority": ("trust-authority",),
        "nvidia": ("nvidia-gpu", "nras"),
        "tcb": _DCAP,
    }
)
"""Table of a policy to the platforms that it is about; the tables not named here are about any."""

_LAUNCHED: Final = ("sept_ve_disable", "perfmon", "pks", "kl", "td_attributes", "xfam", "mr_service_td")
_MACHINES: Final = (
    "ppids",
    "platform_instance_ids",
    "sgx_types",
    "dynamic_platform",
    "cached_keys",
    "smt",
)

_UNDATED: Final = (*_NITRO, "gcp-vtpm", "tpm")
"""Platforms whose evidence carries its own chain: nothing that somebody issues anew has an age."""
_BY_EVENTS: Final = ("compose_hashes", "app_ids", "key_providers")

KEYS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "attributes.debug": (
            *_DCAP,
            *_SNP,
            "nitro",
            "confidential-space",
            "maa",
            "trust-authority",
            "nras",
        ),
        "attributes.migratable": _BITS,
        **{f"attributes.{name}": _TDX for name in _LAUNCHED},
        **{f"hardware.{name}": _DCAP for name in _MACHINES},
        **{f"dstack.{name}": ("tdx", "gcp-tdx", "snp", "nitro-tpm") for name in _BY_EVENTS},
        "dstack.os_image_hashes": ("tdx", *_NITRO),
        "freshness.collateral_max_age_hours": tuple(name for name in PLATFORMS if name not in _UNDATED),
        "tcb.module": _TDX,
        "tcb.grace.module": _TDX,
    }
)
"""Key of a table that is about several platforms to those that make a check of it; the others are of any."""

UP_TO_DATE: Final = "UpToDate"
"""The one TCB status that needs no word in ``accept``."""

PLATFORM_STATUSES: Final = (
    UP_TO_DATE,
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
)
"""What a policy may say of a platform. ``Revoked`` and ``NotSupported`` are missing: nothing admits them."""

COMPONENT_STATUSES: Final = (UP_TO_DATE, "OutOfDate")
"""What a policy may say of the TDX module and of the quoting enclave."""

RUNGS: Final = ("none", "bubblewrap", "gvisor", "qemu", "firecracker")
"""Rungs of isolation between workload and agent, weakest first."""

SGX_TYPES: Final = ("standard", "scalable", "scalable-with-integrity")
"""Values 0, 1 and 2 of SGXType in the PCK extension (Intel SGX PCK Certificate and CRL Profile, 1.3.5)."""


@record
class Weakness:
    """One weakness that evidence can have and a policy can admit by name.

    Attributes:
        word: What stands in the policy.
        meaning: What is weak about it, as a sentence for a person; it stands in every result that admits it.
        platforms: Where the weakness can occur.
        concern: Which claim of the trust vector it weighs on: ``hardware``, ``configuration``, both, or none.
        key: The policy key that admits it.
    """

    word: str
    meaning: str
    platforms: tuple[str, ...] = PLATFORMS
    concern: frozenset[str] = frozenset()
    key: str = "accept"


_HARDWARE: Final = frozenset({"hardware"})
_CONFIGURATION: Final = frozenset({"configuration"})

_WEAKNESSES: Final = (
    Weakness("simulated", "The hardware is simulated: nothing physical protects the workload."),
    Weakness(
        "published-keys",
        "A token was judged by a third party and signed with a key that it publishes on a website: no chain"
        " ends in a vendor's root.",
        TOKENS,
    ),
    Weakness("debug", "The TEE runs in debug mode: whoever controls the host reads and writes its memory."),
    Weakness(
        "sw-hardening-needed",
        "The platform needs mitigations in the software of the TEE, and nothing shows that they are there.",
        _JUDGED,
        _HARDWARE,
    ),
    Weakness(
        "configuration-needed",
        "The platform is configured in a way that exposes known vulnerabilities, such as hyper-threading.",
        _JUDGED,
        _HARDWARE | _CONFIGURATION,
    ),
    Weakness(
        "out-of-date-platform",
        "The platform's microcode or firmware has known, published vulnerabilities.",
        _JUDGED,
        _HARDWARE,
    ),
    Weakness("out-of-date-module", "The TDX module has known, published vulnerabilities.", _TDX, _HARDWARE),
    Weakness(
        "out-of-date-qe",
        "The quoting enclave, which signs the quotes, has known, published vulnerabilities.",
        _DCAP,
        _HARDWARE,
    ),
    Weakness(
        "td-relaunch-advised",
        "The TDX module was updated under the running TD; it still carries what it was launched under.",
        _TDX,
        _HARDWARE,
    ),
    Weakness(
        "differing-evaluation-numbers",
        "TCB info and QE identity come from different TCB recoveries: one may judge by older knowledge.",
        _DCAP,
    ),
    Weakness(
        "migratable",
        "The TD can be moved to another machine; this evidence says nothing about where it runs later.",
        _BITS,
        _CONFIGURATION,
    ),
    Weakness(
        "sept-ve-enabled",
        "The host can inject exceptions into the TD by removing its pages (SEPT_VE_DISABLE is not set).",
        _TDX,
        _CONFIGURATION,
    ),
    Weakness(
        "service-td",
        "A service TD is bound to the TD and can, for example, migrate it.",
        _TDX,
        _CONFIGURATION,
    ),
    Weakness(
        "perfmon",
        "Performance counters are on in the TD, which sharpens side channels.",
        _TDX,
        _CONFIGURATION,
    ),
    Weakness(
        "unknown-attributes",
        "Attribute or XFAM bits are set that this version of Assay does not know.",
        _BITS,
        _CONFIGURATION,
    ),
    Weakness(
        "development-image",
        "The guest runs a development image of dstack: whoever deployed it can log in as root.",
        _TDX,
    ),
    Weakness(
        "aliasing-unchecked",
        "Nothing shows that the host cannot map two addresses to the same memory (CVE-2024-21944).",
        _SNP,
        _HARDWARE,
    ),
    Weakness(
        "unjudged-tcb",
        "No smallest security versions are stated for the firmware: old, vulnerable firmware would pass.",
        _SNP,
        _HARDWARE,
    ),
    Weakness(
        "provisional-firmware",
        "The firmware that runs is not committed: the host can return to an older one.",
        _SNP,
        _HARDWARE,
    ),
    Weakness(
        "vmpl",
        "The report was asked for by software that is not the most privileged one in the guest.",
        _SNP,
        _CONFIGURATION,
    ),
    Weakness(
        "no-tee",
        "The machine is no TEE: its host can read and change its memory.",
        ("confidential-space",),
        _HARDWARE,
    ),
    Weakness(
        "operator-overrides",
        "The operator of the machine set arguments or environment of the workload, which no digest covers.",
        ("confidential-space",),
        _CONFIGURATION,
    ),
    Weakness(
        "certificate-hold",
        "A certificate of the vendor is on hold: revoked, perhaps not for good.",
        ("nvidia-gpu",),
        _HARDWARE,
    ),
    Weakness(
        "service-warning",
        "The service that appraised the devices warns of something.",
        ("nras",),
        _HARDWARE,
    ),
    Weakness(
        "host-tpm",
        "The TPM is the host's: it shows what booted, not that the host cannot look inside.",
        ("nitro-tpm", "gcp-vtpm", "tpm"),
        _HARDWARE,
    ),
    Weakness(
        "ima-violations",
        "Files could change while the kernel measured them; nothing proves which: a listed file may be one.",
        ("tpm",),
    ),
    Weakness(
        "archived-chain",
        "The chain was judged at the time that the evidence itself states: it proves nothing about now.",
        _NITRO,
    ),
    Weakness(
        "milan",
        "Anybody can forge the reports of AMD Milan chips: the seed of all their keys was extracted.",
        _SNP,
        _HARDWARE,
        "accept_forgeable",
    ),
)

WEAKNESSES: Final[Mapping[str, Weakness]] = MappingProxyType({found.word: found for found in _WEAKNESSES})

ADMISSIBLE: Final = tuple(word for word, found in WEAKNESSES.items() if found.key == "accept")
"""The vocabulary of ``accept``."""

FORGEABLE: Final = tuple(word for word, found in WEAKNESSES.items() if found.key == "accept_forgeable")
"""The vocabulary of ``accept_forgeable``: hardware whose evidence anybody can make."""

GRACE_NEEDS: Final[Mapping[str, str]] = MappingProxyType(
    {"platform": "out-of-date-platform", "module": "out-of-date-module", "qe": "out-of-date-qe"}
)
"""Component of the TCB to the word whose admission a grace period limits."""

STATUS_NEEDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        UP_TO_DATE: frozenset(),
        "SWHardeningNeeded": frozenset({"sw-hardening-needed"}),
        "ConfigurationNeeded": frozenset({"configuration-needed"}),
        "ConfigurationAndSWHardeningNeeded": frozenset({"sw-hardening-needed", "configuration-needed"}),
        "OutOfDate": frozenset({"out-of-date-platform"}),
        "OutOfDateConfigurationNeeded": frozenset({"out-of-date-platform", "configuration-needed"}),
    }
)
"""Status of the platform to the words that must all be in ``accept`` for it."""


def component_needs(component: str, status: str) -> frozenset[str] | None:
    """Return the words that admit ``status`` of a component, or None when no policy can admit it.

    Args:
        component: ``platform``, ``module`` or ``qe``.
        status: Intel's spelling, such as ``OutOfDate``.
    """
    if component == "platform":
        return STATUS_NEEDS.get(status)
    if status == UP_TO_DATE:
        return frozenset()
    return frozenset({GRACE_NEEDS[component]}) if status == "OutOfDate" else None
