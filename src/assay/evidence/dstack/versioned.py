"""dstack's VersionedAttestation, whole: what each platform's guest sends, in both of its encodings.

Version 0 is SCALE: ``00``, the number of the platform in ``VARIANTS``, its evidence, runtime events, report
data (64 bytes) and a configuration. Version 1 is MessagePack with the same parts under names. The evidence:

    tdx             TDX quote, event log
    gcp-tdx         TDX quote, event log, quote of Google's virtual TPM
    nitro-enclave   Nitro document
    sev-snp         SNP report, certificates, configuration document
    aws-nitro-tpm   NitroTPM document

A TPM quote holds TPMS_ATTEST, TPMT_SIGNATURE, PCR values, the attestation key's certificate and the digests
of boot events. Where evidence has an event log, the runtime events stand there twice, and must be the same:
what is checked must be what is used. Nothing that is read here is authenticated.

Source: dstack 0.6.0, ``dstack-attest/src/attestation.rs`` (LegacyVersionedAttestation),
``dstack-attest/src/v1.rs`` and ``tpm-types/src/lib.rs`` (TpmQuote).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from assay.evidence.dstack import msgpack
from assay.evidence.dstack.events import (
    MAX_EVENTS,
    RUNTIME_EVENT_TYPE,
    RUNTIME_REGISTER,
    DstackEvent,
)
from assay.evidence.dstack.fields import refuse, unhex
from assay.evidence.dstack.report_data import REPORT_DATA_BYTES, Tag, tagged
from assay.evidence.dstack.scale import ScaleReader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

MAX_ATTESTATION_BYTES: Final = 1024 * 1024
"""Largest attestation; dstack allows ten times that, real ones have less than 20 KiB."""
VARIANTS: Final = ("tdx", "gcp-tdx", "nitro-enclave", "sev-snp", "aws-nitro-tpm")
"""The platforms, by their number in version 0."""
MAX_CERTIFICATES: Final = 8
MAX_PCRS: Final = 24
_PCR_BYTES: Final = 32
_BANK: Final = "sha256"
_PLATFORMS: Final = ("dstack", "gcp", "nitroenclave", "aws-ec2")
_DOCUMENTS: Final = {"nitro-enclave": "nsm_quote", "aws-nitro-tpm": "attestation_doc"}
_STACKS: Final = ("dstack", "dstack-pod")
_LONG: Final = (1, 2)
"""Modes of a SCALE length of 64 bytes or more: all evidence is longer."""
_FIRST_MEMBERS: Final = (b"\xa7version", b"\xa8platform", b"\xa5stack")
_EVENT_MEMBERS: Final = frozenset({"imr", "event_type", "digest", "event", "event_payload"})
_EVENT_OPTIONS: Final = frozenset({"version", "preimage"})


@dataclass(frozen=True, slots=True)
class BootTpm:
    """The quote of Google's virtual TPM beside a TDX quote.

    Attributes:
        message: TPMS_ATTEST.
        signature: TPMT_SIGNATURE.
        pcrs: Values of the SHA-256 bank by index, 32 bytes each.
        certificate: The attestation key's certificate, DER.
        events: PCR index and SHA-256 digest of boot events, in order.
    """

    message: bytes
    signature: bytes
    pcrs: Mapping[int, bytes]
    certificate: bytes
    events: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Attestation:
    """An attestation, taken apart.

    Attributes:
        variant: Which platform's: one of ``VARIANTS``.
        evidence: The quote, report or document.
        log: The event log of a TDX guest; firmware events are usually stripped from it.
        runtime: The runtime events, in order.
        report_data: 64 bytes that the evidence should hold.
        config: JSON: the VM configuration, or a system configuration that embeds it.
        tpm: The virtual TPM's quote; of ``gcp-tdx`` alone.
        certificates: Certificates as they were sent, DER or PEM; of ``sev-snp`` alone.
        document: The configuration document that HOST_DATA commits to; of ``sev-snp`` alone.
        spki: Key of the certificate that carried it, DER, or None when none did.
    """

    variant: str
    evidence: bytes
    log: tuple[DstackEvent, ...]
    runtime: tuple[DstackEvent, ...]
    report_data: bytes
    config: str
    tpm: BootTpm | None = None
    certificates: tuple[bytes, ...] = ()
    document: str = ""
    spki: bytes | None = None


def looks_versioned(data: bytes) -> bool:
    """Tell whether bytes begin like an attestation of either version; it routes and proves nothing."""
    if data[:1] == b"\0":
        return len(data) > REPORT_DATA_BYTES and data[1] < len(VARIANTS) and data[2] & 3 in _LONG
    return data[:1] == b"\x83" and data[1:].startswith(_FIRST_MEMBERS)


def open_attestation(data: bytes, *, variants: Collection[str] = VARIANTS) -> Attestation:
    """Parse an attestation of version 0 or 1.

    Args:
        data: The attestation, at most 1 MiB.
        variants: The platforms that the caller can read; of others nothing but the name is looked at.

    Raises:
        EvidenceError: ``dstack.attestation.variant`` when it is of a platform not among ``variants``, which
            its sentence names; ``dstack.attestation.*``, ``dstack.scale``, ``dstack.msgpack`` or
            ``dstack.log.*`` when it is malformed.
    """
    if len(data) > MAX_ATTESTATION_BYTES:
        refuse("attestation.size", f"The attestation has more than {MAX_ATTESTATION_BYTES} bytes.")
    if not data:
        refuse("attestation.version", "The attestation is empty.")
    if data[0] == 0:
        return _version_0(ScaleReader(data), variants)
    if 0x80 <= data[0] < 0x90 or data[0] in (0xDE, 0xDF):
        return _version_1(msgpack.unpack(data), variants)
    return refuse("attestation.version", "The attestation is neither of version 0 nor of version 1.")


def _named(variant: Any, variants: Collection[str]) -> str:
    if type(variant) is not str or variant not in VARIANTS:
        _other("unknown", variants)
    if variant not in variants:
        _other(variant, variants)
    return variant


def _other(variant: str, variants: Collection[str]) -> NoReturn:
    refuse(
        "attestation.variant",
        f"The attestation is of the platform {variant}; only {' and '.join(variants)} is read here.",
    )


# --- version 0


def _version_0(reader: ScaleReader, variants: Collection[str]) -> Attestation:
    reader.byte()
    number = reader.byte()
    variant = _named(VARIANTS[number] if number < len(VARIANTS) else None, variants)
    evidence = reader.vector()
    log: tuple[DstackEvent, ...] = ()
    certificates: tuple[bytes, ...] = ()
    document, tpm = "", None
    if variant in ("tdx", "gcp-tdx"):
        log = tuple([_scale_event(reader) for _ in range(_bounded(reader.compact()))])
    if variant == "gcp-tdx":
        tpm = _scale_tpm(reader)
    if variant == "sev-snp":
        certificates = tuple(
            [reader.vector() for _ in range(_bounded(reader.compact(), MAX_CERTIFICATES, "certificates"))]
        )
        document = reader.text()
    runtime = [_runtime(reader.text(), reader.vector()) for _ in range(_bounded(reader.compact()))]
    report_data = reader.take(REPORT_DATA_BYTES)
    config = reader.text()
    reader.finish()
    if variant in ("tdx", "gcp-tdx"):
        _same_events(log, runtime)
    return Attestation(
        variant, evidence, log, tuple(runtime), report_data, config, tpm, certificates, document
    )


def _scale_event(reader: ScaleReader) -> DstackEvent:
    register, kind = reader.u32(), reader.u32()
    digest, name, payload = reader.vector(), reader.text(), reader.vector()
    return DstackEvent(register, kind, name, payload, digest)


def _scale_tpm(reader: ScaleReader) -> BootTpm:
    message, signature = reader.vector(), reader.vector()
    count = _bounded(reader.compact(), MAX_PCRS, "PCR values")
    values = [(reader.u32(), reader.text(), reader.vector()) for _ in range(count)]
    certificate = reader.vector()
    platform = reader.byte()
    events = [(reader.u32(), reader.vector()) for _ in range(_bounded(reader.compact()))]
    name = _PLATFORMS[platform] if platform < len(_PLATFORMS) else None
    return _tpm(message, signature, values, certificate, name, events)


# --- version 1


def _version_1(value: Any, variants: Collection[str]) -> Attestation:
    top = _members(value, {"version", "platform", "stack"})
    if type(top["version"]) is not int or top["version"] != 1:
        refuse("attestation.version", "The attestation is of a version after 1.")
    platform = _members(top["platform"], {"kind", "data"})
    variant = _named(platform["kind"], variants)
    stack = _members(top["stack"], {"kind", "data"})
    if stack["kind"] not in _STACKS:
        refuse("attestation.stack", "The attestation is of an unknown stack.")
    names = {"report_data", "runtime_events", "config"}
    pod = stack["kind"] == "dstack-pod"
    said = _members(stack["data"], names | {"report_data_payload"} if pod else names)
    report_data = _byte_string(said["report_data"])
    if len(report_data) != REPORT_DATA_BYTES:
        refuse("attestation.report_data", "The attestation's report data does not have 64 bytes.")
    if pod and tagged(Tag.APP_DATA, _text(said["report_data_payload"]).encode()) != report_data:
        refuse("attestation.report_data", "The attestation's report data is not the hash of its payload.")
    runtime = tuple([_runtime_event(event) for event in _sequence(said["runtime_events"])])
    found = _evidence(variant, platform["data"], runtime)
    return Attestation(runtime=runtime, report_data=report_data, config=_text(said["config"]), **found)


def _evidence(variant: str, data: Any, runtime: Sequence[DstackEvent]) -> dict[str, Any]:
    """Return what is of one platform alone."""
    found: dict[str, Any] = {"variant": variant, "log": ()}
    if variant in _DOCUMENTS:
        member = _DOCUMENTS[variant]
        return found | {"evidence": _byte_string(_members(data, {member})[member])}
    if variant == "sev-snp":
        said = _members(data, {"report", "cert_chain", "mr_config"})
        chain = _sequence(said["cert_chain"], MAX_CERTIFICATES, "certificates")
        return found | {
            "evidence": _byte_string(said["report"]),
            "certificates": tuple([_byte_string(each) for each in chain]),
            "document": _text(said["mr_config"]),
        }
    names = {"quote", "event_log"}
    said = _members(data, names | {"tpm_quote"} if variant == "gcp-tdx" else names)
    log = tuple([_packed_event(event) for event in _sequence(said["event_log"])])
    _same_events(log, runtime)
    found |= {"evidence": _byte_string(said["quote"]), "log": log}
    return found | {"tpm": _packed_tpm(said["tpm_quote"])} if variant == "gcp-tdx" else found


def _packed_event(value: Any) -> DstackEvent:
    if type(value) is not dict or not _EVENT_MEMBERS <= value.keys() <= _EVENT_MEMBERS | _EVENT_OPTIONS:
        refuse("log.member", "An event does not have the members of dstack's events.")
    preimage = value.get("preimage")
    return DstackEvent(
        register=_number(value["imr"]),
        kind=_number(value["event_type"]),
        name=_text(value["event"]),
        payload=_byte_string(value["event_payload"]),
        digest=_byte_string(value["digest"]),
        version=_number(value.get("version", 1)),
        preimage=None if preimage is None else unhex(preimage, "A preimage", "log.preimage"),
    )


def _runtime_event(value: Any) -> DstackEvent:
    if type(value) is not dict or not {"event", "payload"} <= value.keys() <= {"event", "payload", "version"}:
        refuse("log.member", "A runtime event does not have the members of dstack's events.")
    return _runtime(_text(value["event"]), _byte_string(value["payload"]), _number(value.get("version", 1)))


def _packed_tpm(value: Any) -> BootTpm:
    found = _members(value, {"message", "signature", "pcr_values", "ak_cert", "platform", "event_log"})
    values = [
        (_number(each["index"]), _text(each["algorithm"]), _byte_string(each["value"]))
        for each in (
            _members(item, {"index", "algorithm", "value"})
            for item in _sequence(found["pcr_values"], MAX_PCRS, "PCR values")
        )
    ]
    events = [
        (_number(each["pcr_index"]), _byte_string(each["digest"]))
        for each in (_members(item, {"pcr_index", "digest"}) for item in _sequence(found["event_log"]))
    ]
    return _tpm(
        _byte_string(found["message"]),
        _byte_string(found["signature"]),
        values,
        _byte_string(found["ak_cert"]),
        found["platform"],
        events,
    )


# --- both


def _tpm(
    message: bytes,
    signature: bytes,
    values: Sequence[tuple[int, str, bytes]],
    certificate: bytes,
    platform: Any,
    events: Sequence[tuple[int, bytes]],
) -> BootTpm:
    if platform != "gcp":
        refuse("attestation.tpm", "The TPM's quote says of itself that it is not of Google's cloud.")
    pcrs: dict[int, bytes] = {}
    for index, bank, value in values:
        if bank != _BANK or len(value) != _PCR_BYTES or index >= MAX_PCRS or index in pcrs:
            refuse("attestation.tpm", "A PCR value is not one of the SHA-256 bank, or stands there twice.")
        pcrs[index] = value
    if any(index >= MAX_PCRS or len(digest) != _PCR_BYTES for index, digest in events):
        refuse("attestation.tpm", "A boot event does not have a PCR and a SHA-256 digest.")
    return BootTpm(message, signature, MappingProxyType(pcrs), certificate, tuple(events))


def _runtime(name: str, payload: bytes, version: int = 1) -> DstackEvent:
    return DstackEvent(RUNTIME_REGISTER, RUNTIME_EVENT_TYPE, name, payload, b"", version)


def _same_events(events: Sequence[DstackEvent], runtime: Sequence[DstackEvent]) -> None:
    beside = [(event.name, event.payload) for event in runtime]
    if [(event.name, event.payload) for event in events if event.runtime] != beside:
        refuse("attestation.lists", "The attestation's two lists of runtime events differ.")


def _bounded(count: int, most: int = MAX_EVENTS, what: str = "") -> int:
    """Return a number of entries that an attestation may have."""
    if count > most:
        if what:
            refuse("attestation.size", f"The attestation has more than {most} {what}.")
        refuse("log.events", f"The event log has more than {most} events.")
    return count


def _members(value: Any, names: set[str]) -> dict[str, Any]:
    """Return an object that has exactly these members."""
    if type(value) is not dict or value.keys() != names:
        refuse("attestation.member", "The attestation does not have the members of its version.")
    return value


def _sequence(value: Any, most: int = MAX_EVENTS, what: str = "") -> list[Any]:
    if type(value) is not list:
        refuse("attestation.member", "A member of the attestation is not an array.")
    _bounded(len(value), most, what)
    return value


def _byte_string(value: Any) -> bytes:
    """Return bytes, which the encoder writes as a byte string or as an array of small numbers."""
    if type(value) is bytes:
        return value
    if type(value) is not list or not all(type(item) is int and item < 256 for item in value):
        refuse("attestation.member", "A member of the attestation is not bytes.")
    return bytes(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        refuse("attestation.member", "A member of the attestation is not a string.")
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        refuse("attestation.member", "A member of the attestation is not a number.")
    return value
