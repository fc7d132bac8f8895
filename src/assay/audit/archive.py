"""Reading an export that a stranger made: a directory, or a tar of one.

Nothing is unpacked. Regular files and directories only; a link, a device, an absolute name, ``..``, a name
twice or anything over the limits is refused. A tar may have one directory around everything, as
``tar cf x.tar x/`` makes.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assay.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_FILES = 500_000
DEEPEST = 8
LONGEST_NAME = 512
_BLOCK = 512
_LARGEST_PAX = 64 * 1024
_PIECE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+){0,7}")
_OCTAL = re.compile(rb"[0-7]+")
_PAX_ALLOWED = re.compile(r"(?:mtime|atime|ctime|uid|gid|uname|gname|SCHILY\..*|LIBARCHIVE\..*|comment)")


class Source(Protocol):
    """The files of an export by name."""

    sizes: dict[str, int]

    def read(self, name: str, limit: int) -> bytes:
        """Return a whole file of at most ``limit`` bytes.

        Raises:
            AuditError: ``audit.format.missing``, ``audit.format.size``, ``audit.format.unreadable``.
        """

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield a file in pieces of at most 1 MiB. Raises as ``read``."""


@contextmanager
def open_export(path: Path) -> Iterator[Source]:
    """Yield the files of the export at ``path``.

    Raises:
        AuditError: ``audit.export.missing`` when there is nothing there; ``audit.format.*``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise AuditError(
            "audit.export.missing", f"The export {str(path)!r} cannot be opened: {error.strerror}."
        ) from error
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            yield _Directory(descriptor, dict(_walk(descriptor)))
        elif stat.S_ISREG(found.st_mode):
            yield _Tar(descriptor, _index(descriptor, found.st_size))
        else:
            raise AuditError("audit.format.kind", f"{str(path)!r} is neither a directory nor a tar.")
    finally:
        os.close(descriptor)


class _Directory:
    def __init__(self, descriptor: int, sizes: dict[str, int]) -> None:
        self._descriptor = descriptor
        self.sizes = sizes

    def read(self, name: str, limit: int) -> bytes:
        if name not in self.sizes:
            raise _missing(name)
        descriptor = self._open(name)
        try:
            if os.fstat(descriptor).st_size > limit:
                raise _too_large(name, limit)
            data = _read_up_to(descriptor, limit + 1)
        finally:
            os.close(descriptor)
        if len(data) > limit:
            raise _too_large(name, limit)
        return data

    def pieces(self, name: str) -> Iterator[bytes]:
        if name not in self.sizes:
            raise _missing(name)
        descriptor = self._open(name)
        try:
            while piece := os.read(descriptor, _PIECE):
                yield piece
        finally:
            os.close(descriptor)

    def _open(self, name: str) -> int:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(name, flags, dir_fd=self._descriptor)
        except OSError as error:
            raise AuditError(
                "audit.format.unreadable", f"{name!r} cannot be read: {error.strerror}."
            ) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise _special(name)
        return descriptor


class _Tar:
    def __init__(self, descriptor: int, places: dict[str, _Member]) -> None:
        self._descriptor = descriptor
        self._places = places
        self.sizes = {name: member.size for name, member in places.items()}

    def read(self, name: str, limit: int) -> bytes:
        member = self._places.get(name)
        if member is None:
            raise _missing(name)
        if member.size > limit:
            raise _too_large(name, limit)
        return b"".join(self.pieces(name))

    def pieces(self, name: str) -> Iterator[bytes]:
        member = self._places.get(name)
        if member is None:
            raise _missing(name)
        for start in range(0, member.size, _PIECE):
            wanted = min(_PIECE, member.size - start)
            piece = os.pread(self._descriptor, wanted, member.offset + start)
            if len(piece) != wanted:
                raise AuditError("audit.format.tar", "The tar ended while it was read.")
            yield piece


def _walk(root: int) -> Iterator[tuple[str, int]]:
    pending = [""]
    seen = 0
    while pending:
        folder = pending.pop()
        try:
            descriptor = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
        except OSError as error:
            raise AuditError(
                "audit.format.unreadable", f"{folder!r} cannot be read: {error.strerror}."
            ) from error
        try:
            with os.scandir(descriptor) as items:
                for item in items:
                    seen += 1
                    name = _checked(f"{folder}{item.name}", seen)
                    found = item.stat(follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        pending.append(f"{name}/")
                    elif stat.S_ISREG(found.st_mode):
                        yield name, found.st_size
                    else:
                        raise _special(name)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Member:
    """Where a file is in a tar, in bytes from its start; ``kind`` is the type flag of its header."""

    offset: int
    size: int
    kind: bytes


def _index(descriptor: int, length: int) -> dict[str, _Member]:
    """Return the regular files of a tar by name, the directory around them taken off."""
    members: dict[str, _Member] = {}
    folders: set[str] = set()
    for name, member in _members(descriptor, length):
        shown = name.removeprefix("./").rstrip("/")
        if member.kind == b"5" and shown in {"", "."}:
            continue
        shown = _checked(shown, len(members) + len(folders) + 1)
        if shown in members or shown in folders:
            raise AuditError("audit.format.tar", f"The tar has {shown!r} twice.")
        if member.kind == b"5":
            folders.add(shown)
        else:
            members[shown] = member
    tops = {name.partition("/")[0] for name in members}
    if len(tops) == 1 and not members.keys() & tops:
        around = f"{tops.pop()}/"
        return {name.removeprefix(around): member for name, member in members.items()}
    return members


def _members(descriptor: int, length: int) -> Iterator[tuple[str, _Member]]:
    place = 0
    while True:
        header = os.pread(descriptor, _BLOCK, place)
        if not header or header == bytes(_BLOCK):
            return
        name, member = _header(header, place + _BLOCK)
        place = member.offset + -(-member.size // _BLOCK) * _BLOCK
        if place > length:
            raise AuditError("audit.format.tar", "The tar is shorter than its headers say.")
        if member.kind in {b"x", b"g"}:
            _check_pax(descriptor, member)
        elif member.kind in {b"0", b"5"}:
            yield name, member
        else:
            raise _special(name)


def _header(block: bytes, offset: int) -> tuple[str, _Member]:
    """Read one ustar header (POSIX.1-2017, pax, "ustar Interchange Format"), 512 bytes."""
    stated = _octal(block[148:156])
    if len(block) != _BLOCK or stated != sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise AuditError("audit.format.tar", "A header of the tar is damaged.")
    name = block[:100].rstrip(b"\0")
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].rstrip(b"\0") + b"/" + name
    kind = block[156:157].replace(b"\0", b"0")
    size = _octal(block[124:136]) if kind != b"5" else 0
    return name.decode("ascii", "backslashreplace"), _Member(offset, size, kind)


def _octal(field: bytes) -> int:
    digits = field.strip(b"\0 ")
    if not _OCTAL.fullmatch(digits):
        raise AuditError("audit.format.tar", "A number in a header of the tar is malformed.")
    return int(digits, 8)


def _check_pax(descriptor: int, member: _Member) -> None:
    """Accept an extended header that changes nothing of what is read: times, owners, comments."""
    if member.size > _LARGEST_PAX:
        raise AuditError("audit.format.tar", "An extended header of the tar is too large.")
    data = os.pread(descriptor, member.size, member.offset)
    while data:
        count, space, _ = data.partition(b" ")
        length = int(count) if space and count.isdigit() and len(count) <= 6 else 0
        record, data = data[:length], data[length:]
        key = record.partition(b" ")[2].partition(b"=")[0].decode("ascii", "backslashreplace")
        if not record.endswith(b"\n") or not _PAX_ALLOWED.fullmatch(key):
            raise AuditError("audit.format.tar", f"The tar has an extended header {key[:40]!r}.")


def _checked(name: str, count: int) -> str:
    if count > MOST_FILES:
        raise AuditError("audit.format.count", f"The export has more than {MOST_FILES} files.")
    if (
        len(name) > LONGEST_NAME
        or not _NAME.fullmatch(name)
        or ".." in name.split("/")
        or "." in name.split("/")
    ):
        raise AuditError("audit.format.name", f"The export has a file with the unsafe name {name[:80]!r}.")
    return name


def _read_up_to(descriptor: int, limit: int) -> bytes:
    parts: list[bytes] = []
    while limit and (piece := os.read(descriptor, limit)):
        parts.append(piece)
        limit -= len(piece)
    return b"".join(parts)


def _missing(name: str) -> AuditError:
    return AuditError("audit.format.missing", f"The export lacks the file {name!r}.")


def _too_large(name: str, limit: int) -> AuditError:
    return AuditError("audit.format.size", f"{name!r} is larger than {limit} bytes.")


def _special(name: str) -> AuditError:
    return AuditError(
        "audit.format.special", f"{name[:80]!r} is a link or a special file; an export has only files."
    )
