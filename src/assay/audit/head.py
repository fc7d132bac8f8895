"""The newest state of the log known outside of the database: how a restored backup is noticed.

The file ``log.head`` has two slots of 1,024 bytes, used in turn: one line of JSON (installation, number,
origin, size, root), one line with its SHA-256, zero bytes. A crash can spoil one slot only. The slot with the
greatest (number, size) counts. The head never goes back, and is behind the database between a commit and its
hook.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.errors import StoreError
from assay.store.files import check_private, create_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SLOT = 1024
NAME = "log.head"


@dataclass(frozen=True, slots=True)
class Head:
    """What the log was when it was last looked at.

    Attributes:
        installation: Of the database that the log is in.
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
        """Return the content of one slot, 1,024 bytes."""
        line = json.dumps(
            {
                "installation": self.installation,
                "number": self.number,
                "origin": self.origin,
                "root": self.root.hex(),
                "size": self.size,
            }
        ).encode()
        return (line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n").ljust(_SLOT, b"\0")

    @classmethod
    def decode(cls, slot: bytes) -> Head | None:
        """Return what a slot holds, or None when it was never written or is spoilt."""
        line, _, rest = slot.partition(b"\n")
        if rest.rstrip(b"\0") != hashlib.sha256(line).hexdigest().encode() + b"\n":
            return None
        plain = json.loads(line)
        return cls(
            plain["installation"],
            plain["number"],
            plain["origin"],
            plain["size"],
            bytes.fromhex(plain["root"]),
        )


class HeadFile:
    """The file that remembers; several processes may write it."""

    __slots__ = ("_path",)

    def __init__(self, directory: Path) -> None:
        self._path = directory / NAME

    def read(self) -> Head | None:
        """Return the newest state known, or None when there is no file or nothing whole in it.

        Raises:
            StoreError: ``store.file.*``.
        """
        try:
            with self._locked(fcntl.LOCK_SH) as descriptor:
                return _newest(descriptor)
        except StoreError as error:
            if error.code == "store.file.missing":
                return None
            raise

    def advance(self, head: Head, *, durable: bool) -> None:
        """Remember ``head`` unless something newer is known; ``durable`` waits until it is on the disk.

        Raises:
            StoreError: ``store.file.*``, ``store.disk.full``.
        """
        if not self._path.exists():
            create_first(self._path)
        with self._locked(fcntl.LOCK_EX) as descriptor:
            known = _newest(descriptor)
            if known is None or (known.number, known.size) < (head.number, head.size):
                self._put(descriptor, head)
            if durable:
                os.fsync(descriptor)

    def replace(self, head: Head) -> None:
        """Forget everything known before and remember ``head``, durably."""
        if not self._path.exists():
            create_first(self._path)
        with self._locked(fcntl.LOCK_EX) as descriptor:
            self._put(descriptor, head)
            os.pwrite(descriptor, bytes(_SLOT), _SLOT * (1 - head.size % 2))
            os.fsync(descriptor)

    @staticmethod
    def _put(descriptor: int, head: Head) -> None:
        os.pwrite(descriptor, head.encode(), _SLOT * (head.size % 2))

    @contextmanager
    def _locked(self, how: int) -> Iterator[int]:
        check_private(self._path)
        descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, how)
            yield descriptor
        finally:
            os.close(descriptor)


def create_first(path: Path) -> None:
    """Make the file with both slots empty, so that later writes need no room on the disk."""
    try:
        create_private(path, bytes(2 * _SLOT))
    except StoreError as error:
        if error.code != "store.file.exists":
            raise


def _newest(descriptor: int) -> Head | None:
    slots = (Head.decode(os.pread(descriptor, _SLOT, place)) for place in (0, _SLOT))
    return max((head for head in slots if head), key=lambda head: (head.number, head.size), default=None)
