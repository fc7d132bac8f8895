"""Writers of the encodings that dstack's attestations and certificates use."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from assay.evidence.dstack.certificate import GZIP_MAGIC, Extension

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from assay.evidence.dstack import DstackEvent

ARC = "1.3.6.1.4.1.62397.1."
KEY = ec.derive_private_key(0x5EED, ec.SECP256R1())
SPKI = KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)


def compact(value: int) -> bytes:
    """Write a SCALE compact integer below 2^30."""
    if value < 1 << 6:
        return (value << 2).to_bytes(1, "little")
    if value < 1 << 14:
        return (value << 2 | 1).to_bytes(2, "little")
    return (value << 2 | 2).to_bytes(4, "little")


def vector(data: bytes) -> bytes:
    """Write a SCALE vector of bytes, or a string."""
    return compact(len(data)) + data


def scale_events(events: Iterable[DstackEvent]) -> bytes:
    """Write a SCALE vector of log events."""
    written = [
        event.register.to_bytes(4, "little")
        + event.kind.to_bytes(4, "little")
        + vector(event.digest)
        + vector(event.name.encode())
        + vector(event.payload)
        for event in events
    ]
    return compact(len(written)) + b"".join(written)


def scale_runtime(events: Iterable[DstackEvent]) -> bytes:
    """Write a SCALE vector of runtime events."""
    written = [vector(event.name.encode()) + vector(event.payload) for event in events if event.runtime]
    return compact(len(written)) + b"".join(written)


def version_0(
    quote: bytes,
    events: list[DstackEvent],
    *,
    runtime: list[DstackEvent] | None = None,
    report_data: bytes = bytes(64),
    config: str = "{}",
    variant: int = 0,
) -> bytes:
    """Write an attestation of version 0."""
    return (
        bytes([0, variant])
        + vector(quote)
        + scale_events(events)
        + scale_runtime(events if runtime is None else runtime)
        + report_data
        + vector(config.encode())
    )


def pack(value: Any) -> bytes:
    """Write MessagePack as Rust's ``rmp_serde`` does: shortest forms, byte vectors as arrays of numbers."""
    if value is None or isinstance(value, bool):
        return bytes([{None: 0xC0, False: 0xC2, True: 0xC3}[value]])
    if isinstance(value, int):
        return _number(value)
    if isinstance(value, bytes):
        return _sized(len(value), -1, 0, {1: 0xC4, 2: 0xC5, 4: 0xC6}) + value
    if isinstance(value, str):
        text = value.encode()
        return _sized(len(text), 31, 0xA0, {1: 0xD9, 2: 0xDA, 4: 0xDB}) + text
    if isinstance(value, list):
        return _sized(len(value), 15, 0x90, {2: 0xDC, 4: 0xDD}) + b"".join(map(pack, value))
    head = _sized(len(value), 15, 0x80, {2: 0xDE, 4: 0xDF})
    return head + b"".join(pack(key) + pack(item) for key, item in value.items())


def _number(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    width, first = next((w, f) for w, f in ((1, 0xCC), (2, 0xCD), (4, 0xCE), (8, 0xCF)) if value < 1 << 8 * w)
    return bytes([first]) + value.to_bytes(width, "big")


def _sized(size: int, short: int, mark: int, forms: Mapping[int, int]) -> bytes:
    if size <= short:
        return bytes([mark | size])
    width = next(found for found in forms if size < 1 << 8 * found)
    return bytes([forms[width]]) + size.to_bytes(width, "big")


def version_1(
    quote: bytes,
    events: list[DstackEvent],
    *,
    runtime: list[DstackEvent] | None = None,
    report_data: bytes = bytes(64),
    **changes: Any,
) -> dict[str, Any]:
    """Return an attestation of version 1, before it is packed."""
    listed = [
        {
            "imr": event.register,
            "event_type": event.kind,
            "digest": event.digest,
            "event": event.name,
            "event_payload": event.payload,
        }
        | ({"version": event.version} if event.version != 1 else {})
        | ({"preimage": event.preimage.hex()} if event.preimage is not None else {})
        for event in events
    ]
    beside = [
        {"event": event.name, "payload": event.payload}
        | ({"version": event.version} if event.version != 1 else {})
        for event in (events if runtime is None else runtime)
        if event.runtime
    ]
    return {
        "version": 1,
        "platform": {"kind": "tdx", "data": {"quote": list(quote), "event_log": listed}},
        "stack": {
            "kind": "dstack",
            "data": {"report_data": list(report_data), "runtime_events": beside, "config": "{}"},
        },
    } | changes


def octets(value: bytes) -> bytes:
    """Write a DER OCTET STRING."""
    size = len(value)
    if size < 0x80:
        return bytes([4, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([4, 0x80 | len(length)]) + length + value


def certificate(extensions: Mapping[Extension, bytes], *, raw: bool = False) -> bytes:
    """Return a DER certificate over ``KEY`` with extensions of dstack; ``raw`` leaves the inner DER out."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "guest")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    for kind, value in extensions.items():
        extension = x509.UnrecognizedExtension(
            x509.ObjectIdentifier(f"{ARC}{int(kind)}"), value if raw else octets(value)
        )
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def compressed(log: bytes) -> bytes:
    """Compress an event log as certificates carry it."""
    return GZIP_MAGIC + gzip.compress(log, mtime=0)
