"""Writes the attestation container of go-tpm-tools: map keys always, other empty fields never."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assay.evidence.google_vm.protobuf import encode_bytes, encode_varint
from assay.evidence.google_vm.snp_report import BLOBS, CPUID, CPUID_AT, NUMBERS, VCEK, VLEK, pack_processor

if TYPE_CHECKING:
    from assay.evidence.google_vm.container import BankQuote, GoogleVmEvidence, StatedInstance
    from assay.evidence.google_vm.snp_report import SnpPart


def number(field: int, value: int, *, always: bool = False) -> bytes:
    """Return a field that holds a number; nothing for zero, unless ``always``."""
    return encode_varint(field << 3) + encode_varint(value) if value or always else b""


def content(field: int, value: bytes, *, always: bool = False) -> bytes:
    """Return a field that holds bytes; nothing for none, unless ``always``."""
    return encode_bytes(field, value) if value or always else b""


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
            content(8, b"" if parts.snp is None else snp_attestation(parts.snp)),
            content(9, b"" if parts.td_quote is None else td_quote(parts.td_quote)),
        )
    )


def snp_attestation(part: SnpPart) -> bytes:
    """Return an SNP report as fields, as go-sev-guest takes it apart, with its certificates."""
    report = part.report
    fields = {field: _word(field, report[at : at + size]) for field, at, size in NUMBERS}
    fields |= {field: content(field, report[at : at + size]) for field, at, size in BLOBS}
    fields[CPUID] = number(CPUID, pack_processor(*report[CPUID_AT : CPUID_AT + 3]))
    own = part.endorsements
    vlek = report[0x48] >> 2 & 7 == 1
    chain = content(VLEK if vlek else VCEK, own.vek or b"")
    chain += content(2, own.authority or b"") + content(3, own.root or b"")
    return content(1, b"".join(fields[field] for field in sorted(fields))) + content(2, chain)


def td_quote(quote: bytes) -> bytes:
    """Return a TD quote of format 4 as fields, as go-tdx-guest takes it apart; read to its declared end."""
    header, body, rest = quote[:48], quote[48:632], quote[632:]
    end = 4 + int.from_bytes(rest[:4], "little")
    qe = rest[4 + 134 :]
    auth_end = 450 + int.from_bytes(qe[448:450], "little")
    certification = content(
        3,
        content(1, _report(qe[:384]))
        + content(2, qe[384:448])
        + content(3, _word(1, qe[448:450]) + content(2, qe[450:auth_end]))
        + content(
            4,
            _word(1, qe[auth_end : auth_end + 2])
            + _word(2, qe[auth_end + 2 : auth_end + 6])
            + content(3, rest[4 + 134 + auth_end + 6 : end]),
        ),
    )
    signed = content(1, rest[4:68]) + content(2, rest[68:132])
    signed += content(3, _word(1, rest[132:134]) + _word(2, rest[134:138]) + certification)
    return (
        content(1, _header(header))
        + content(2, _body(body))
        + _word(3, rest[:4])
        + content(4, signed)
        + content(5, rest[end:])
    )


def _word(field: int, data: bytes) -> bytes:
    return number(field, int.from_bytes(data, "little"))


def _split(data: bytes, sizes: tuple[int, ...]) -> list[bytes]:
    found, at = [], 0
    for size in sizes:
        found.append(data[at : at + size])
        at += size
    return found


def _header(data: bytes) -> bytes:
    parts = _split(data, (2, 2, 4, 2, 2, 16, 20))
    return b"".join(
        _word(field, part) if field < 4 else content(field, part) for field, part in enumerate(parts, 1)
    )


def _body(data: bytes) -> bytes:
    parts = _split(data, (16, 48, 48, 8, 8, 8, 48, 48, 48, 48))
    rtmrs = _split(data[328:520], (48,) * 4)
    fields = b"".join(content(field, part) for field, part in enumerate(parts, 1))
    return fields + b"".join(content(11, part) for part in rtmrs) + content(12, data[520:])


def _report(data: bytes) -> bytes:
    parts = _split(data, (16, 4, 28, 16, 32, 32, 32, 96, 2, 2, 60, 64))
    return b"".join(
        _word(field, part) if field in (2, 9, 10) else content(field, part)
        for field, part in enumerate(parts, 1)
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
