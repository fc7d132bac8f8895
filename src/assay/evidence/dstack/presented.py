"""The answers in which a dstack guest presents its evidence, taken apart.

Nothing in a ``Presented`` is authenticated. Its quote goes to the TDX verifier, and the result of that
together with the ``Presented`` to ``verify_identity``.

Source: dstack 0.6.0 guest agent (GetQuote, Info, Attest), dstack 0.3 to 0.5 (Tappd.TdxQuote, Tappd.Info).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assay.evidence.decoding import strictjson
from assay.evidence.dstack.attestation import TdxAttestation, parse_attestation
from assay.evidence.dstack.certificate import (
    Extension,
    RatlsCertificate,
    leaf_of_chain,
    parse_certificate,
    unpack_log,
)
from assay.evidence.dstack.eventjson import read_events
from assay.evidence.dstack.fields import refuse, text_member, unhex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.evidence.dstack.events import DstackEvent
    from assay.evidence.dstack.versioned import Attestation

MAX_ANSWER_BYTES = 4 * 1024 * 1024
_HEX_STATEMENTS = {
    "mrtd": "mr_td",
    "rtmr0": "rtmr0",
    "rtmr1": "rtmr1",
    "rtmr2": "rtmr2",
    "rtmr3": "rtmr3",
    "mr_aggregated": "mr_aggregated",
    "compose_hash": "compose_hash",
    "app_id": "app_id",
    "instance_id": "instance_id",
    "report_data": "report_data",
}


@dataclass(frozen=True, slots=True)
class Presented:
    """What a peer presented.

    Attributes:
        quote: The TDX quote.
        log: The event log, as JSON or already as events.
        app_compose: The raw application compose document, or None when it was not presented.
        vm_config: JSON of the VM configuration, or None.
        image_metadata: The image's ``metadata.json``, or None.
        spki: Key of the certificate that carried the quote, DER, or None when none did.
        stated: What the answer says beside its evidence, by name; compared, never used.
    """

    quote: bytes
    log: bytes | tuple[DstackEvent, ...]
    app_compose: bytes | None = None
    vm_config: bytes | None = None
    image_metadata: bytes | None = None
    spki: bytes | None = None
    stated: Mapping[str, bytes] = field(default_factory=dict)


def from_get_quote(data: bytes) -> Presented:
    """Take the JSON answer of GetQuote or TdxQuote apart.

    With a member ``attestation`` the other members are of no account and are not read.

    Raises:
        EvidenceError: ``json.*``, ``dstack.answer.*`` or the codes of ``parse_attestation``.
    """
    answer = strictjson.parse_object(data, max_bytes=MAX_ANSWER_BYTES)
    attestation = text_member(answer, "attestation", "answer.member")
    if attestation is not None:
        return from_attestation(unhex(attestation, "The attestation", "answer.member"))
    stated = _stated(answer, ("report_data",))
    config = text_member(answer, "vm_config", "answer.member")
    return Presented(
        quote=unhex(answer.get("quote"), "The quote", "answer.quote"),
        log=_encoded(answer.get("event_log"), "event_log"),
        vm_config=None if config is None else _encoded(config, "vm_config"),
        stated=stated,
    )


def from_attestation(data: bytes) -> Presented:
    """Take a VersionedAttestation apart; raises as ``parse_attestation`` does."""
    return _of_attestation(parse_attestation(data), None)


def from_versioned(found: Attestation) -> Presented:
    """Take what ``open_attestation`` found apart; of TDX alone."""
    evidence = TdxAttestation(found.evidence, found.log, found.report_data, found.config)
    return _of_attestation(evidence, found.spki)


def from_certificate(certificate: bytes) -> Presented:
    """Take a DER certificate with RA-TLS extensions apart.

    Raises:
        EvidenceError: ``dstack.certificate.no_quote`` when it carries no evidence; the codes of
            ``parse_certificate``, ``unpack_log`` and ``parse_attestation``.
    """
    parsed = parse_certificate(certificate)
    attestation = parsed.extensions.get(Extension.ATTESTATION)
    if attestation is not None:
        return _of_attestation(parse_attestation(attestation), parsed.spki)
    log = parsed.extensions.get(Extension.EVENT_LOG)
    if log is None:
        refuse("certificate.no_log", "The certificate carries no event log.")
    return Presented(quote=_quote_of(parsed), log=unpack_log(log), spki=parsed.spki)


def from_info(data: bytes) -> Presented:
    """Take the JSON answer of Info apart: quote in ``app_cert``, log and compose document in ``tcb_info``.

    Raises:
        EvidenceError: ``json.*``, ``dstack.answer.*``, ``dstack.log.*`` or ``dstack.certificate.*``.
    """
    answer = strictjson.parse_object(data, max_bytes=MAX_ANSWER_BYTES)
    tcb = _tcb(answer.get("tcb_info"))
    certificate = parse_certificate(leaf_of_chain(_encoded(answer.get("app_cert"), "app_cert")))
    attestation = certificate.extensions.get(Extension.ATTESTATION)
    quote = parse_attestation(attestation).quote if attestation is not None else _quote_of(certificate)
    config = text_member(answer, "vm_config", "answer.member")
    return Presented(
        quote=quote,
        log=read_events(tcb.get("event_log")),
        app_compose=_compose(tcb),
        vm_config=None if config is None else _encoded(config, "vm_config"),
        spki=certificate.spki,
        stated={**_stated(tcb, _HEX_STATEMENTS), **_stated_info(answer, tcb)},
    )


def from_tcb_info(data: bytes, quote: bytes) -> Presented:
    """Take a stored ``tcb_info`` document apart that belongs to a quote kept beside it.

    Raises:
        EvidenceError: ``json.*``, ``dstack.answer.*`` or ``dstack.log.*``.
    """
    tcb = strictjson.parse_object(data, max_bytes=MAX_ANSWER_BYTES)
    return Presented(
        quote=quote,
        log=read_events(tcb.get("event_log")),
        app_compose=_compose(tcb),
        stated=_stated(tcb, _HEX_STATEMENTS),
    )


def _of_attestation(found: TdxAttestation, spki: bytes | None) -> Presented:
    return Presented(
        quote=found.quote,
        log=found.events,
        vm_config=found.config.encode() or None,
        spki=spki,
        stated={"report_data": found.report_data},
    )


def _quote_of(certificate: RatlsCertificate) -> bytes:
    quote = certificate.extensions.get(Extension.QUOTE)
    if quote is None:
        refuse("certificate.no_quote", "The certificate carries neither an attestation nor a quote.")
    return quote


def _tcb(stated: Any) -> dict[str, Any]:
    """Read ``tcb_info``: JSON in a string, as the guest answers, or an object, as its SDKs hand it on."""
    if type(stated) is dict:
        return stated
    return strictjson.parse_object(_encoded(stated, "tcb_info"), max_bytes=MAX_ANSWER_BYTES)


def _compose(tcb: dict[str, Any]) -> bytes | None:
    compose = text_member(tcb, "app_compose", "answer.member")
    return None if compose is None else _encoded(compose, "app_compose")


def _stated(document: Mapping[str, Any], names: Any) -> dict[str, bytes]:
    """Read the hexadecimal statements of a document; absent and empty ones state nothing."""
    found = {}
    for name in names:
        text = text_member(document, name, "answer.member")
        if text is not None:
            found[_HEX_STATEMENTS[name]] = unhex(text, f"Member {name}", "answer.member")
    return found


def _stated_info(answer: dict[str, Any], tcb: dict[str, Any]) -> dict[str, bytes]:
    found = _stated(answer, ("app_id", "instance_id", "mr_aggregated", "compose_hash"))
    for name, value in _stated(tcb, found.keys() & _HEX_STATEMENTS.keys()).items():
        if found[name] != value:
            refuse("answer.contradiction", f"The answer states two values of {name}.")
    provider = text_member(answer, "key_provider_info", "answer.member")
    if provider is not None:
        found["key_provider_info"] = _encoded(provider, "key_provider_info")
    return found


def _encoded(text: Any, name: str) -> bytes:
    if type(text) is not str:
        refuse("answer.member", f"Member {name} of the answer is not a string.")
    try:
        return text.encode()
    except UnicodeEncodeError:
        refuse("answer.member", f"Member {name} of the answer is not valid Unicode.")
