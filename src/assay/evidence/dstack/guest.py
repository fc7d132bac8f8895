"""Who a dstack guest is where it is no plain TDX guest: what binds its attestation on each platform.

    sev-snp         the report holds the report data; its HOST_DATA is the hash of the configuration
                    document, which names the application. No register holds events: they must agree with it.
    nitro-enclave   the document signs the report data; its registers are the image. Nothing vouches for
                    events.
    aws-nitro-tpm   the document signs the report data; PCR14 holds the events, PCR8 may hold the
                    configuration, PCR4, PCR7 and PCR12 the boot.
    gcp-tdx         the TDX quote holds the report data, and RTMR3 the events; the virtual TPM's quote is
                    about the hash of that quote, and PCR14 holds the same events.

The platform's verifier authenticates; what it authenticated is compared here with what stands beside it.

Source: dstack 0.6.0, ``dstack-attest/src/attestation.rs`` (AttestationV1::verify_with_time) and
``dstack-attest/src/lib.rs`` (expected_aws_config_pcr).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from assay.errors import EvidenceError
from assay.evidence.decoding import cbor
from assay.evidence.dstack import checks, nitro, order
from assay.evidence.dstack.claims import AppEvent
from assay.evidence.dstack.config_id import check_document, host_data, pinned_by, value_v2
from assay.evidence.dstack.events import RUNTIME_REGISTER
from assay.evidence.dstack.fields import refuse, unbase64
from assay.evidence.dstack.os_image import parse_checksums
from assay.evidence.dstack.report_data import Tag, tagged
from assay.evidence.dstack.system import read_system_events
from assay.evidence.dstack.vm_config import vm_document
from assay.evidence.eventlog.result import LogResult
from assay.evidence.ledger import CheckFailedError, CheckSpec, LedgerBuilder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from assay.evidence.dstack.events import DstackEvent
    from assay.evidence.dstack.system import SystemEvents
    from assay.evidence.dstack.versioned import Attestation
    from assay.evidence.verification import EvidenceResult

PLATFORMS: Final = {
    "sev-snp": "snp",
    "nitro-enclave": "nitro",
    "aws-nitro-tpm": "nitro-tpm",
    "gcp-tdx": "gcp-tdx",
}
"""Variant to the platform whose evidence is compared here."""
EVENT_PCR: Final = 14
CONFIG_PCR: Final = 8
BOOT_PCRS: Final = (4, 7, 12)
_AWS_FILE: Final = "measurement.aws.cbor"
_BY_EVENTS: Final = frozenset(("app_id", "compose_hash", "key_provider"))
_MAX_MEASUREMENT_BYTES: Final = 4096
_ATTEST: Final = "dstack 0.6.0, dstack-attest/src/attestation.rs"

GUEST = CheckSpec(
    "dstack.guest.evidence",
    "the platform's own evidence in the attestation is authentic, and of the platform that it names",
    f"{_ATTEST}, verify_with_time",
)
SNP_REPORT_DATA = CheckSpec(
    "dstack.snp.report_data",
    "the report data beside the report are the ones in it",
    f"{_ATTEST}, verify_with_time (SevSnp)",
)
SNP_HOST_DATA = CheckSpec(
    "dstack.snp.host_data",
    "the configuration document is the one that the host committed to before launch",
    f"{_ATTEST}, verify_snp_mr_config_host_data",
)
SNP_DOCUMENT = CheckSpec(
    "dstack.snp.document",
    "the guest's events say what the configuration document says",
    "dstack 0.6.0, dstack-types/src/mr_config.rs (MrConfigV3)",
)
NITRO_TPM_EVENTS = CheckSpec(
    "dstack.nitro_tpm.events",
    "the runtime events, and no others, made PCR14",
    f"{_ATTEST}, aws_nitro_tpm_verify_event_pcr",
)
NITRO_TPM_CONFIG = CheckSpec(
    "dstack.nitro_tpm.config",
    "PCR8 commits to the application that the events name",
    "dstack 0.6.0, dstack-attest/src/lib.rs, expected_aws_config_pcr",
)
NITRO_TPM_IMAGE = CheckSpec(
    "dstack.nitro_tpm.image",
    "the image that the configuration names makes PCR4, PCR7 and PCR12",
    f"{_ATTEST}, aws_nitro_tpm_boot_pcr_digest",
)
GCP_QUOTE = CheckSpec(
    "dstack.gcp.quote",
    "the virtual TPM's quote is about the TDX quote beside it",
    f"{_ATTEST}, verify_with_time (GcpTdx): qualified_data is SHA-256 of the quote",
)
GCP_REPORT_DATA = CheckSpec(
    "dstack.gcp.report_data",
    "the report data beside the quotes are the ones in the TDX quote",
    f"{_ATTEST}, verify_tdx_quote_with_events",
)
GCP_RTMR3 = CheckSpec(
    "dstack.gcp.rtmr3",
    "the runtime events, and no others, made the TDX quote's RTMR3",
    f"{_ATTEST}, verify_tdx_quote_with_events",
)
GCP_EVENTS = CheckSpec(
    "dstack.gcp.events",
    "the runtime events, and no others, made PCR14",
    f"{_ATTEST}, verify_with_time (GcpTdx)",
)
GCP_BOOT = CheckSpec(
    "dstack.gcp.boot",
    "the boot events made the PCRs that they name, as the quote shows them",
    "dstack 0.6.0, tpm-types/src/lib.rs (TpmQuote.event_log)",
)

_EVENTS: Final = (checks.UNIQUE, checks.ORDER, checks.SYSTEM)
CHECKS: Final = {
    "sev-snp": (GUEST, checks.CERTIFICATE, SNP_REPORT_DATA, SNP_HOST_DATA, *_EVENTS, SNP_DOCUMENT),
    "nitro-enclave": (GUEST, checks.CERTIFICATE, nitro.NITRO_REPORT_DATA, nitro.NITRO_IMAGE),
    "aws-nitro-tpm": (
        GUEST,
        checks.CERTIFICATE,
        nitro.NITRO_REPORT_DATA,
        NITRO_TPM_EVENTS,
        *_EVENTS,
        NITRO_TPM_CONFIG,
        NITRO_TPM_IMAGE,
    ),
    "gcp-tdx": (
        GUEST,
        checks.CERTIFICATE,
        GCP_REPORT_DATA,
        GCP_QUOTE,
        GCP_RTMR3,
        GCP_EVENTS,
        *_EVENTS,
        GCP_BOOT,
    ),
}
"""Variant to its checks, in the order in which they are made."""


@dataclass(frozen=True, slots=True)
class GuestClaims:
    """Who a guest is.

    Attributes:
        variant: dstack's word for the platform.
        system: What the system events say, which registers or a committed document vouch for; None for an
            enclave, whose events nothing vouches for.
        app_events: What the application measured behind them, in order; empty where no register holds it.
        os_image_hash: The image, where the configuration's word was compared with registers; None elsewhere.
        proven: Which of ``app_id``, ``compose_hash`` and ``key_provider`` a register or a committed document
            vouches for; what ``system`` says besides is the word of whoever sent it. How something was proven
            makes no other guest of it, so it is not compared.
    """

    variant: str
    system: SystemEvents | None
    app_events: tuple[AppEvent, ...]
    os_image_hash: bytes | None
    proven: frozenset[str] = field(default=frozenset(), compare=False)


def verify_guest(evidence: EvidenceResult[Any], attestation: Attestation) -> LogResult[GuestClaims]:
    """Compare an attestation with its platform's verified evidence. Never raises for bad evidence.

    Args:
        evidence: The result of verifying what the attestation carries.
        attestation: The attestation.

    Raises:
        KeyError: The attestation is one of TDX alone; ``verify_identity`` judges those.
    """
    variant = attestation.variant
    ledger = LedgerBuilder(CHECKS[variant])
    claims: GuestClaims | None = None
    try:
        if not evidence.authentic or evidence.platform != PLATFORMS[variant]:
            raise ledger.fail(
                GUEST,
                "dstack.guest.unauthenticated",
                f"The evidence of platform {evidence.platform} is not authentic, or not of this attestation.",
            )
        ledger.passed(GUEST)
        _certified(ledger, attestation)
        claims = _JUDGES[variant](ledger, attestation, evidence.claims)
    except CheckFailedError:
        pass
    open_ones = _NOT_PROVEN[variant] if claims is not None else ()
    return LogResult(
        ledger=ledger.close(), may_be_open=frozenset(), not_proven=open_ones, unsigned=(), _claims=claims
    )


def _snp(ledger: LedgerBuilder, found: Attestation, claims: Any) -> GuestClaims:
    _same(ledger, SNP_REPORT_DATA, claims.report_data == found.report_data, "The report holds other data.")
    document = found.document.encode()
    _same(
        ledger,
        SNP_HOST_DATA,
        claims.host_data == host_data(document),
        "The host committed to another configuration document.",
    )
    system, _ = _system(ledger, found.runtime)
    try:
        check_document(document, system)
    except EvidenceError as error:
        raise ledger.fail(SNP_DOCUMENT, SNP_DOCUMENT.id, error.message) from error
    ledger.passed(SNP_DOCUMENT)
    return GuestClaims(found.variant, system, (), None, pinned_by(document))


def _enclave(ledger: LedgerBuilder, found: Attestation, claims: Any) -> GuestClaims:
    ledger.extend(nitro.compare_parts("nitro", found.report_data, found.config, claims))
    return GuestClaims(found.variant, None, (), nitro.os_image_hash(claims))


def _nitro_tpm(ledger: LedgerBuilder, found: Attestation, claims: Any) -> GuestClaims:
    same = claims.user_data == found.report_data
    _same(ledger, nitro.NITRO_REPORT_DATA, same, "The report data are not the document's user data.")
    pcrs = claims.pcrs
    _lane(ledger, NITRO_TPM_EVENTS, found.runtime, pcrs.get(EVENT_PCR), hashlib.sha384)
    system, later = _system(ledger, found.runtime)
    _configured(ledger, system, pcrs.get(CONFIG_PCR))
    image = _boot_image(ledger, found.config, [pcrs[index] for index in BOOT_PCRS if index in pcrs])
    return GuestClaims(found.variant, system, later, image, _BY_EVENTS)


def _gcp(ledger: LedgerBuilder, found: Attestation, claims: Any) -> GuestClaims:
    quote, td = claims.tpm, claims.td
    _same(ledger, GCP_REPORT_DATA, td.report_data == found.report_data, "The TDX quote holds other data.")
    same = quote.extra_data == hashlib.sha256(found.evidence).digest()
    _same(ledger, GCP_QUOTE, same, "The virtual TPM's quote is about something else than the TDX quote.")
    _lane(ledger, GCP_RTMR3, found.runtime, td.rtmrs[RUNTIME_REGISTER], hashlib.sha384)
    _lane(ledger, GCP_EVENTS, found.runtime, quote.pcrs.get(EVENT_PCR), hashlib.sha256)
    system, later = _system(ledger, found.runtime)
    events = found.tpm.events if found.tpm is not None else ()
    _booted(ledger, events, quote.pcrs)
    return GuestClaims(found.variant, system, later, None, _BY_EVENTS)


def _booted(ledger: LedgerBuilder, events: tuple[tuple[int, bytes], ...], pcrs: Mapping[int, bytes]) -> None:
    if not events:
        ledger.not_applicable(GCP_BOOT, "the attestation carries no boot events")
        return
    for index in sorted({index for index, _ in events}):
        made = _replayed((digest for at, digest in events if at == index), hashlib.sha256)
        if pcrs.get(index) != made:
            raise ledger.fail(GCP_BOOT, GCP_BOOT.id, f"The boot events do not make PCR{index}.")
    ledger.passed(GCP_BOOT)


_JUDGES: Final[dict[str, Callable[[LedgerBuilder, Attestation, Any], GuestClaims]]] = {
    "sev-snp": _snp,
    "nitro-enclave": _enclave,
    "aws-nitro-tpm": _nitro_tpm,
    "gcp-tdx": _gcp,
}
_KIND_OF_IMAGE: Final = "Whether the operating system is a development image, whose root account is open."
_NOT_PROVEN: Final = {
    "sev-snp": (
        _KIND_OF_IMAGE,
        "What the application did after boot: SEV-SNP has no register that a guest could measure it into.",
        "Which operating system booted: the launch measurement has to be compared with reference values.",
    ),
    "nitro-enclave": (
        "What the guest's events say: an enclave has no register that dstack measures them into.",
    ),
    "aws-nitro-tpm": (_KIND_OF_IMAGE,),
    "gcp-tdx": (
        _KIND_OF_IMAGE,
        "That the virtual TPM is this machine's: it is the host's, and only its nonce ties it to the TD.",
    ),
}


def _certified(ledger: LedgerBuilder, found: Attestation) -> None:
    """Check that the report data, which the evidence has to hold, are about the certificate's key."""
    if found.spki is None:
        ledger.not_applicable(checks.CERTIFICATE, "the attestation did not come in a certificate")
        return
    same = found.report_data == tagged(Tag.RATLS_CERT, found.spki)
    _same(
        ledger, checks.CERTIFICATE, same, "The attestation was made for another key than the certificate's."
    )


