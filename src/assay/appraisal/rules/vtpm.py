"""Rules about machines with a TPM: Azure's and Google's confidential VMs, and a TPM alone."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from assay.appraisal.document import Tdx
from assay.appraisal.platforms import PlatformAppraisal
from assay.appraisal.rules import snp, tdx
from assay.appraisal.rules.lists import flag_rule, least_rule, listed_rule
from assay.appraisal.rules.registers import register_rule
from assay.appraisal.rules.revocation import Looked, revocation_rule
from assay.appraisal.rules.subject import Rule, Subject, Workshop, nested
from assay.appraisal.rules.weaknesses import weakness_rule
from assay.appraisal.tables.snp import Snp
from assay.appraisal.tables.vtpm import PCR_SIZES, PCRS, Azure, Google, Tpm, no_registers
from assay.appraisal.trust_vector import (
    EXECUTABLES_BOOT_APPROVED,
    EXECUTABLES_RUNTIME_APPROVED,
    NO_CLAIM,
    TrustClaim,
)
from assay.evidence.ledger import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from assay.appraisal.document import Document
    from assay.appraisal.result import AttestationResult
    from assay.evidence.tpm.claims import TpmQuoteClaims

_BOOT: Final = ("pcr4", "pcr7")
_UNIFIED: Final = ("pcr11",)
_BOOT_KEYS: Final = "vtpm.pcr4 and vtpm.pcr7, or vtpm.pcr11"


def _no_tcb(_claims: Any) -> None:
    """Return no DCAP part: what nested rules are given for Claims that have none."""


def _registers(
    shop: Workshop, quote_of: Callable[[Any], TpmQuoteClaims], log_of: Callable[[Any], Any]
) -> Iterator[Rule]:
    """Return the rules about the registers, and about what explains them."""
    table = shop.document.vtpm or no_registers()
    for index in range(PCRS):
        allowed = getattr(table, f"pcr{index}")
        if allowed is not None:
            yield register_rule(shop, f"vtpm.pcr{index}", _pcr(quote_of, index), allowed)
    if table.event_log is not None:
        yield flag_rule(
            shop,
            "vtpm.event_log",
            lambda claims: log_of(claims) is not None,
            wanted=table.event_log,
            title="event logs explain the registers" if table.event_log else "no event log came along",
        )
    if table.min_firmware_version is not None:
        yield least_rule(
            shop,
            "vtpm.min_firmware_version",
            lambda claims: quote_of(claims).firmware_version,
            table.min_firmware_version,
        )
    if table.clock_safe is not None:
        yield flag_rule(
            shop,
            "vtpm.clock_safe",
            lambda claims: quote_of(claims).safe,
            wanted=table.clock_safe,
            title=f"the TPM's clock {'cannot' if table.clock_safe else 'may'} have gone back",
        )


def _pcr(quote_of: Callable[[Any], TpmQuoteClaims], index: int) -> Callable[[Any], bytes]:
    def read(claims: Any) -> bytes:
        # A register that the quote does not cover has no value that anybody could have named.
        return quote_of(claims).pcrs.get(index, b"")

    return read


# --- Azure --------------------------------------------------------------------------------------------------


def _azure_snp(shop: Workshop) -> Iterator[Rule]:
    for rule in snp.rules(shop):
        yield nested(rule, attrgetter("hardware"), _no_tcb)
    yield from _azure(shop)


def _azure_tdx(shop: Workshop) -> Iterator[Rule]:
    for rule in tdx.every(shop):
        yield nested(rule, attrgetter("hardware"), attrgetter("tcb"))
    yield from _azure(shop)


def _azure(shop: Workshop) -> Iterator[Rule]:
    azure: Azure = shop.document.azure or Azure()
    for key, setting in (
        ("secure_boot", "secure-boot"),
        ("tpm_enabled", "tpm-enabled"),
        ("console_enabled", "console-enabled"),
    ):
        wanted = getattr(azure, key)
        if wanted is not None:
            yield flag_rule(shop, f"azure.{key}", _setting(setting), wanted=wanted)
    if azure.vm_ids is not None:
        yield listed_rule(shop, "azure.vm_ids", _vm_id, azure.vm_ids)
    if azure.user_data is not None:
        yield flag_rule(
            shop,
            "azure.user_data",
            attrgetter("user_data_bound"),
            wanted=azure.user_data,
            title="the hardware's own layer was shown to be fresh",
        )
    if azure.ak_certificate is not None:
        yield flag_rule(
            shop,
            "azure.ak_certificate",
            lambda claims: claims.ak_certificate is not None and not claims.ak_certificate.anchor.simulated,
            wanted=azure.ak_certificate,
            title="Azure certified the attestation key",
        )
    if azure.revocation is not None:
        yield revocation_rule(shop, "azure.revocation", _azure_lists, azure.revocation)
    yield from _registers(shop, attrgetter("tpm"), attrgetter("log"))


def _setting(name: str) -> Callable[[Any], bool | None]:
    def read(claims: Any) -> bool | None:
        found: bool | None = claims.runtime.setting(name)
        return found

    return read


def _azure_lists(claims: Any) -> Looked | None:
    found = claims.ak_certificate
    return None if found is None else Looked(found.named_lists_checked, found.revocation_checked)


def _vm_id(claims: Any) -> str | None:
    found = claims.runtime.vm_configuration.get("vmUniqueId")
    return found if isinstance(found, str) else None


# --- Google -------------------------------------------------------------------------------------------------


def _google_tdx(shop: Workshop) -> Iterator[Rule]:
    for rule in tdx.every(shop):
        yield nested(rule, attrgetter("td"), attrgetter("tcb"))
    yield _same_session(
        shop, "google.td_bound", attrgetter("td_bound"), "TD and virtual TPM answered the same session"
    )
    yield from _google(shop)


def _google_snp(shop: Workshop) -> Iterator[Rule]:
    for rule in snp.rules(shop):
        yield nested(rule, attrgetter("snp"), _no_tcb)
    yield _same_session(
        shop,
        "google.snp_bound",
        attrgetter("snp_bound"),
        "SNP guest and virtual TPM answered the same session",
    )
    yield from _google(shop)


def _same_session(shop: Workshop, path: str, read: Callable[[Any], bool], parts: str) -> Rule:
    """Return the rule that both parts carry the session's binding; who leaves that open proves no session."""
    rule = flag_rule(shop, path, read, wanted=True, title=f"{parts} answered the same session")
    left_open = Check(
        rule.spec, Outcome.NOT_APPLICABLE, "", "Nobody said what the session is; the evidence is not bound."
    )

    def judge(subject: Subject) -> Check:
        evidence = subject.evidence
        if evidence.ledger[evidence.binding_check].outcome is Outcome.NOT_CHECKED:
            return left_open
        return rule.judge(subject)

    return Rule(rule.spec, judge)


