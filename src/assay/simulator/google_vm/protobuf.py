"""Writes the attestation container of go-tpm-tools: map keys always, other empty fields never."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.evidence.google_vm.container import BankQuote, GoogleVmEvidence, StatedInstance


def varint(value: int) -> bytes:
    """Return a number in its shortest form."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def number(field: int, value: int, *, always: bool = False) -> bytes:
    """Return a field that holds a number; nothing for zero, unless ``always``."""
    return varint(field << 3) + varint(value) if value or always else b""


def content(field: int, value: bytes, *, always: bool = False) -> bytes:
    """Return a field that holds bytes; nothing for none, unless ``always``."""
    return varint(field << 3 | 2) + varint(len(value)) + value if value or always else b""


def encode(parts: GoogleVmEvidence) -> bytes:
    """Return a container of these parts."""
    return b"".join(
        (
            content(1, parts.ak_public),
            *(content(2, _quote(quote), always=True) for quote in parts.quotes),
            content(3, parts.event_log),
            content(4, b"" if parts.instance is None else _instance(parts.instance)),
            content(5, parts.canonical_log),
            content(6, parts.ak_certificate or b""),
            *(content(7, der) for der in parts.ak_intermediates),
        )
    )


def _quote(quote: BankQuote) -> bytes:
    entries = [
        content(2, number(1, index, always=True) + content(2, value)) for index, value in quote.pcrs.items()
    ]
    pcrs = number(1, quote.bank) + b"".join(entries)
    return content(1, quote.message) + content(2, quote.signature) + content(3, pcrs)


def _instance(stated: StatedInstance) -> bytes:
    return (
        content(1, stated.zone.encode())
        + content(2, stated.project_id.encode())
        + number(3, stated.project_number)
        + content(4, stated.instance_name.encode())
        + number(5, stated.instance_id)
    )