def _same(ledger: LedgerBuilder, spec: CheckSpec, holds: bool, reason: str) -> None:  # noqa: FBT001 - the point
    if not holds:
        raise ledger.fail(spec, spec.id, reason)
    ledger.passed(spec)


def _lane(
    ledger: LedgerBuilder,
    spec: CheckSpec,
    events: Iterable[DstackEvent],
    register: bytes | None,
    algorithm: Callable[..., Any],
) -> None:
    """Check that runtime events make a register that hashes with ``algorithm``."""
    try:
        made = _replayed((algorithm(event.rebuilt_preimage()).digest() for event in events), algorithm)
    except EvidenceError as error:
        raise ledger.fail(spec, error.code, error.message) from error
    _same(ledger, spec, register == made, "The runtime events do not make the register.")


def _replayed(digests: Iterable[bytes], algorithm: Callable[..., Any]) -> bytes:
    value = bytes(algorithm().digest_size)
    for digest in digests:
        value = algorithm(value + digest).digest()
    return value


def _system(
    ledger: LedgerBuilder, events: Iterable[DstackEvent]
) -> tuple[SystemEvents, tuple[AppEvent, ...]]:
    before, later = order.split_at_ready(events)
    steps: tuple[tuple[CheckSpec, Callable[[], Any]], ...] = (
        (checks.UNIQUE, lambda: order.check_unique(before, later)),
        (checks.ORDER, lambda: order.check_order(before)),
        (checks.SYSTEM, lambda: read_system_events(before)),
    )
    found: Any = None
    for spec, step in steps:
        try:
            found = step()
        except EvidenceError as error:
            raise ledger.fail(spec, error.code, error.message) from error
        ledger.passed(spec)
    return found, tuple([AppEvent(event.name, event.payload) for event in later])