def _google_vtpm(shop: Workshop) -> Iterator[Rule]:
    yield _host_tpm(shop, "google.host_tpm")
    yield from _google(shop)


def _google(shop: Workshop) -> Iterator[Rule]:
    google: Google = shop.document.google or Google()
    for key, claim in (
        ("project_ids", "project_id"),
        ("project_numbers", "project_number"),
        ("zones", "zone"),
        ("instance_ids", "instance_id"),
        ("instance_names", "instance_name"),
    ):
        values = getattr(google, key)
        if values is not None:
            yield listed_rule(shop, f"google.{key}", attrgetter(f"ak.instance.{claim}"), values)
    if google.production is not None:
        read = attrgetter("ak.instance.production")
        yield flag_rule(shop, "google.production", read, wanted=google.production)
    if google.revocation is not None:
        yield revocation_rule(
            shop,
            "google.revocation",
            lambda claims: Looked(claims.ak.named_lists_checked, claims.ak.revocation_checked),
            google.revocation,
        )
    yield from _registers(shop, attrgetter("tpm"), attrgetter("log"))


# --- A TPM alone --------------------------------------------------------------------------------------------


def _tpm(shop: Workshop) -> Iterator[Rule]:
    table: Tpm = shop.document.tpm or Tpm()
    yield _host_tpm(shop, "tpm.host_tpm")
    if table.ak_digests is not None:
        yield listed_rule(shop, "tpm.ak_digests", attrgetter("quote.ak_digest"), table.ak_digests)
    if table.ak_certified is not None:
        read = attrgetter("ak_certified")
        yield flag_rule(shop, "tpm.ak_certified", read, wanted=table.ak_certified)
    if table.ima is not None:
        yield flag_rule(shop, "tpm.ima", lambda claims: claims.ima is not None, wanted=table.ima)
    if table.revocation is not None:
        yield revocation_rule(shop, "tpm.revocation", _tpm_lists, table.revocation)
    yield from _registers(shop, attrgetter("quote"), attrgetter("boot"))
    if shop.document.ima is not None:
        from assay.appraisal.rules import ima  # noqa: PLC0415 - most machines send no log of their files

        yield from ima.rules(shop, shop.document.ima, attrgetter("ima"))


