"""Receiving a bundle from a peer that is not trusted: bounded, hashed on the fly, into a new directory.

The listing is complete and judged before the first file is made. Directories are opened part by part without
following links, and links are made last, so that nothing is ever written through one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits, Entry, Kind, Listing, limit
from assay.workload.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Receiver:
    """Takes a bundle's stream in pieces of any size and makes its files below a new directory.

    Args:
        target: The directory to make; it must not exist.
        limits: Bounds, tested against the listing before anything is made.
        expected: Digest the listing must have, 32 bytes; None where the bundle is not known in advance.
        links: Whether links are accepted.

    Raises:
        WorkloadError: ``workload.bundle.target_exists``.
    """

    __slots__ = (
        "_buffer",
        "_digest",
        "_entries",
        "_expected",
        "_file",
        "_left",
        "_limits",
        "_links",
        "_need",
        "_root",
        "listing",
        "target",
    )

    def __init__(self, target: Path, limits: BundleLimits, *, expected: bytes | None, links: bool) -> None:
        try:
            target.mkdir(mode=0o700)
        except FileExistsError as error:
            raise WorkloadError(
                "workload.bundle.target_exists", "The directory to receive into is already there."
            ) from error
        self.target = target
        self.listing: Listing | None = None
        self._root = os.open(target, _DIRECTORY)
        self._limits = limits
        self._expected = expected
        self._links = links
        self._buffer = bytearray()
        self._need = 8
        self._entries: list[Entry] = []
        self._file = -1
        self._left = 0
        self._digest = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        """Take the next piece of the stream.

        Raises:
            WorkloadError: ``workload.bundle.malformed``, ``workload.bundle.limit``, ``workload.path.unsafe``,
                ``workload.link.leaves_tree``, ``workload.bundle.link`` where none are accepted,
                ``workload.bundle.digest`` when the listing is not the expected one,
                ``workload.bundle.content`` when a file is not what the listing says,
                ``workload.bundle.trailing`` for bytes after the last file,
                ``workload.bundle.storage`` when it cannot be stored.
        """
        with _storing():
            self._feed(memoryview(data))

    def finish(self) -> Listing:
        """Make the links and set the modes; return the listing of the complete bundle.

        Raises:
            WorkloadError: ``workload.bundle.incomplete`` when the stream ended too early,
                ``workload.bundle.storage`` when what is left cannot be made.
        """
        if self.listing is None or self._file >= 0:
            raise WorkloadError("workload.bundle.incomplete", "The bundle ended before its last file.")
        with _storing():
            self._make_links(self.listing)
        self.close()
        return self.listing

    def abandon(self) -> None:
        """Remove everything that was made."""
        self.close()
        shutil.rmtree(self.target, ignore_errors=True)

    def close(self) -> None:
        """Close what is open."""
        for descriptor in (self._file, self._root):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._root = -1

    def _make_links(self, listing: Listing) -> None:
        for entry in listing.entries:
            if entry.kind is Kind.LINK:
                parent, name = self._parent(entry.path)
                try:
                    os.symlink(entry.content, name, dir_fd=parent)
                finally:
                    os.close(parent)
        for entry in reversed(listing.entries):
            if entry.kind is Kind.DIRECTORY:
                opened = self._directory(entry.path)
                try:
                    os.fchmod(opened, entry.mode | 0o700)
                finally:
                    os.close(opened)

    def _feed(self, view: memoryview) -> None:
        while self.listing is None:
            taken = min(len(view), self._need - len(self._buffer))
            self._buffer += view[:taken]
            view = view[taken:]
            if len(self._buffer) < self._need:
                return
            self._take_head()
        while view:
            if self._file < 0:
                raise WorkloadError("workload.bundle.trailing", "Bytes follow the bundle's last file.")
            piece = view[: self._left]
            view = view[len(piece) :]
            self._digest.update(piece)
            self._write(piece)
            self._left -= len(piece)
            if not self._left:
                self._end_file()
                self._next_file()

    def _take_head(self) -> None:
        if self._need == 8:
            (size,) = struct.unpack(">Q", self._buffer)
            if size > self._limits.listing_bytes:
                raise limit("its listing is too large")
            self._need = 8 + size
            if size:
                return
        listing_bytes = bytes(self._buffer[8:])
        self._buffer.clear()
        if self._expected is not None and hashlib.sha256(listing_bytes).digest() != self._expected:
            raise WorkloadError(
                "workload.bundle.digest", "The bundle is not the one that the manifest names."
            )
        listing = Listing.decode(listing_bytes, self._limits)
        if not self._links and any(entry.kind is Kind.LINK for entry in listing.entries):
            raise WorkloadError("workload.bundle.link", "The bundle holds a link, and none is accepted here.")
        self._make_directories(listing)
        self.listing = listing
        self._entries = [entry for entry in reversed(listing.entries) if entry.kind is Kind.FILE]
        self._next_file()

    def _make_directories(self, listing: Listing) -> None:
        made: set[bytes] = set()
        for entry in listing.entries:
            parts = entry.path.split(b"/")
            if entry.kind is not Kind.DIRECTORY:
                parts.pop()
            for depth in range(1, len(parts) + 1):
                path = b"/".join(parts[:depth])
                if path not in made:
                    made.add(path)
                    parent, name = self._parent(path)
                    try:
                        os.mkdir(name, 0o755, dir_fd=parent)
                    finally:
                        os.close(parent)

    def _directory(self, path: bytes) -> int:
        at = os.dup(self._root)
        for part in path.split(b"/") if path else ():
            try:
                below = os.open(part, _DIRECTORY, dir_fd=at)
            finally:
                os.close(at)
            at = below
        return at

    def _parent(self, path: bytes) -> tuple[int, bytes]:
        above, _, name = path.rpartition(b"/")
        return self._directory(above), name

    def _next_file(self) -> None:
        while self._entries:
            entry = self._entries[-1]
            parent, name = self._parent(entry.path)
            try:
                self._file = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
            finally:
                os.close(parent)
            self._left = entry.size
            self._digest = hashlib.sha256()
            if self._left:
                return
            self._end_file()

    def _write(self, piece: memoryview) -> None:
        while piece:
            piece = piece[os.write(self._file, piece) :]

    def _end_file(self) -> None:
        entry = self._entries.pop()
        if self._digest.digest() != entry.content:
            raise WorkloadError(
                "workload.bundle.content", f"The file {shown(entry.path)} is not what the listing says."
            )
        os.fchmod(self._file, entry.mode)
        os.close(self._file)
        self._file = -1


@contextmanager
def _storing() -> Iterator[None]:
    """Turn what the file system refuses into an error of ours."""
    try:
        yield
    except OSError as error:
        raise WorkloadError(
            "workload.bundle.storage", f"The bundle cannot be stored: {error.strerror}."
        ) from error
