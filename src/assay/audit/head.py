"""The newest state of the log known outside of the database: how a restored backup is noticed.

The file ``log.head`` has two slots of 512 bytes, used in turn. A slot, all numbers big-endian:

    number        8 bytes    which log of the database
    size          8 bytes    its number of entries
    root         32 bytes    its root hash
    installation 16 bytes    of the database
    length        2 bytes    of the origin
    origin      414 bytes    UTF-8, zero bytes after it
    checksum     32 bytes    SHA-256 of the 480 bytes before

A crash can spoil one slot only. The slot with the greatest (number, size) counts. The head never goes back;
between a commit and its hook it is behind the database.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import threading
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from assay.errors import StoreError
from assay.store.files import check_private, create_private

if TYPE_CHECKING:
    from pathlib import Path

NAME = "log.head"

_LAYOUT = struct.Struct(">QQ32s16sH414s")
_ORDER = struct.Struct(">QQ")
_SLOT = _LAYOUT.size + 32


class Head(NamedTuple):
    """What the log was when it was last looked at.

    Attributes:
        installation: Of the database that the log is in, 32 hexadecimal digits.
        number: Which log of that database: each new origin has the next.
        origin: Its name.
        size: Number of entries.
        root: Root hash of their tree, 32 bytes.
    """

    installation: str
    number: int
    origin: str
    size: int
    root: bytes

    def encode(self) -> bytes:
        """Return the content of one slot, 512 bytes."""
        data = _ORDER.pack(self.number, self.size) + self.root + _named(self.installation, self.origin)
        return data + hashlib.sha256(data).digest()

    @classmethod
    def decode(cls, slot: bytes) -> Head | None:
        """Return what a slot holds, or None when it was never written or is spoilt."""
        data, checksum = slot[: _LAYOUT.size], slot[_LAYOUT.size :]
        if hashlib.sha256(data).digest() != checksum:
            return None
        number, size, root, installation, length, name = _LAYOUT.unpack(data)
        try:
            origin = name[:length].decode()
        except UnicodeDecodeError:  # whoever wrote that, it was not this log
            return None
        return cls(installation.hex(), number, origin, size, root)


class HeadFile:
    """The file that remembers; several processes and threads may write it. It stays open once it was used."""

    __slots__ = ("_descriptor", "_path", "_threads")

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME
        self._descriptor: int | None = None
        self._threads = threading.Lock()  # to them the lock of one descriptor is the same lock

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def read(self) -> Head | None:
        """Return the newest state known, or None when there is no file or nothing whole in it.

        Raises:
            StoreError: ``store.file.*``.
        """
        try:
            check_private(self._path)
        except StoreError as error:
            if error.code == "store.file.missing":
                return None
            raise
        with self._threads:
            descriptor = self._lock()
            try:
                data = os.pread(descriptor, 2 * _SLOT, 0)
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        slots = (Head.decode(data[:_SLOT]), Head.decode(data[_SLOT:]))
        return max((head for head in slots if head), key=lambda head: (head.number, head.size), default=None)

    def advance(self, head: Head) -> None:
        """Remember ``head`` unless something newer is known; it survives this process, not yet the machine.

        Raises:
            OSError: when it cannot be written.
        """
        with self._threads:
            descriptor = self._lock()
            try:
                data, slot = os.pread(descriptor, 2 * _SLOT, 0), head.encode()
                if not _is_newer(data[:_SLOT], slot) and not _is_newer(data[_SLOT:], slot):
                    os.pwrite(descriptor, slot, _SLOT * (head.size % 2))
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def sync(self, head: Head) -> None:
        """Remember ``head``, or what is newer, on the disk. Raises as ``advance``."""
        self.advance(head)
        with self._threads:
            descriptor = self._lock()
            try:
                os.fsync(descriptor)
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)

    def begin(self, head: Head) -> None:
        """Remember the first state of a new log on the disk; the file is made when there is none.

        Raises:
            StoreError: ``store.file.*``, ``store.disk.full``.
            OSError: when it cannot be written.
        """
        if not self._path.exists():
            self._create()
        self.sync(head)

    def _create(self) -> None:
        try:
            create_private(
                self._path, bytes(2 * _SLOT)
            )  # whole, so that later writes need no room on the disk
        except StoreError as error:
            if error.code != "store.file.exists":
                raise

    def _lock(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return self._descriptor


@lru_cache(maxsize=16)
def _named(installation: str, origin: str) -> bytes:
    name = origin.encode()
    return _LAYOUT.pack(0, 0, b"", bytes.fromhex(installation), len(name), name)[_ORDER.size + 32 :]


def _is_newer(found: bytes, slot: bytes) -> bool:
    # The checksum only matters to a slot that would win: of a spoilt one the numbers may be anything.
    newer = len(found) == _SLOT and found[: _ORDER.size] >= slot[: _ORDER.size]
    return newer and Head.decode(found) is not None