def _tpm_lists(claims: Any) -> Looked | None:
    return (
        Looked(claims.ak_named_lists_checked, claims.ak_revocation_checked) if claims.ak_certified else None
    )


def _host_tpm(shop: Workshop, path: str) -> Rule:
    return weakness_rule(
        shop,
        path,
        "host-tpm",
        "the evidence is that of a TEE",
        lambda _: "The TPM is the host's: it shows what booted, not that nobody can look inside.",
    )


# --- What they have in common -------------------------------------------------------------------------------


def _names_boot(document: Document) -> bool:
    table: Any = document.vtpm or no_registers()
    named = [all(getattr(table, name) is not None for name in names) for names in (_BOOT, _UNIFIED)]
    return any(named)


def _names_paravisor(document: Document, measurement: Any) -> bool:
    """Return whether a policy says whose word the registers are.

    The paravisor holds the attestation key of the virtual TPM. Any guest of the same hardware can name a key
    of its own and sign what it likes with it, unless the paravisor is named or Azure certified the key.
    """
    azure: Azure = document.azure or Azure()
    return measurement is not None or azure.ak_certificate is True


def _azure_snp_code(document: Document) -> bool:
    return _names_boot(document) and _names_paravisor(document, (document.snp or Snp()).measurement)


def _azure_tdx_code(document: Document) -> bool:
    return _names_boot(document) and _names_paravisor(document, (document.tdx or Tdx()).mr_td)


def _google_tdx_code(document: Document) -> bool:
    """Return whether a policy says what the TD booted: the registers of the host's TPM are not the TD's."""
    table = document.tdx or Tdx()
    return None not in (table.mr_td, table.rtmr1, table.rtmr2)


def _google_snp_code(_document: Document) -> bool:
    """Return False: the report covers Google's firmware alone, and the TPM is the host's."""
    return False


def _booted(result: AttestationResult) -> TrustClaim:
    booted = any(all(result.passed(f"vtpm.{name}") for name in names) for names in (_BOOT, _UNIFIED))
    if not booted:
        return TrustClaim(NO_CLAIM, "The policy does not name what was booted.")
    if result.passed("vtpm.pcr10"):
        return TrustClaim(EXECUTABLES_RUNTIME_APPROVED, "What was booted and what ran since are named.")
    return TrustClaim(EXECUTABLES_BOOT_APPROVED, "What was booted is named.")


def _azure_booted(result: AttestationResult) -> TrustClaim:
    certified = result.passed("azure.ak_certificate") and result.evidence.claims.ak_certificate is not None
    if not (certified or result.passed("snp.measurement") or result.passed("tdx.mr_td")):
        return TrustClaim(NO_CLAIM, "The policy does not name the paravisor, whose word the registers are.")
    return _booted(result)


def _google_tdx_booted(result: AttestationResult) -> TrustClaim:
    if not all(result.passed(f"tdx.{name}") for name in ("mr_td", "rtmr1", "rtmr2")):
        return TrustClaim(NO_CLAIM, "The policy does not name everything that the TD booted.")
    if result.passed("tdx.rtmr3"):
        return TrustClaim(EXECUTABLES_RUNTIME_APPROVED, "What was booted and extended later are named.")
    return TrustClaim(EXECUTABLES_BOOT_APPROVED, "What was booted is named.")