def _configured(ledger: LedgerBuilder, system: SystemEvents, register: bytes | None) -> None:
    if register is None or not any(register):
        ledger.not_applicable(NITRO_TPM_CONFIG, "the guest measured no configuration into PCR8")
        return
    provider = system.key_provider
    value = value_v2(system.compose_hash, system.app_id, provider.kind, provider.id)
    made = hashlib.sha384(bytes(48) + value).digest()
    _same(ledger, NITRO_TPM_CONFIG, register == made, "PCR8 commits to another application.")


def _boot_image(ledger: LedgerBuilder, config: str, registers: list[bytes]) -> bytes | None:
    """Return the image that the configuration names, if its measurement makes the registers."""
    try:
        document = vm_document(config.encode())
        stated, measured = document.get("os_image_hash"), document.get("aws_measurement")
        if measured is None:
            ledger.not_applicable(NITRO_TPM_IMAGE, "the configuration carries no measurement of the image")
            return None
        name, digest = _aws_measurement(measured)
    except EvidenceError as error:
        raise ledger.fail(NITRO_TPM_IMAGE, NITRO_TPM_IMAGE.id, error.message) from error
    complete = len(registers) == len(BOOT_PCRS)
    same = (
        stated in (None, name.hex()) and complete and hashlib.sha256(b"".join(registers)).digest() == digest
    )
    _same(ledger, NITRO_TPM_IMAGE, same, "The registers show another image than the configuration names.")
    return name


def _aws_measurement(value: Any) -> tuple[bytes, bytes]:
    """Return the image's hash and the digest of its boot registers, from files that fit each other."""
    if type(value) is not dict or value.keys() != {"checksum_file", "measurement"}:
        refuse("nitro_tpm.image", "The measurement document does not have the members of its version.")
    checksums = unbase64(value["checksum_file"], "The checksum file", "nitro_tpm.image")
    measurement = unbase64(value["measurement"], "The measurement", "nitro_tpm.image")
    if parse_checksums(checksums).get(_AWS_FILE) != hashlib.sha256(measurement).digest():
        refuse("nitro_tpm.image", "The measurement is not the one that the checksum file lists.")
    found = cbor.decode(measurement, max_bytes=_MAX_MEASUREMENT_BYTES)
    digest = found.get("boot_pcr_digest") if type(found) is dict else None
    if type(digest) is not bytes or found.keys() != {"boot_pcr_digest"}:
        refuse("nitro_tpm.image", "The measurement does not have the members of its version.")
    return hashlib.sha256(checksums).digest(), digest
