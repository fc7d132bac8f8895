"""Firmware images made by hand: a table of GUIDs, SEV metadata, TDX metadata."""

from __future__ import annotations

from struct import pack
from uuid import UUID

FOOTER = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
SEV_HASH_TABLE = UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")
SEV_ES_RESET_BLOCK = UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e")
SEV_METADATA = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
SVSM_INFO = UUID("a789a612-0597-4c4b-a49f-cbb1fe9d1ddd")
TDX_METADATA = UUID("e47a6535-984a-4798-865e-4685a7bf8ec2")
TDX_GUID = UUID("e9eaf9f3-168e-44d5-a8eb-7f4d8738f6ae").bytes_le

SECTIONS = (
    (0x800000, 0x2000, 1),
    (0x802000, 0x1000, 2),
    (0x803000, 0x1000, 3),
    (0x804000, 0x1000, 4),
    (0x805000, 0x1000, 0x10),
    (0x806000, 0x1000, 1),
)
HASHES_AT = 0x805400


def entry(guid: UUID, data: bytes, size: int | None = None) -> bytes:
    return data + pack("<H", 18 + len(data) if size is None else size) + guid.bytes_le


def table(*entries: bytes, size: int | None = None, footer: UUID = FOOTER) -> bytes:
    whole = b"".join(entries)
    return whole + pack("<H", 18 + len(whole) if size is None else size) + footer.bytes_le


def image(found: bytes, *, body: bytes = b"", pages: int = 2, at: int = 0) -> bytes:
    """Return an image of pages whose table ends 32 bytes before the end; ``body`` lies at ``at``."""
    whole = bytearray(b"\x5a" * (4096 * pages))
    whole[at : at + len(body)] = body
    end = len(whole) - 32
    whole[end - len(found) : end] = found
    return bytes(whole)


def sev_metadata(sections=SECTIONS, *, magic=b"ASEV", version=1, count=None, size=None) -> bytes:
    items = b"".join(pack("<III", *each) for each in sections)
    return (
        magic
        + pack(
            "<III",
            16 + len(items) if size is None else size,
            version,
            len(sections) if count is None else count,
        )
        + items
    )


def sev_firmware(metadata: bytes | None = None, *, pages: int = 2, without: UUID | None = None) -> bytes:
    """Return an image for SEV-SNP whose metadata lies at its beginning."""
    entries = {
        SEV_ES_RESET_BLOCK: pack("<I", 0x80B004),
        SEV_HASH_TABLE: pack("<II", HASHES_AT, 0x400),
        SEV_METADATA: pack("<I", 4096 * pages),
        SVSM_INFO: pack("<I", 0x10),
    }
    found = [entry(guid, data) for guid, data in entries.items() if guid != without]
    return image(table(*found), body=sev_metadata() if metadata is None else metadata, pages=pages)


def tdx_metadata(sections, *, magic=b"TDVF", version=1, count=None, length=None) -> bytes:
    """Sections: (offset in the image, size there, address, size in memory, kind, attributes)."""
    items = b"".join(pack("<IIQQII", *each) for each in sections)
    return (
        magic
        + pack(
            "<III",
            16 + len(items) if length is None else length,
            version,
            len(sections) if count is None else count,
        )
        + items
    )


def tdx_firmware(metadata: bytes, *, pages: int = 4, guid: bytes = TDX_GUID, pointer: int | None = None):
    """Return an image for TDX whose metadata lies 16 bytes behind its beginning."""
    where = 4096 * pages - 16 if pointer is None else pointer
    return image(table(entry(TDX_METADATA, pack("<I", where))), body=guid + metadata, pages=pages)
