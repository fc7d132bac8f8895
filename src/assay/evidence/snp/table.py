"""The certificate table that follows an extended report (GHCB, SNP Extended Guest Request).

Entries of 24 bytes, a GUID (16, big-endian as RFC 4122 writes it), offset and length (u32, little-endian,
from the start of the table), end with one of zeros; then the contents, DER or PEM. The host fills it: nothing
signs the table, each certificate in it carries its own signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_TABLE_BYTES: Final = 65536
MAX_ENTRIES: Final = 16
_ENTRY: Final = 24

VCEK: Final = bytes.fromhex("63da758de6644564adc5f4b93be8accd")
VLEK: Final = bytes.fromhex("a8074bc2a25a483eaae639c045a0b8a1")
ASK: Final = bytes.fromhex("4ab7b379bbac4fe4a02f05aef327c782")  # the ASVK stands here as well
ASVK: Final = bytes(16)  # beside an ASK: GHCB has no GUID for it, and tools write none
ARK: Final = bytes.fromhex("c0b406a4a803495297433fb6014cd0ae")
CRL: Final = bytes.fromhex("92f81bc358114d3d97ffd19f88dc67ea")


class TableError(EvidenceError):
    """The bytes are no certificate table.

    Codes: ``snp.table.oversized``, ``snp.table.truncated``, ``snp.table.entries``, ``snp.table.duplicate``,
        ``snp.table.range``, ``snp.table.gap``.
    """


def parse_table(data: bytes) -> Mapping[bytes, bytes]:
    """Return the contents of a certificate table by GUID; unknown GUIDs are kept.

    Args:
        data: At most 65,536 bytes, 16 entries. Bytes that no entry covers must be zero.

    Raises:
        TableError: It is malformed, an entry stands twice, or contents overlap.
    """
    if len(data) > MAX_TABLE_BYTES:
        raise TableError(
            "snp.table.oversized", f"A certificate table is longer than {MAX_TABLE_BYTES} bytes."
        )
    spans: list[tuple[int, int]] = []
    found: dict[bytes, bytes] = {}
    for at in range(0, _ENTRY * (MAX_ENTRIES + 1), _ENTRY):
        entry = data[at : at + _ENTRY]
        if len(entry) < _ENTRY:
            raise TableError("snp.table.truncated", "A certificate table has no end.")
        if not any(entry):
            _demand_spans(data, spans, at + _ENTRY)
            return found
        if len(spans) == MAX_ENTRIES:
            break
        guid = entry[:16]
        start = int.from_bytes(entry[16:20], "little")
        end = start + int.from_bytes(entry[20:], "little")
        if guid in found:
            raise TableError(
                "snp.table.duplicate", f"Entry {guid.hex()} stands twice in a certificate table."
            )
        if start >= end or end > len(data):
            raise TableError("snp.table.range", "An entry of a certificate table is empty or out of bounds.")
        spans.append((start, end))
        found[guid] = data[start:end]
    raise TableError("snp.table.entries", f"A certificate table has more than {MAX_ENTRIES} entries.")


def _demand_spans(data: bytes, spans: list[tuple[int, int]], at: int) -> None:
    for start, end in sorted(spans):
        if start < at:
            raise TableError("snp.table.range", "Entries of a certificate table overlap.")
        if any(data[at:start]):
            raise TableError("snp.table.gap", "A certificate table holds bytes that no entry covers.")
        at = end
    if any(data[at:]):
        raise TableError("snp.table.gap", "A certificate table holds bytes that no entry covers.")


def encode_table(contents: Mapping[bytes, bytes]) -> bytes:
    """Return the table of these contents by GUID, without padding."""
    at = _ENTRY * (len(contents) + 1)
    head = bytearray()
    for guid, content in contents.items():
        head += guid + at.to_bytes(4, "little") + len(content).to_bytes(4, "little")
        at += len(content)
    return bytes(head) + bytes(_ENTRY) + b"".join(contents.values())
