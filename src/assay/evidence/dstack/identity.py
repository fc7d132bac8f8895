"""Verification of a dstack guest's identity against an authentic TDX quote.

The order matters: the quote authenticates the registers, the log has to make the registers, and only then its
events mean something. Within RTMR3 the same holds: digests are recomputed from names and payloads, the events
before ``system-ready`` are dstack's own, unique and in order, and what follows is the application's.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from assay.errors import EvidenceError
from assay.evidence.dstack import checks, order
from assay.evidence.dstack.claims import AppEvent, DstackClaims
from assay.evidence.dstack.config_id import ConfigForm, check_committed, form_of
from assay.evidence.dstack.eventjson import parse_event_log
from assay.evidence.dstack.events import RUNTIME_REGISTER
from assay.evidence.dstack.expectations import check_expectations
from assay.evidence.dstack.image import check_image
from assay.evidence.dstack.os_image import known_form
from assay.evidence.dstack.report_data import Tag, read_key_attestation, tagged
from assay.evidence.dstack.system import read_system_events
from assay.evidence.dstack.vm_config import parse_vm_config
from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.ccel import CcelEvent
from assay.evidence.eventlog.kinds import EventType
from assay.evidence.eventlog.payload import CAPTION, Coverage, binding
from assay.evidence.eventlog.replay import replay_rtmrs
from assay.evidence.eventlog.result import LogResult
from assay.evidence.ledger import CheckFailedError, LedgerBuilder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.evidence.dstack.claims import Expectations
    from assay.evidence.dstack.events import DstackEvent
    from assay.evidence.dstack.presented import Presented
    from assay.evidence.dstack.system import SystemEvents
    from assay.evidence.dstack.vm_config import VmConfig
    from assay.evidence.tdx.claims import TdxClaims
    from assay.evidence.verification import EvidenceResult

_ZERO_REGISTER = bytes(48)


def verify_identity(
    quote: EvidenceResult[TdxClaims], presented: Presented, *, expected: Expectations
) -> LogResult[DstackClaims]:
    """Verify who a dstack guest is. Never raises for bad evidence.

    Args:
        quote: The result of verifying the TDX quote of the same guest.
        presented: What the guest presented beside it.
        expected: What the caller knows; open expectations stand in the ledger as ``not_checked``.
    """
    ledger = LedgerBuilder(checks.CHECKS)
    claims: DstackClaims | None = None
    try:
        td = _check_td(ledger, quote)
        events = _check_log(ledger, presented)
        config = _vm_config(ledger, presented)
        boot = _check_events(ledger, events)
        _check_replay(ledger, td, events, config)
        identified = _identify(ledger, td, events, presented, config)
        claims = identified if _stripped(events) else replace(identified, boot_events=boot)
        check_expectations(ledger, claims, expected)
    except CheckFailedError:
        pass
    return LogResult(
        ledger=ledger.close(),
        may_be_open=checks.MAY_BE_OPEN,
        not_proven=_not_proven(claims, presented) if claims is not None else (),
        unsigned=(),
        _claims=claims,
    )


def _check_td(ledger: LedgerBuilder, quote: EvidenceResult[TdxClaims]) -> TdxClaims:
    if not quote.authentic:
        raise ledger.fail(
            checks.QUOTE,
            "dstack.quote.unauthenticated",
            "The quote is not authentic, so its registers prove nothing.",
        )
    td = quote.claims
    ledger.passed(checks.QUOTE)
    if td.debug:
        raise ledger.fail(
            checks.DEBUG,
            "dstack.td.debug",
            "The TD can be debugged: its host can rewrite what it measures and says.",
        )
    ledger.passed(checks.DEBUG)
    if any(td.mr_signer_seam) or any(td.mr_service_td or b""):
        raise ledger.fail(
            checks.SERVICE,
            "dstack.td.service",
            "The TDX module is not Intel's, or a service TD is bound to the TD.",
        )
    ledger.passed(checks.SERVICE)
    return td


def _check_log(ledger: LedgerBuilder, presented: Presented) -> tuple[DstackEvent, ...]:
    log = presented.log
    try:
        events = parse_event_log(log) if isinstance(log, bytes) else log
    except EvidenceError as error:
        raise ledger.fail(checks.LAYOUT, error.code, error.message) from error
    ledger.passed(checks.LAYOUT)
    return events


def _vm_config(ledger: LedgerBuilder, presented: Presented) -> VmConfig | None:
    if presented.vm_config is None:
        ledger.not_applicable(checks.VM_CONFIG, "no VM configuration was presented")
        return None
    try:
        config = parse_vm_config(presented.vm_config)
    except EvidenceError as error:
        raise ledger.fail(checks.VM_CONFIG, error.code, error.message) from error
    ledger.passed(checks.VM_CONFIG)
    return config


def _check_events(ledger: LedgerBuilder, events: Sequence[DstackEvent]) -> tuple[CcelEvent, ...]:
    """Check what can be checked of each event alone, and return those of the boot with their bindings."""
    try:
        order.check_registers(events)
    except EvidenceError as error:
        raise ledger.fail(checks.REGISTERS, error.code, error.message) from error
    ledger.passed(checks.REGISTERS)
    boot = tuple(_boot_event(event) for event in events if event.register < RUNTIME_REGISTER)
    for event in boot:
        if event.binding.coverage is Coverage.CONTRADICTED:
            raise ledger.fail(
                checks.PAYLOAD,
                "dstack.event.payload",
                f"A boot event in RTMR{event.register} has a payload that its digest is not the hash of.",
            )
    ledger.passed(checks.PAYLOAD)
    return boot


def _boot_event(event: DstackEvent) -> CcelEvent:
    # Guests strip payloads: an empty one is a caption, whatever its type says.
    bound = binding(event.kind, event.payload, event.digest, Algorithm.SHA384) if event.payload else CAPTION
    return CcelEvent(event.register, event.kind, event.digest, event.payload, bound)


def _check_replay(
    ledger: LedgerBuilder, td: TdxClaims, events: Sequence[DstackEvent], config: VmConfig | None
) -> None:
    try:
        extensions = [
            (event.register, event.recomputed_digest() if event.runtime else event.digest) for event in events
        ]
    except EvidenceError as error:
        raise ledger.fail(checks.DIGEST, error.code, error.message) from error
    ledger.passed(checks.DIGEST)
    replayed = replay_rtmrs(extensions)
    stripped = _stripped(events)
    explained = config is not None and known_form(config.measurement)
    for register, spec in enumerate(checks.REPLAY):
        if register < RUNTIME_REGISTER and stripped:
            if explained:
                ledger.not_applicable(
                    spec, f"the log is without boot events; see {checks.IMAGE_RTMR[register].id}"
                )
            else:
                ledger.not_checked(spec, "dstack.log.stripped", "the log is without boot events")
        elif replayed[register] == td.rtmrs[register]:
            ledger.passed(spec)
        else:
            ledger.failed(
                spec,
                "dstack.log.replay.mismatch",
                f"The log makes another RTMR{register} than the one in the quote.",
            )
    if replayed[RUNTIME_REGISTER] != td.rtmrs[RUNTIME_REGISTER]:
        raise CheckFailedError("dstack.log.replay.mismatch", "The log makes another RTMR3 than the quote's.")


def _stripped(events: Sequence[DstackEvent]) -> bool:
    """Tell whether the guest left its boot events out, but for the ACPI digests, which it keeps."""
    return all(
        event.register == RUNTIME_REGISTER
        or (event.register == 0 and event.kind == EventType.PLATFORM_CONFIG_FLAGS)
        for event in events
    )


def _identify(
    ledger: LedgerBuilder,
    td: TdxClaims,
    events: Sequence[DstackEvent],
    presented: Presented,
    config: VmConfig | None,
) -> DstackClaims:
    system, app_events = _system(ledger, events)
    form = _check_config_id(ledger, td, system, config)
    _check_compose(ledger, system, presented.app_compose)
    image = check_image(ledger, td, events, system, config, presented.image_metadata)
    claims = DstackClaims(
        app_id=system.app_id,
        compose_hash=system.compose_hash,
        instance_id=system.instance_id,
        key_provider=system.key_provider,
        config_form=form,
        image=image,
        system=system,
        app_events=app_events,
        mr_system=_mr_system(td, system.key_provider_payload),
        mr_aggregated=_mr_aggregated(td),
        report_data=td.report_data,
        key_attestation=read_key_attestation(td.report_data),
    )
    _check_stated(ledger, td, claims, presented)
    _check_certificate(ledger, td, presented.spki)
    return claims


def _system(
    ledger: LedgerBuilder, events: Sequence[DstackEvent]
) -> tuple[SystemEvents, tuple[AppEvent, ...]]:
    before, later = order.split_at_ready(event for event in events if event.runtime)
    try:
        order.check_unique(before, later)
    except EvidenceError as error:
        raise ledger.fail(checks.UNIQUE, error.code, error.message) from error
    ledger.passed(checks.UNIQUE)
    try:
        order.check_order(before)
    except EvidenceError as error:
        raise ledger.fail(checks.ORDER, error.code, error.message) from error
    ledger.passed(checks.ORDER)
    try:
        system = read_system_events(before)
    except EvidenceError as error:
        raise ledger.fail(checks.SYSTEM, error.code, error.message) from error
    ledger.passed(checks.SYSTEM)
    return system, tuple(AppEvent(event.name, event.payload) for event in later)


def _check_config_id(
    ledger: LedgerBuilder, td: TdxClaims, system: SystemEvents, config: VmConfig | None
) -> ConfigForm:
    document = config.mr_config if config is not None else None
    try:
        form = form_of(td.mr_config_id, system.compose_hash)
        if form is ConfigForm.V3 and document is None:
            ledger.not_checked(
                checks.CONFIG_ID,
                "dstack.mr_config_id.no_document",
                "MR_CONFIG_ID is the hash of a document that was not presented",
            )
            return form
        check_committed(td.mr_config_id, form, system, document)
    except EvidenceError as error:
        raise ledger.fail(checks.CONFIG_ID, error.code, error.message) from error
    if form is ConfigForm.UNSET:
        ledger.not_applicable(checks.CONFIG_ID, "the host set no MR_CONFIG_ID")
    else:
        ledger.passed(checks.CONFIG_ID)
    return form


def _check_compose(ledger: LedgerBuilder, system: SystemEvents, compose: bytes | None) -> None:
    if compose is None:
        ledger.not_checked(checks.COMPOSE, "dstack.compose.absent", "no compose document was presented")
    elif hashlib.sha256(compose).digest() != system.compose_hash:
        raise ledger.fail(
            checks.COMPOSE,
            "dstack.compose.hash",
            "The compose document is not the one that the guest measured.",
        )
    else:
        ledger.passed(checks.COMPOSE)


def _check_stated(ledger: LedgerBuilder, td: TdxClaims, claims: DstackClaims, presented: Presented) -> None:
    if not presented.stated:
        ledger.not_applicable(checks.STATED, "the answer states nothing beside its evidence")
        return
    found = {
        "mr_td": td.mr_td,
        "rtmr0": td.rtmrs[0],
        "rtmr1": td.rtmrs[1],
        "rtmr2": td.rtmrs[2],
        "rtmr3": td.rtmrs[3],
        "mr_aggregated": claims.mr_aggregated,
        "compose_hash": claims.compose_hash,
        "app_id": claims.app_id,
        "instance_id": claims.instance_id,
        "key_provider_info": claims.system.key_provider_payload,
        "report_data": td.report_data,
    }
    for name, value in presented.stated.items():
        if found.get(name) != value:
            raise ledger.fail(
                checks.STATED, f"dstack.stated.{name}", f"The answer states another {name} than its evidence."
            )
    ledger.passed(checks.STATED)


def _check_certificate(ledger: LedgerBuilder, td: TdxClaims, spki: bytes | None) -> None:
    if spki is None:
        ledger.not_applicable(checks.CERTIFICATE, "the quote did not come in a certificate")
    elif td.report_data != tagged(Tag.RATLS_CERT, spki):
        raise ledger.fail(
            checks.CERTIFICATE,
            "dstack.certificate.key",
            "The quote was made for another key than the certificate's.",
        )
    else:
        ledger.passed(checks.CERTIFICATE)


def _mr_system(td: TdxClaims, key_provider: bytes) -> bytes:
    return hashlib.sha256(td.mr_td + b"".join(td.rtmrs[:3]) + hashlib.sha256(key_provider).digest()).digest()


def _mr_aggregated(td: TdxClaims) -> bytes:
    configuration = (td.mr_config_id, td.mr_owner, td.mr_owner_config)
    measured = td.mr_td + b"".join(td.rtmrs)
    if any(register != _ZERO_REGISTER for register in configuration):
        measured += b"".join(configuration)
    return hashlib.sha256(measured).digest()


def _not_proven(claims: DstackClaims, presented: Presented) -> tuple[str, ...]:
    said = []
    if claims.image.os_image_hash is None:
        said.append(
            "Which operating system wrote these events: no measurement document explains MRTD and RTMR0 to"
            " RTMR2, so they have to be compared with reference values."
        )
    else:
        said.append("The ACPI tables were measured, but nothing here says that they are harmless.")
        if claims.image.key_server_hash not in (None, claims.image.os_image_hash):
            said.append("The key server named the image by another hash than its measurement document does.")
    if claims.image.is_dev is None:
        said.append("That the image is one for production: " + claims.image.is_dev_reason)
    if presented.spki is not None:
        said.append(
            "That anybody holds the certificate's key now: it was not proven in this session, and the quote"
            " can be as old as the certificate."
        )
    return tuple(said)
