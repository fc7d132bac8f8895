"""Copying files into a spool while they are hashed: what the listing names is what is sent, come what may.

Every path is opened relative to the opened root, part by part, never through a link. The spool is one file
without a name in the state directory: it is gone when the process is, however it ends.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from assay.errors import LeaseError, StoreError
from assay.leases.secrets import HEAD_BYTES
from assay.workload.bundle import Entry, Kind, Listing
from assay.workload.paths import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK_BYTES: Final = 256 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Tree:
    """One opened directory, read without following links. A context manager.

    Args:
        root: The directory.

    Raises:
        LeaseError: ``lease.sync.unreadable``.
    """

    def __init__(self, root: Path) -> None:
        self._root = self._opened(root)
        self._above: tuple[bytes, ...] = ()
        self._open: list[int] = []

    @staticmethod
    def _opened(root: Path) -> int:
        try:
            return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise LeaseError(
                "lease.sync.unreadable", f"The directory {root} cannot be read: {error.strerror}."
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave(0)
        os.close(self._root)

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            os.close(self._open.pop())
        self._above = self._above[:depth]

    def _enter(self, above: tuple[bytes, ...]) -> int:
        """Return a descriptor of the directory ``above``; consecutive paths share the ones that are open."""
        shared = 0
        while shared < min(len(above), len(self._above)) and above[shared] == self._above[shared]:
            shared += 1
        self._leave(shared)
        for part in above[shared:]:
            at = self._open[-1] if self._open else self._root
            self._open.append(os.open(part, _DIRECTORY, dir_fd=at))
            self._above = (*self._above, part)
        return self._open[-1] if self._open else self._root

    def status(self, path: bytes) -> os.stat_result | None:
        """Return what ``path`` is, itself and not what it points to; None when it is not there."""
        *above, name = path.split(b"/")
        try:
            return os.stat(name, dir_fd=self._enter(tuple(above)), follow_symlinks=False)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise unreadable(path, error) from None

    def target(self, path: bytes) -> bytes:
        """Return the target of the link ``path``."""
        *above, name = path.split(b"/")
        try:
            return os.readlink(name, dir_fd=self._enter(tuple(above)))
        except OSError as error:
            raise unreadable(path, error) from None

    def open(self, path: bytes) -> int:
        """Return a descriptor of the regular file ``path``.

        Raises:
            LeaseError: ``lease.sync.unreadable``; ``lease.sync.special`` when it is no regular file.
        """
        *above, name = path.split(b"/")
        try:
            opened = os.open(name, _FILE, dir_fd=self._enter(tuple(above)))
        except OSError as error:
            raise unreadable(path, error) from None
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            os.close(opened)
            raise special(path)
        return opened

    def walk(self, limit: int) -> Iterator[tuple[bytes, bool]]:
        """Yield every path that is no directory, and every empty directory with True beside it.

        Raises:
            LeaseError: ``lease.sync.too_many`` beyond ``limit`` paths; ``lease.sync.unreadable``.
        """
        pending, seen = [b""], 0
        while pending:
            at = pending.pop()
            try:
                opened = os.open(at or b".", _DIRECTORY, dir_fd=self._root)
                try:
                    with os.scandir(opened) as listed:
                        items = sorted(
                            (os.fsencode(item.name), item.is_dir(follow_symlinks=False)) for item in listed
                        )
                finally:
                    os.close(opened)
            except OSError as error:
                raise unreadable(at, error) from None
            if at and not items:
                yield at, True
            for name, is_directory in items:
                path = at + b"/" + name if at else name
                seen += 1
                if seen > limit:
                    raise LeaseError("lease.sync.too_many", f"There are more than {limit} paths to send.")
                if is_directory:
                    pending.append(path)
                else:
                    yield path, False


def unreadable(path: bytes, error: OSError) -> LeaseError:
    """Return the error for a path that cannot be read."""
    return LeaseError("lease.sync.unreadable", f"{shown(path)} cannot be read: {error.strerror}.")


def special(path: bytes) -> LeaseError:
    """Return the error for a path that is neither a file, a directory nor a link."""
    return LeaseError(
        "lease.sync.special",
        f"{shown(path)} is a special file (a pipe, socket or device) and is not sent.",
        action=f"--exclude {shown(path)}",
    )


def too_large(path: bytes) -> LeaseError:
    """Return the error for the path with which the limit of all bytes is passed."""
    return LeaseError(
        "lease.sync.too_large",
        f"With {shown(path)} there is too much to send.",
        action="Send less (--exclude), or raise sync.max_bytes in your own settings.",
    )


@dataclass(slots=True)
class Spool:
    """The contents of a bundle's files, one after the other, in a file without a name. A context manager.

    Attributes:
        directory: Where the file is; only this user can read there.
        listing: The bundle's listing; complete once ``seal`` was called.
    """

    directory: Path
    listing: Listing = field(default=Listing(()))
    _file: int = -1
    _end: int = 0
    _entries: list[Entry] = field(default_factory=list)
    _at: dict[bytes, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the spool; its space is free again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @property
    def filled(self) -> int:
        """Bytes that are in the spool."""
        return self._end

    def add(self, entry: Entry) -> None:
        """Add an entry without contents."""
        self._entries.append(entry)

    def copy(self, path: bytes, opened: int, most: int, suspicious: Callable[[bytes], bool]) -> Entry | None:
        """Copy the file open as ``opened``, which is closed; return None, keeping nothing, if suspicious.

        Args:
            path: Its name in the bundle.
            opened: A descriptor of a regular file.
            most: Bytes that may still be added.
            suspicious: Judges the file by its first bytes.

        Raises:
            LeaseError: ``lease.sync.too_large``.
            StoreError: ``store.disk.full``.
        """
        digest, start = hashlib.sha256(), self._end
        with os.fdopen(opened, "rb", buffering=0) as file:
            status = os.fstat(opened)
            executable = status.st_mode & stat.S_IXUSR
            if status.st_size > most:  # before the disk is filled with what will not be sent
                raise too_large(path)
            head = file.read(HEAD_BYTES)
            if suspicious(head):
                return None
            chunk = head
            while chunk:
                digest.update(chunk)
                self._write(chunk)
                if self._end - start > most:
                    raise too_large(path)
                chunk = file.read(CHUNK_BYTES)
        entry = Entry(path, Kind.FILE, 0o755 if executable else 0o644, self._end - start, digest.digest())
        self._entries.append(entry)
        self._at[path] = start
        return entry

    def _write(self, data: bytes) -> None:
        try:
            if self._file < 0:
                self._file = os.open(self.directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
            view = memoryview(data)
            while view:
                written = os.pwrite(self._file, view, self._end)
                self._end += written
                view = view[written:]
        except OSError as error:
            raise StoreError(
                "store.disk.full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "store.file.unusable",
                f"The files to send cannot be copied to {self.directory}: {error.strerror}.",
                action="Free some space, or send less (--exclude).",
            ) from None

    def holds_below(self, directory: bytes) -> bool:
        """Return whether an entry lies below ``directory``."""
        return any(entry.path.startswith(directory + b"/") for entry in self._entries)

    def seal(self) -> None:
        """Close the listing: entries in canonical order."""
        self.listing = Listing.of(self._entries)

    def stream(self) -> Iterator[bytes]:
        """Yield the bundle as the wire has it: length of the listing, listing, contents in its order."""
        encoded = self.listing.encode()
        yield struct.pack(">Q", len(encoded))
        for start in range(0, len(encoded), CHUNK_BYTES):
            yield encoded[start : start + CHUNK_BYTES]
        for entry in self.listing.entries:
            if entry.kind is not Kind.FILE:
                continue
            at, left = self._at[entry.path], entry.size
            while left:
                chunk = os.pread(self._file, min(CHUNK_BYTES, left), at)
                if not chunk:
                    raise LeaseError("lease.sync.spool", "The spool of the files to send ended early.")
                at, left = at + len(chunk), left - len(chunk)
                yield chunk

    def size(self) -> int:
        """Return how many bytes ``stream`` yields."""
        return 8 + len(self.listing.encode()) + self.listing.total_bytes()