def _google_snp_booted(_result: AttestationResult) -> TrustClaim:
    return TrustClaim(NO_CLAIM, "The report says nothing of what Google's firmware booted.")


def _own_chain(_claims: Any) -> datetime | None:
    return None


_MEASURED: Final = {
    "vtpm.pcr0": "its firmware",
    "vtpm.pcr4": "its boot loader or kernel",
    "vtpm.pcr7": "its secure-boot policy",
    "vtpm.pcr9": "its kernel and initrd",
    "vtpm.pcr11": "its unified kernel image",
}


def _platform(
    name: str,
    title: str,
    tables: tuple[str, ...],
    rules: Callable[[Workshop], Iterator[Rule]],
    *,
    names_code: Callable[[Document], bool] = _names_boot,
    code_keys: str = _BOOT_KEYS,
    executables: Callable[[AttestationResult], TrustClaim] = _booted,
    measured: dict[str, str] | None = None,
    endorsed_since: Callable[[Any], datetime | None] = _own_chain,
    tcb: Callable[[Any], Any] = _no_tcb,
) -> PlatformAppraisal:
    return PlatformAppraisal(
        name=name,
        title=title,
        tables=("vtpm", *tables),
        rules=rules,
        names_code=names_code,
        code_keys=code_keys,
        measured={**(measured or {}), **_MEASURED},
        reference_sizes={f"pcr{index}": PCR_SIZES for index in range(PCRS)},
        executables=executables,
        endorsed_since=endorsed_since,
        tcb=tcb,
    )


PLATFORMS: Final = {
    "azure-snp": _platform(
        "azure-snp",
        "Azure confidential VM (SEV-SNP)",
        ("snp", "azure"),
        _azure_snp,
        names_code=_azure_snp_code,
        code_keys=f"snp.measurement or azure.ak_certificate, with {_BOOT_KEYS}",
        executables=_azure_booted,
        measured={"snp.measurement": "its paravisor"},
        endorsed_since=attrgetter("hardware.endorsed_from"),
    ),
    "azure-tdx": _platform(
        "azure-tdx",
        "Azure confidential VM (TDX)",
        ("tdx", "azure"),
        _azure_tdx,
        names_code=_azure_tdx_code,
        code_keys=f"tdx.mr_td or azure.ak_certificate, with {_BOOT_KEYS}",
        executables=_azure_booted,
        measured={"tdx.mr_td": "its paravisor"},
        endorsed_since=attrgetter("hardware.tcb.collateral_valid_from"),
        tcb=attrgetter("hardware.tcb"),
    ),
    "gcp-tdx": _platform(
        "gcp-tdx",
        "Google confidential VM (TDX)",
        ("tdx", "google", "dstack"),
        _google_tdx,
        names_code=_google_tdx_code,
        code_keys="tdx.mr_td, tdx.rtmr1 and tdx.rtmr2",
        executables=_google_tdx_booted,
        measured={
            "tdx.mr_td": "its virtual firmware",
            "tdx.rtmr1": "its boot loader or kernel",
            "tdx.rtmr2": "its command line and initrd",
        },
        endorsed_since=attrgetter("td.tcb.collateral_valid_from"),
        tcb=attrgetter("td.tcb"),
    ),
    "gcp-snp": _platform(
        "gcp-snp",
        "Google confidential VM (SEV-SNP)",
        ("snp", "google"),
        _google_snp,
        names_code=_google_snp_code,
        code_keys="another platform than gcp-snp: its report covers the firmware alone",
        executables=_google_snp_booted,
        measured={"snp.measurement": "its virtual firmware"},
        endorsed_since=attrgetter("snp.endorsed_from"),
    ),
    "gcp-vtpm": _platform("gcp-vtpm", "Google VM with virtual TPM", ("google",), _google_vtpm),
    "tpm": _platform("tpm", "TPM", ("tpm", "ima"), _tpm),
}
