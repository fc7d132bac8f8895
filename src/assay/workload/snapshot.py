"""Making a bundle: the files of one opened directory, named by a listing, and sent as that listing says.

Every path is opened relative to the opened root, part by part and without following links, so nothing that
happens to the tree meanwhile can lead out of it. A file that changes between the listing and the sending is
noticed, because its contents are hashed again as they leave.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits, Entry, Kind, Listing, limit
from assay.workload.paths import MAX_DEPTH, check_relative, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHUNK_BYTES = 256 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was found and cannot be part of a bundle.

    Attributes:
        path: Below the root.
        code: ``workload.link.leaves_tree``, ``workload.bundle.special``, ``workload.bundle.unreadable``, ...
    """

    path: bytes
    code: str


class Snapshot:
    """The files of one directory, as they were when it was taken.

    Args:
        root: The directory; it stays open until ``close``.
        limits: Bounds.

    Attributes:
        listing: What is in the bundle.
        skipped: What ``scan`` found and left out.
    """

    __slots__ = ("_limits", "_root", "listing", "skipped")

    def __init__(self, root: Path, limits: BundleLimits) -> None:
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._limits = limits
        self.listing = Listing(())
        self.skipped: tuple[Skipped, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the root; the listing stays."""
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    @classmethod
    def of_paths(cls, root: Path, paths: Iterable[bytes], limits: BundleLimits) -> Snapshot:
        """Take exactly ``paths`` below ``root``: files, links, and directories alone, without contents.

        Raises:
            WorkloadError: ``workload.path.unsafe``, ``workload.bundle.special``,
                ``workload.bundle.unreadable``, ``workload.link.leaves_tree``, ``workload.bundle.limit``.
        """
        taken = cls(root, limits)
        try:
            taken._take(paths, strict=True)
        except BaseException:
            taken.close()
            raise
        return taken

    @classmethod
    def scan(
        cls, root: Path, below: Iterable[bytes], limits: BundleLimits, *, strict: bool, links: bool = True
    ) -> Snapshot:
        """Take everything at or below the paths ``below``; ``[b""]`` is the whole directory.

        Args:
            root: The directory.
            below: Where to look; a path that does not exist contributes nothing.
            limits: Bounds.
            strict: Raise for what cannot be part of a bundle; otherwise leave it out and name it in
                ``skipped``.
            links: Whether links may be part of it.

        Raises:
            WorkloadError: As ``of_paths``, when ``strict``; ``workload.bundle.limit`` always.
        """
        taken = cls(root, limits)
        try:
            found: dict[bytes, None] = {}
            for path in below:
                taken._walk(path, found, strict=strict)
            taken._take(found, strict=strict, links=links)
        except BaseException:
            taken.close()
            raise
        return taken

    def stream(self) -> Iterator[bytes]:
        """Yield the bundle as it goes over the wire, in chunks of at most ``CHUNK_BYTES``.

        Raises:
            WorkloadError: ``workload.bundle.changed`` when a file is not any more what the listing says.
        """
        listing = self.listing.encode()
        yield struct.pack(">Q", len(listing))
        for start in range(0, len(listing), CHUNK_BYTES):
            yield listing[start : start + CHUNK_BYTES]
        for entry in self.listing.entries:
            if entry.kind is Kind.FILE:
                yield from self._contents(entry)

    def size(self) -> int:
        """Return how many bytes ``stream`` yields."""
        return 8 + len(self.listing.encode()) + self.listing.total_bytes()

    def _take(self, paths: Iterable[bytes], *, strict: bool, links: bool = True) -> None:
        entries: list[Entry] = []
        skipped: list[Skipped] = []
        total = 0
        for path in paths:
            if len(entries) >= self._limits.entries:
                raise limit("it has too many entries")
            try:
                entry = self._entry(path, self._limits.total_bytes - total, links=links)
            except WorkloadError as error:
                if strict or error.code == "workload.bundle.limit":
                    raise
                skipped.append(Skipped(path, error.code))
                continue
            total += entry.size
            entries.append(entry)
        self.listing = Listing.of(entries)
        self.skipped = tuple(skipped)

    def _walk(self, path: bytes, found: dict[bytes, None], *, strict: bool) -> None:
        if path:
            check_relative(path)
        pending = [path]
        while pending:
            at = pending.pop()
            if at:
                found[at] = None
                if len(found) > self._limits.entries:
                    raise limit("it has too many entries")
                if not strict and at.count(b"/") >= MAX_DEPTH:
                    continue  # it is named in ``skipped``; what is below it is not looked for
            try:
                opened = self._open(at, _DIRECTORY) if at else os.dup(self._root)
            except (NotADirectoryError, OSError):
                if at and not self._exists(at):
                    del found[at]
                continue
            try:
                with os.scandir(opened) as listed:
                    names = sorted(os.fsencode(item.name) for item in listed)
            finally:
                os.close(opened)
            pending += [at + b"/" + name if at else name for name in reversed(names)]

    def _exists(self, path: bytes) -> bool:
        try:
            self._status(path)
        except OSError:
            return False
        return True

    def _status(self, path: bytes) -> os.stat_result:
        parent, name = self._parent(path)
        try:
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(parent)

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        """Return an open descriptor of the directory that holds ``path``, and its name there."""
        *above, name = path.split(b"/")
        at = os.dup(self._root)
        for part in above:
            try:
                below = os.open(part, _DIRECTORY, dir_fd=at)
            finally:
                os.close(at)
            at = below
        return at, name

    def _open(self, path: bytes, flags: int) -> int:
        parent, name = self._parent(path)
        try:
            return os.open(name, flags, dir_fd=parent)
        finally:
            os.close(parent)

    def _entry(self, path: bytes, most: int, *, links: bool) -> Entry:
        check_relative(path)
        try:
            status = self._status(path)
            mode = stat.S_IMODE(status.st_mode) & 0o777
            if stat.S_ISDIR(status.st_mode):
                return Entry(path, Kind.DIRECTORY, mode, 0, b"")
            if stat.S_ISLNK(status.st_mode) and links:
                return Entry(path, Kind.LINK, 0o777, 0, self._target(path))
            if stat.S_ISREG(status.st_mode):
                if status.st_size > most:
                    raise limit("its files are too large")
                return self._file(path, most)
        except OSError as error:
            raise WorkloadError(
                "workload.bundle.unreadable", f"{shown(path)} cannot be read: {error.strerror}."
            ) from error
        kind = "link" if stat.S_ISLNK(status.st_mode) else "special file"
        raise WorkloadError("workload.bundle.special", f"{shown(path)} is a {kind} and cannot be sent.")

    def _target(self, path: bytes) -> bytes:
        parent, name = self._parent(path)
        try:
            return os.readlink(name, dir_fd=parent)
        finally:
            os.close(parent)

    def _file(self, path: bytes, most: int) -> Entry:
        opened = self._open(path, _FILE)
        with os.fdopen(opened, "rb", buffering=0) as file:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode):
                raise WorkloadError("workload.bundle.special", f"{shown(path)} is not a regular file.")
            digest = hashlib.sha256()
            size = 0
            while chunk := file.read(CHUNK_BYTES):
                size += len(chunk)
                if size > most:
                    raise limit("its files are too large")
                digest.update(chunk)
            return Entry(path, Kind.FILE, stat.S_IMODE(status.st_mode) & 0o777, size, digest.digest())

    def _contents(self, entry: Entry) -> Iterator[bytes]:
        changed = WorkloadError(
            "workload.bundle.changed",
            f"{shown(entry.path)} changed while it was being sent.",
            action="Run again when nothing writes to the directory.",
        )
        try:
            opened = self._open(entry.path, _FILE)
        except OSError as error:
            raise changed from error
        digest = hashlib.sha256()
        left = entry.size
        with os.fdopen(opened, "rb", buffering=0) as file:
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise changed
                left -= len(chunk)
                digest.update(chunk)
                if not left and digest.digest() != entry.content:
                    raise changed
                yield chunk
