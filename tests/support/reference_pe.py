"""PE images made by hand."""

from __future__ import annotations

from struct import pack


def pe(
    sections,
    *,
    plus: bool = True,
    entries: int = 16,
    headers: int = 0x400,
    certificates: bytes = b"",
    certificates_at: int | None = None,
    tail: bytes = b"",
    optional: bytes | None = None,
    count: int | None = None,
    magic: bytes = b"PE\0\0",
) -> bytes:
    """Return an image; a section is (name, content) or (name, content, size in memory, offset, raw size)."""
    rows, body, place = b"", b"", headers
    for name, content, *more in sections:
        raw = content + bytes(-len(content) % 512)
        size, at, raw_size = more or (len(content), place, len(raw))
        rows += pack("<8sIIII16s", name.encode(), size, 0x1000, raw_size, at, b"")
        body += raw
        place += len(raw)
    end = headers + len(body) + len(tail)
    where = end if certificates_at is None else certificates_at
    fixed = 112 if plus else 96
    if optional is None:
        directory = b"".join(
            pack("<II", where, len(certificates)) if index == 4 and certificates else bytes(8)
            for index in range(entries)
        )
        optional = pack("<H", 0x20B if plus else 0x10B).ljust(60, b"\x11") + pack("<I", headers)
        optional = (optional + b"CSUM").ljust(fixed - 4, b"\x22") + pack("<I", entries) + directory
    coff = pack(
        "<4sHHIIIHH", magic, 0x8664, len(sections) if count is None else count, 0, 0, 0, len(optional), 0
    )
    head = b"MZ".ljust(60, b"\x33") + pack("<I", 64) + coff + optional + rows
    return head.ljust(headers, b"\0") + body + tail + certificates


def linux_kernel(
    *, version: int = 0x20F, flags: int = 1, more_flags: int = 0x40, initrd_end: int = 0, size: int = 4096
) -> bytes:
    """Return a kernel with a setup header whose PE header lies behind it."""
    data = bytearray(pe([(".text", bytes(size))], headers=0x1000))
    moved = data[64:0x1C0]  # PE signature, headers and section table
    data[64:0x1000] = bytes(0x1000 - 64)
    data[60:64] = pack("<I", 0x240)
    data[0x240 : 0x240 + len(moved)] = moved
    data[0x206:0x208] = pack("<H", version)
    data[0x211] = flags
    data[0x22C:0x230] = pack("<I", initrd_end)
    data[0x236:0x238] = pack("<H", more_flags)
    return bytes(data)


def uki(
    *, kernel: bytes = b"not a PE image", command_line: bytes = b"quiet splash\0", **more: bytes
) -> bytes:
    """Return a unified kernel image with a stub, a kernel, a command line and an initrd."""
    sections = {".text": b"stub", ".osrel": b"ID=test\n", ".cmdline": command_line, ".linux": kernel}
    sections[".initrd"] = b"initrd" * 100
    sections.update({"." + name: content for name, content in more.items()})
    return pe(list(sections.items()), headers=0x600)
