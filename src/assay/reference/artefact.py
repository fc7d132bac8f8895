"""An artefact that is measured: read piece by piece, never held whole unless it is small.

An image can have gigabytes, so that digests stream over it. Between the first look at a file and the last it
must not change; ``Artefact.describe`` says so when it did.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from assay.errors import ReferenceValueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import NoReturn

CHUNK_BYTES = 1 << 20
LARGEST_ARTEFACT = 64 << 30
LARGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class ArtefactDigest:
    """What names an artefact in a manifest.

    Attributes:
        role: What it was to the measurement: ``firmware``, ``kernel``.
        name: Last part of its path; at most 255 characters. Nothing rests on it.
        size: In bytes.
        sha256: Digest of the whole, 32 bytes.
    """

    role: str
    name: str
    size: int
    sha256: bytes


class Artefact:
    """A file, or bytes that stand for one."""

    __slots__ = ("_began", "_file", "_start", "name", "size")

    def __init__(
        self, name: str, file: BinaryIO, size: int, began: tuple[int, ...] = (), start: int = 0
    ) -> None:
        self.name = name[-LARGEST_NAME:]
        self.size = size
        self._file = file
        self._began = began
        self._start = start

    @classmethod
    def of(cls, data: bytes, name: str = "bytes") -> Artefact:
        """Return bytes as an artefact."""
        return cls(name, io.BytesIO(data), len(data))

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly ``size`` bytes at ``offset``.

        Raises:
            ReferenceValueError: ``reference.artefact.truncated`` when they are not all there,
                ``reference.artefact.unreadable``.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            self._truncated()
        try:
            self._file.seek(self._start + offset)
            data = self._file.read(size)
        except OSError as error:
            _unreadable(self.name, error)
        if len(data) != size:
            self._truncated()
        return data

    def part(self, offset: int, size: int, name: str) -> Artefact:
        """Return ``size`` bytes at ``offset`` as an artefact of their own.

        Raises:
            ReferenceValueError: ``reference.artefact.truncated``.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            self._truncated()
        return Artefact(name, self._file, size, self._began, self._start + offset)

    def whole(self, limit: int) -> bytes:
        """Return everything.

        Raises:
            ReferenceValueError: ``reference.artefact.size`` when it has more than ``limit`` bytes.
        """
        if self.size > limit:
            raise ReferenceValueError(
                "reference.artefact.size",
                f"{self.name!a} has {self.size} bytes; at most {limit} are read of its kind.",
            )
        return self.read(0, self.size)

    def digest(self, algorithm: str, ranges: Iterable[tuple[int, int]] = (), *, padding: int = 0) -> bytes:
        """Return the digest of the ranges ``(start, end)``, in order; of everything without any.

        Args:
            algorithm: A name that ``hashlib`` knows.
            ranges: Offsets, the second exclusive.
            padding: Zero bytes that are hashed behind the last range.

        Raises:
            ReferenceValueError: ``reference.artefact.truncated``.
        """
        state = hashlib.new(algorithm)
        for start, end in ranges or ((0, self.size),):
            for offset in range(start, end, CHUNK_BYTES):
                state.update(self.read(offset, min(CHUNK_BYTES, end - offset)))
        state.update(bytes(padding))
        return state.digest()

    def describe(self, role: str) -> ArtefactDigest:
        """Return its name and digest.

        Raises:
            ReferenceValueError: ``reference.artefact.changed`` when the file changed since it was opened.
        """
        digest = self.digest("sha256")
        if self._began and _state(self._file.fileno()) != self._began:
            raise ReferenceValueError(
                "reference.artefact.changed",
                f"{self.name!a} changed while it was measured.",
                action="Measure again when nothing writes to it.",
            )
        return ArtefactDigest(role, self.name, self.size, digest)

    def _truncated(self) -> NoReturn:
        raise ReferenceValueError(
            "reference.artefact.truncated", f"{self.name!a} ends before what its own tables say is there."
        )


@contextmanager
def open_artefact(path: Path) -> Iterator[Artefact]:
    """Open a regular file.

    Raises:
        ReferenceValueError: ``reference.artefact.unreadable``, ``reference.artefact.kind`` for anything but a
            regular file that ends where its size says, ``reference.artefact.size`` over 64 GiB.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        _unreadable(str(path), error)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ReferenceValueError("reference.artefact.kind", f"{str(path)!a} is not a regular file.")
        if found.st_size > LARGEST_ARTEFACT:
            raise ReferenceValueError("reference.artefact.size", f"{str(path)!a} is larger than 64 GiB.")
        if _more(path, descriptor, found.st_size):  # as files of /proc, which would be measured as empty
            raise ReferenceValueError("reference.artefact.kind", f"{str(path)!a} does not state its size.")
        # A name that is no text could be in no manifest.
        name = os.fsencode(path.name).decode("utf-8", "replace")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield Artefact(name, file, found.st_size, _state(descriptor))
    finally:
        os.close(descriptor)


def _more(path: Path, descriptor: int, size: int) -> bool:
    """Return whether there is more in a file than its size says."""
    try:
        return bool(os.pread(descriptor, 1, size))
    except OSError as error:
        _unreadable(str(path), error)


def _unreadable(name: str, error: OSError) -> NoReturn:
    raise ReferenceValueError(
        "reference.artefact.unreadable", f"{name!a} cannot be read: {error.strerror}."
    ) from error


def _state(descriptor: int) -> tuple[int, ...]:
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns
