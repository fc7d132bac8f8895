"""dstack's VersionedAttestation, in so far as it carries TDX evidence.

Version 0 is SCALE, version 1 is MessagePack. Both hold a platform's evidence (for TDX: quote and event log),
the runtime events, report data and a configuration string. The runtime events stand there twice, in the event
log and beside it; they must be the same, for what is checked must be what is used.

Source: dstack 0.6.0, ``dstack-attest/src/attestation.rs`` (LegacyVersionedAttestation) and
``dstack-attest/src/v1.rs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.evidence.dstack import msgpack
from assay.evidence.dstack.events import MAX_EVENTS, DstackEvent
from assay.evidence.dstack.fields import refuse, unhex
from assay.evidence.dstack.report_data import REPORT_DATA_BYTES, Tag, tagged
from assay.evidence.dstack.scale import ScaleReader

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ATTESTATION_BYTES = 1024 * 1024
"""Largest attestation; dstack allows ten times that, real ones have less than 20 KiB."""
VARIANTS = ("tdx", "gcp-tdx", "nitro-enclave", "sev-snp", "aws-nitro-tpm")
V1_STACKS = ("dstack", "dstack-pod")
_EVENT_MEMBERS = frozenset({"imr", "event_type", "digest", "event", "event_payload"})
_EVENT_OPTIONS = frozenset({"version", "preimage"})


@dataclass(frozen=True, slots=True)
class TdxAttestation:
    """The TDX evidence of an attestation; nothing in it is authenticated.

    Attributes:
        quote: The TDX quote.
        events: The event log; firmware events are usually stripped from it.
        report_data: 64 bytes that the quote should hold.
        config: JSON: the VM configuration, or a system configuration that embeds it.
    """

    quote: bytes
    events: tuple[DstackEvent, ...]
    report_data: bytes
    config: str


def parse_attestation(data: bytes) -> TdxAttestation:
    """Parse an attestation of version 0 or 1.

    Raises:
        EvidenceError: ``dstack.attestation.variant`` when it is of another platform, which its sentence
            names; ``dstack.attestation.*``, ``dstack.scale``, ``dstack.msgpack`` or ``dstack.log.*`` when it
            is malformed.
    """
    if len(data) > MAX_ATTESTATION_BYTES:
        refuse("attestation.size", f"The attestation has more than {MAX_ATTESTATION_BYTES} bytes.")
    if not data:
        refuse("attestation.version", "The attestation is empty.")
    if data[0] == 0:
        return _version_0(ScaleReader(data))
    if 0x80 <= data[0] < 0x90 or data[0] in (0xDE, 0xDF):
        return _version_1(msgpack.unpack(data))
    return refuse("attestation.version", "The attestation is neither of version 0 nor of version 1.")


def _version_0(reader: ScaleReader) -> TdxAttestation:
    reader.byte()
    variant = reader.byte()
    if variant >= len(VARIANTS):
        refuse("attestation.variant", f"The attestation is of an unknown platform ({variant}).")
    _only_tdx(VARIANTS[variant])
    quote = reader.vector()
    events = tuple([_scale_event(reader) for _ in range(bounded(reader.compact()))])
    runtime = [(reader.text(), reader.vector()) for _ in range(bounded(reader.compact()))]
    report_data = reader.take(REPORT_DATA_BYTES)
    config = reader.text()
    reader.finish()
    _same_events(events, runtime)
    return TdxAttestation(quote, events, report_data, config)


def _scale_event(reader: ScaleReader) -> DstackEvent:
    register, kind = reader.u32(), reader.u32()
    digest, name, payload = reader.vector(), reader.text(), reader.vector()
    return DstackEvent(register, kind, name, payload, digest)


def _version_1(value: Any) -> TdxAttestation:
    top = members(value, {"version", "platform", "stack"})
    if type(top["version"]) is not int or top["version"] != 1:
        refuse("attestation.version", "The attestation is of a version after 1.")
    platform = members(top["platform"], {"kind", "data"})
    _only_tdx(platform["kind"])
    evidence = members(platform["data"], {"quote", "event_log"})
    stack = members(top["stack"], {"kind", "data"})
    if stack["kind"] not in V1_STACKS:
        refuse("attestation.stack", "The attestation is of an unknown stack.")
    names = {"report_data", "runtime_events", "config"}
    pod = stack["kind"] == "dstack-pod"
    said = members(stack["data"], names | {"report_data_payload"} if pod else names)
    events = tuple([_packed_event(event) for event in sequence(evidence["event_log"])])
    _same_events(events, [runtime_event(event) for event in sequence(said["runtime_events"])])
    report_data = byte_string(said["report_data"])
    if len(report_data) != REPORT_DATA_BYTES:
        refuse("attestation.report_data", "The attestation's report data does not have 64 bytes.")
    if pod and tagged(Tag.APP_DATA, text(said["report_data_payload"]).encode()) != report_data:
        refuse("attestation.report_data", "The attestation's report data is not the hash of its payload.")
    return TdxAttestation(byte_string(evidence["quote"]), events, report_data, text(said["config"]))


def _packed_event(value: Any) -> DstackEvent:
    if type(value) is not dict or not _EVENT_MEMBERS <= value.keys() <= _EVENT_MEMBERS | _EVENT_OPTIONS:
        refuse("log.member", "An event does not have the members of dstack's events.")
    preimage = value.get("preimage")
    return DstackEvent(
        register=_number(value["imr"]),
        kind=_number(value["event_type"]),
        name=text(value["event"]),
        payload=byte_string(value["event_payload"]),
        digest=byte_string(value["digest"]),
        version=_number(value.get("version", 1)),
        preimage=None if preimage is None else unhex(preimage, "A preimage", "log.preimage"),
    )


def runtime_event(value: Any) -> tuple[str, bytes]:
    """Return name and payload of one event of the list beside the log, as version 1 writes it."""
    if type(value) is not dict or not {"event", "payload"} <= value.keys() <= {"event", "payload", "version"}:
        refuse("log.member", "A runtime event does not have the members of dstack's events.")
    return text(value["event"]), byte_string(value["payload"])


def _same_events(events: Sequence[DstackEvent], runtime: Sequence[tuple[str, bytes]]) -> None:
    if [(event.name, event.payload) for event in events if event.runtime] != list(runtime):
        refuse("attestation.lists", "The attestation's two lists of runtime events differ.")


def _only_tdx(variant: Any) -> None:
    if variant != "tdx":
        known = variant if variant in VARIANTS else "unknown"
        refuse("attestation.variant", f"The attestation is of the platform {known}; only tdx is read here.")


def bounded(count: int) -> int:
    """Return a number of events that an attestation may have."""
    if count > MAX_EVENTS:
        refuse("log.events", f"The event log has more than {MAX_EVENTS} events.")
    return count


def members(value: Any, names: set[str]) -> dict[str, Any]:
    """Return an object that has exactly these members."""
    if type(value) is not dict or value.keys() != names:
        refuse("attestation.member", "The attestation does not have the members of its version.")
    return value


def sequence(value: Any) -> list[Any]:
    """Return an array of as many entries as there may be events."""
    if type(value) is not list:
        refuse("attestation.member", "A member of the attestation is not an array.")
    bounded(len(value))
    return value


def byte_string(value: Any) -> bytes:
    """Return bytes, which the encoder writes as a byte string or as an array of small numbers."""
    if type(value) is bytes:
        return value
    if type(value) is not list or not all(type(item) is int and item < 256 for item in value):
        refuse("attestation.member", "A member of the attestation is not bytes.")
    return bytes(value)


def text(value: Any) -> str:
    """Return a string."""
    if type(value) is not str:
        refuse("attestation.member", "A member of the attestation is not a string.")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        refuse("attestation.member", "A member of the attestation is not a number.")
    return value
