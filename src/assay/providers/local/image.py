"""The agent image: a zip of the agent's sources that is the same, byte for byte, whoever builds it and when.

Entries are stored, sorted by name and dated 1980-01-01; the archive holds no directories and nothing of the
building machine. The measurement is SHA-384 over the archive.
"""

from __future__ import annotations

import binascii
import fcntl
import hashlib
import os
import struct
from pathlib import Path

import assay
from assay.workload.linux_calls import (
    F_ADD_SEALS,
    F_SEAL_GROW,
    F_SEAL_SEAL,
    F_SEAL_SHRINK,
    F_SEAL_WRITE,
    MFD_ALLOW_SEALING,
    MFD_CLOEXEC,
    memfd_create,
)

PARTS = ("channel", "guest", "receipts", "workload")
DATE_1980 = 0x0021
_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE
_MAIN = b"""# Entry of the agent image, version 1.
import sys

if len(sys.argv) < 3 or sys.argv[1] != "--dependencies":
    sys.exit("usage: IMAGE --dependencies PATH[:PATH] ...")
sys.path += sys.argv[2].split(":")

from assay.guest.__main__ import main

sys.exit(main(sys.argv[3:]))
"""


def sources() -> list[tuple[str, bytes]]:
    """Return name and content of every source of the agent in this installation, sorted by name."""
    root = Path(assay.__file__).parent
    paths = [root / "__init__.py", root / "errors.py"]
    for part in PARTS:
        paths += (root / part).rglob("*.py")
    found = [(f"assay/{path.relative_to(root).as_posix()}", path.read_bytes()) for path in paths]
    return sorted([*found, ("__main__.py", _MAIN)])


def build(*, altered: bool = False) -> bytes:
    """Return the image.

    Args:
        altered: Change one byte, in a comment, as somebody would who hopes that nobody looks.
    """
    entries, directory = [], []
    offset = 0
    for name, content in sources():
        data = content
        if altered and name == "__main__.py":
            data = content.replace(b"version 1", b"version 2", 1)
        encoded = name.encode("ascii")
        common = struct.pack(
            "<HHHHHIIIHH",
            20,
            0,
            0,
            0,
            DATE_1980,
            binascii.crc32(data),
            len(data),
            len(data),
            len(encoded),
            0,
        )
        entries.append(b"PK\x03\x04" + common + encoded + data)
        attributes = struct.pack("<HHHII", 0, 0, 0, 0o100644 << 16, offset)
        directory.append(b"PK\x01\x02" + struct.pack("<H", 20 | 3 << 8) + common + attributes + encoded)
        offset += len(entries[-1])
    body, index = b"".join(entries), b"".join(directory)
    count = len(entries)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, count, count, len(index), len(body), 0)
    return body + index + end


def measurement(image: bytes) -> bytes:
    """Return the SHA-384 of an image, 48 bytes: the value of MRTD."""
    return hashlib.sha384(image).digest()


def seal(image: bytes) -> int:
    """Return a memfd with these bytes that nobody can change any more, at offset zero; not inheritable."""
    descriptor = memfd_create("assay-agent", MFD_CLOEXEC | MFD_ALLOW_SEALING)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(image)
    fcntl.fcntl(descriptor, F_ADD_SEALS, _SEALS)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def measure(descriptor: int) -> bytes:
    """Return the SHA-384 of what a descriptor holds, 48 bytes.

    Raises:
        OSError: when it cannot be read.
    """
    seal = hashlib.sha384()
    offset = 0
    while block := os.pread(descriptor, 1 << 20, offset):
        seal.update(block)
        offset += len(block)
    return seal.digest()
