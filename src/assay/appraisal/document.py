"""What a policy file says, key by key: the one place from which loader, schema and reference are made.

Every key adds a requirement. The only line that lets anything pass is ``accept``, which names weaknesses one
by one; a key that lists a weak status needs the word for it in ``accept`` as well. So one line says what a
policy tolerates, and adding any other key can only refuse more.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from assay.appraisal.fields import (
    Choice,
    Flag,
    Hex,
    Integer,
    Key,
    Kind,
    ListOf,
    Pattern,
    Pinned,
    Table,
    Text,
    wrong_type,
    wrong_value,
)
from assay.appraisal.register_fields import Allowed, Register
from assay.appraisal.vocabulary import (
    ADMISSIBLE,
    COMPONENT_STATUSES,
    FORGEABLE,
    PLATFORM_STATUSES,
    PLATFORMS,
    RUNGS,
    SGX_TYPES,
)
from assay.evidence.records import record

VERSION: Final = 1
MAX_GRACE_DAYS: Final = 36500
ADVISORY_CHARACTERS: Final = 64
_ADVISORY: Final = Pattern(
    "INTEL-(SA|DOC)-[0-9]{5}",
    '"INTEL-SA-" or "INTEL-DOC-" and five digits: any other would reject nothing',
    "`INTEL-SA-01036`",
)


@record
class Grace:
    """``[tcb.grace]``: for how long a component may stay out of date."""

    platform: Annotated[
        int | None,
        Key(
            Integer(0, MAX_GRACE_DAYS),
            "Days after the platform's TCB date during which an out-of-date platform still passes."
            " Limits the word out-of-date-platform in accept.",
        ),
    ] = None
    module: Annotated[
        int | None,
        Key(
            Integer(0, MAX_GRACE_DAYS),
            "Days after the TDX module's TCB date during which an out-of-date module still passes."
            " Limits the word out-of-date-module in accept.",
        ),
    ] = None
    qe: Annotated[
        int | None,
        Key(
            Integer(0, MAX_GRACE_DAYS),
            "Days after the quoting enclave's TCB date during which an out-of-date one still passes."
            " Limits the word out-of-date-qe in accept.",
        ),
    ] = None


@record
class Tcb:
    """``[tcb]``: the state of patches of platform, module and quoting enclave."""

    platform: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Choice(PLATFORM_STATUSES)),
            "Statuses that the platform may have. A weak one needs its word in accept too. Without this key:"
            " UpToDate and what accept admits.",
        ),
    ] = None
    module: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Choice(COMPONENT_STATUSES)), "Statuses that the TDX module may have, as for the platform."
        ),
    ] = None
    qe: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Choice(COMPONENT_STATUSES)),
            "Statuses that the quoting enclave may have, as for the platform.",
        ),
    ] = None
    grace: Annotated[Grace | None, Key(Table(Grace), "How long a component may stay out of date.")] = None
    rejected_advisories: Annotated[
        tuple[str, ...] | None,
        Key(ListOf(_ADVISORY), "Advisories that refuse the evidence, as Intel spells them."),
    ] = None
    accepted_advisories: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Text(ADVISORY_CHARACTERS), least=0),
            "The only advisories that may apply; an empty list allows none.",
        ),
    ] = None
    min_evaluation_number: Annotated[
        int | None, Key(Integer(1, 2**31), "Smallest tcbEvaluationDataNumber of TCB info and of QE identity.")
    ] = None


@record
class Attributes:
    """``[attributes]``: properties with which the TD was launched. false forbids the bit, true demands it."""

    debug: Annotated[
        bool | None, Key(Flag(), "Whether the TEE runs in debug mode. true needs debug in accept.")
    ] = None
    sept_ve_disable: Annotated[
        bool | None,
        Key(Flag(), "Whether SEPT_VE_DISABLE is set (TDX). false needs sept-ve-enabled in accept."),
    ] = None
    migratable: Annotated[
        bool | None, Key(Flag(), "Whether the TD is migratable. true needs migratable in accept.")
    ] = None
    perfmon: Annotated[
        bool | None,
        Key(Flag(), "Whether performance counters are on in the TD. true needs perfmon in accept."),
    ] = None
    pks: Annotated[bool | None, Key(Flag(), "Whether the TD may use supervisor protection keys.")] = None
    kl: Annotated[bool | None, Key(Flag(), "Whether the TD may use the key locker.")] = None
    td_attributes: Annotated[
        tuple[bytes, ...] | None,
        Key(
            ListOf(Hex(8)),
            "Whole values that TDATTRIBUTES may have, as they stand in the quote (little-endian).",
        ),
    ] = None
    xfam: Annotated[
        tuple[bytes, ...] | None,
        Key(ListOf(Hex(8)), "Whole values that XFAM may have, as they stand in the quote (little-endian)."),
    ] = None
    mr_service_td: Annotated[
        tuple[bytes, ...] | None,
        Key(
            ListOf(Hex(48)),
            "Service TDs that may be bound to the TD. A value other than zero needs service-td in accept.",
        ),
    ] = None


@record
class Hardware:
    """``[hardware]``: which machines; a leaked attestation key of any other machine is then of no use."""

    ppids: Annotated[
        tuple[bytes, ...] | None,
        Key(ListOf(Hex(32)), "SHA-256 of the PPIDs (16 bytes) of the processors that may sign."),
    ] = None
    platform_instance_ids: Annotated[
        tuple[bytes, ...] | None,
        Key(ListOf(Hex(32)), "SHA-256 of the platform instance ids (16 bytes) that may sign."),
    ] = None
    sgx_types: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Choice(SGX_TYPES)),
            "SGX types that the platform may have; scalable has no memory integrity.",
        ),
    ] = None
    dynamic_platform: Annotated[
        bool | None, Key(Flag(), "Whether packages can be added to the platform after its set-up.")
    ] = None
    cached_keys: Annotated[
        bool | None, Key(Flag(), "Whether Intel's registration service keeps the platform's root keys.")
    ] = None
    smt: Annotated[bool | None, Key(Flag(), "Whether hyper-threading is on.")] = None


@record
class Tdx:
    """``[tdx]``: what was measured into the TD."""

    mr_td: Annotated[
        Allowed | None, Key(Register(48), "Firmware and launch pages: what the TD started from.")
    ] = None
    rtmr0: Annotated[
        Allowed | None, Key(Register(48), "The virtual machine's shape as the firmware saw it.")
    ] = None
    rtmr1: Annotated[Allowed | None, Key(Register(48), "Boot loader or kernel.")] = None
    rtmr2: Annotated[Allowed | None, Key(Register(48), "Kernel command line and initrd.")] = None
    rtmr3: Annotated[Allowed | None, Key(Register(48), "What the guest extended at run time.")] = None
    mr_config_id: Annotated[
        Allowed | None, Key(Register(48), "Configuration that the launcher put in before the start.")
    ] = None
    mr_owner: Annotated[Allowed | None, Key(Register(48), "Owner that the launcher named.")] = None
    mr_owner_config: Annotated[
        Allowed | None, Key(Register(48), "Owner's configuration that the launcher named.")
    ] = None
    mr_seam: Annotated[Allowed | None, Key(Register(48), "The very build of the TDX module.")] = None


@record
class Sgx:
    """``[sgx]``: what was measured into the enclave."""

    mr_enclave: Annotated[Allowed | None, Key(Register(32), "The enclave's code and initial data.")] = None
    mr_signer: Annotated[
        Allowed | None,
        Key(
            Register(32),
            "SHA-256 of the key that signed the enclave. Needs mr_enclave, or isv_prod_id and min_isv_svn.",
        ),
    ] = None
    isv_prod_id: Annotated[
        tuple[int, ...] | None,
        Key(
            ListOf(Integer(0, 65535)),
            "Products of that signer; without it every enclave of the signer would pass.",
        ),
    ] = None
    min_isv_svn: Annotated[
        int | None,
        Key(
            Integer(0, 65535),
            "Smallest security version; without it every old version of the signer would pass.",
        ),
    ] = None
    config_id: Annotated[
        Allowed | None, Key(Register(64), "Configuration that the launcher named (KSS).")
    ] = None
    min_config_svn: Annotated[int | None, Key(Integer(0, 65535), "Smallest CONFIGSVN (KSS).")] = None
    attributes: Annotated[
        bytes | None,
        Key(Hex(16), "What ATTRIBUTES must be under attributes_mask, as it stands in the quote."),
    ] = None
    attributes_mask: Annotated[bytes | None, Key(Hex(16), "Bits of ATTRIBUTES that are compared.")] = None


KEY_PROVIDERS: Final = ("kms", "local-sgx", "tpm", "none")


@record
class Dstack:
    """``[dstack]``: who a dstack guest is, as its platform proves it; a line that it cannot prove refuses."""

    compose_hashes: Annotated[
        tuple[bytes, ...] | None,
        Key(ListOf(Hex(32)), "SHA-256 of the raw bytes of the app-compose.json files that may run."),
    ] = None
    app_ids: Annotated[tuple[bytes, ...] | None, Key(ListOf(Hex(20)), "App ids that may run.")] = None
    os_image_hashes: Annotated[
        tuple[bytes, ...] | None, Key(ListOf(Hex(32)), "OS images that may have booted.")
    ] = None
    key_providers: Annotated[
        tuple[tuple[str, bytes], ...] | None,
        Key(
            ListOf(Pinned(KEY_PROVIDERS, 4096)),
            'Where the app\'s keys may come from: "kms:<its CA key in hexadecimal>".',
        ),
    ] = None


MAX_AGE_HOURS: Final = 24 * 366
MAX_AGE_SECONDS: Final = 86400


@record
class Freshness:
    """``[freshness]``: how old may be what the result rests on."""

    collateral_max_age_hours: Annotated[
        int | None,
        Key(Integer(1, MAX_AGE_HOURS), "Hours since the newest part of the collateral was issued, at most."),
    ] = None
    evidence_max_age_seconds: Annotated[
        int | None,
        Key(
            Integer(1, MAX_AGE_SECONDS),
            "Seconds since the nonce was made, at most; without a nonce the check fails.",
        ),
    ] = None


@record
class Isolation:
    """``[isolation]``: what stands between the workload and the agent that attests it."""

    min: Annotated[
        str | None, Key(Choice(RUNGS), "The weakest rung that is accepted: firecracker is the strongest.")
    ] = None


class _Version(Kind):
    """The version of the policy language."""

    __slots__ = ()

    def _decode(self, value: object, path: str) -> int:
        if type(value) is not int:
            raise wrong_type(path, value, "an integer")
        if value != VERSION:
            raise wrong_value(path, value, f"{VERSION}, the only version that this Assay reads")
        return value

    def __str__(self) -> str:
        return f"`{VERSION}`"

    def _schema(self) -> dict[str, Any]:
        return {"const": VERSION}


@record
class Document:
    """A whole policy file."""

    version: Annotated[int, Key(_Version(), "Version of the policy language: 1.")]
    platforms: Annotated[
        tuple[str, ...],
        Key(
            ListOf(Choice(PLATFORMS)),
            "Platforms that the Relying Party accepts; evidence of any other is refused.",
        ),
    ]
    name: Annotated[
        str | None, Key(Text(64), "What results call the policy; the file's name when it is missing.")
    ] = None
    simulated: Annotated[
        str | None,
        Key(
            Choice(("refused", "only")),
            "refused (as without this key): only real hardware. only: only simulated hardware, under this"
            " installation's own root; needs simulated in accept.",
        ),
    ] = None
    accept: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Choice(ADMISSIBLE), least=0),
            "Weaknesses that are admitted, each by name. Nothing but this and accept_forgeable relaxes.",
        ),
    ] = None
    accept_forgeable: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Choice(FORGEABLE)),
            "Hardware that is admitted although its evidence can be forged by anybody, each by name.",
        ),
    ] = None
    together: Annotated[
        tuple[str, ...] | None,
        Key(
            ListOf(Choice(PLATFORMS), least=2, counted=True),
            "Platforms whose evidence is demanded together, each as often as it stands here; evidence of one"
            " of them alone is refused.",
        ),
    ] = None
    tcb: Annotated[
        Tcb | None, Key(Table(Tcb), "The state of patches of platform, module and quoting enclave.")
    ] = None
    attributes: Annotated[
        Attributes | None, Key(Table(Attributes), "Properties with which the TEE was launched.")
    ] = None
    hardware: Annotated[Hardware | None, Key(Table(Hardware), "Which machines may sign.")] = None
    tdx: Annotated[Tdx | None, Key(Table(Tdx), "Measurements of a TD.")] = None
    sgx: Annotated[
        Sgx | None,
        Key(
            Table(Sgx),
            "Measurements of an enclave: mr_enclave, or mr_signer with isv_prod_id and min_isv_svn.",
        ),
    ] = None
    snp: Annotated[
        Any, Key(Table("assay.appraisal.tables.snp:Snp"), "An SEV-SNP guest and the chip that it runs on.")
    ] = None
    nitro: Annotated[
        Any,
        Key(Table("assay.appraisal.tables.nitro:Nitro"), "A Nitro Enclave, or an instance with a NitroTPM."),
    ] = None
    vtpm: Annotated[
        Any, Key(Table("assay.appraisal.tables.vtpm:Vtpm"), "The registers of a (virtual) TPM.")
    ] = None
    azure: Annotated[Any, Key(Table("assay.appraisal.tables.vtpm:Azure"), "An Azure confidential VM.")] = None
    google: Annotated[
        Any, Key(Table("assay.appraisal.tables.vtpm:Google"), "A VM of Google Compute Engine.")
    ] = None
    tpm: Annotated[Any, Key(Table("assay.appraisal.tables.vtpm:Tpm"), "A TPM that stands alone.")] = None
    ima: Annotated[
        Any, Key(Table("assay.appraisal.tables.ima:Ima"), "Files that the kernel measured as it ran.")
    ] = None
    confidential_space: Annotated[
        Any,
        Key(Table("assay.appraisal.tables.tokens:ConfidentialSpace"), "A workload in Confidential Space."),
    ] = None
    maa: Annotated[
        Any, Key(Table("assay.appraisal.tables.tokens:Maa"), "A token of Microsoft Azure Attestation.")
    ] = None
    trust_authority: Annotated[
        Any,
        Key(Table("assay.appraisal.tables.tokens:TrustAuthority"), "A token of Intel Trust Authority."),
    ] = None
    nvidia: Annotated[
        Any, Key(Table("assay.appraisal.tables.nvidia:Nvidia"), "NVIDIA GPUs and switches.")
    ] = None
    dstack: Annotated[
        Dstack | None, Key(Table(Dstack), "Identity of a dstack guest; an event log is then required.")
    ] = None
    freshness: Annotated[
        Freshness | None, Key(Table(Freshness), "How old may be what the result rests on.")
    ] = None
    isolation: Annotated[
        Isolation | None, Key(Table(Isolation), "What stands between workload and agent.")
    ] = None


DOCUMENT: Final = Table(Document, required=("version", "platforms"))
