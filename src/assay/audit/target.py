"""Writing an export: a directory or a deterministic tar, all of it or nothing.

Everything goes to a temporary name beside the target, locked while it is written, and is renamed at the end.
What a killed export left behind is not locked and is removed by the next one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from assay.errors import AuditError
from assay.store.files import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

_BLOCK = 512
_RECORD = 20 * _BLOCK


class Writer(Protocol):
    """Takes the files of an export, in the order of their names."""

    def add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        """Write one file of ``size`` bytes."""


@contextmanager
def new_export(target: Path, *, tar: bool) -> Iterator[Writer]:
    """Yield a writer; the target appears when the block ends well.

    Raises:
        AuditError: ``audit.export.exists`` when the target is there (an empty directory does not count, for a
            directory); ``audit.export.busy`` while another export writes to it; ``audit.export.disk_full``;
            ``audit.export.unwritable``.
    """
    _refuse_existing(target, tar=tar)
    temporary = target.with_name(f".{target.name}.assay-partial")
    try:
        lock = _claim(temporary, tar=tar)
        try:
            yield from _fill(temporary, tar=tar)
            _put_in_place(temporary, target, tar=tar)
        finally:
            _remove(temporary)
            os.close(lock)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise AuditError(
                "audit.export.disk_full",
                f"There is no room left for {str(target)!r}; nothing was left behind.",
                action="Free some space, or export to another place.",
            ) from error
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            raise _exists(target) from error
        raise AuditError(
            "audit.export.unwritable", f"{str(target)!r} cannot be written: {error.strerror}."
        ) from error


def _fill(temporary: Path, *, tar: bool) -> Iterator[Writer]:
    if not tar:
        directory = _DirectoryWriter(temporary)
        yield directory
        directory.finish()
        return
    with temporary.open("r+b") as file:
        writer = _TarWriter(file)
        yield writer
        writer.finish()
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(temporary: Path, target: Path, *, tar: bool) -> None:
    if tar:
        try:
            os.link(temporary, target)  # unlike a rename, never over a file that appeared meanwhile
        except PermissionError:  # a file system without links, as on many memory sticks
            _refuse_existing(target, tar=tar)
            temporary.rename(target)
    else:
        temporary.rename(target)
    sync_directory(target.parent)


def _refuse_existing(target: Path, *, tar: bool) -> None:
    if not target.name or target.name in {".", ".."}:
        raise AuditError("audit.export.exists", f"{str(target)!r} is not a name for an export.")
    if target.is_symlink() or (target.exists() and (tar or not target.is_dir() or any(target.iterdir()))):
        raise _exists(target)


def _exists(target: Path) -> AuditError:
    return AuditError(
        "audit.export.exists",
        f"{str(target)!r} exists already; an export never overwrites.",
        action="Name a new place.",
    )


def _claim(temporary: Path, *, tar: bool) -> int:
    while True:
        with suppress(FileExistsError):
            if tar:
                os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
            else:
                temporary.mkdir()
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left_over = os.fstat(descriptor).st_size if tar else any(temporary.iterdir())
            if os.path.samestat(os.fstat(descriptor), temporary.lstat()) and not left_over:
                return descriptor
            _remove(temporary)
        except BlockingIOError:
            os.close(descriptor)
            raise AuditError(
                "audit.export.busy",
                "Another export to the same place is being written.",
                action="Wait for it, or name another place.",
            ) from None
        except FileNotFoundError:
            pass  # its owner finished between the two calls
        os.close(descriptor)


def _remove(temporary: Path) -> None:
    with suppress(FileNotFoundError):
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink()


class _DirectoryWriter:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders = {root}
        self._files: list[Path] = []

    def add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        path = self._root / name
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        with path.open("xb") as file:
            _copy(file, name, size, pieces)
        self._files.append(path)

    def finish(self) -> None:
        # All at the end: the first sync then takes most of the others along.
        for path in (*self._files, *self._folders):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class _TarWriter:
    """POSIX ustar: regular files only, mode 0644, owner 0, time 0, in the order given."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, name: str, size: int, pieces: Iterable[bytes]) -> None:
        self._file.write(_ustar(name, size))
        _copy(self._file, name, size, pieces)
        self._file.write(bytes(-size % _BLOCK))

    def finish(self) -> None:
        self._file.write(bytes(2 * _BLOCK))
        self._file.write(bytes(-self._file.tell() % _RECORD))


def _copy(file: BinaryIO, name: str, size: int, pieces: Iterable[bytes]) -> None:
    written = 0
    for piece in pieces:
        written += file.write(piece)
    if written != size:
        raise AuditError("audit.export.changed", f"What was to become {name!r} changed while it was copied.")


def _ustar(name: str, size: int) -> bytes:
    block = bytearray(_BLOCK)
    block[0:100] = name.encode("ascii").ljust(100, b"\0")
    block[100:108] = b"0000644\0"
    block[108:116] = block[116:124] = b"0000000\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = b"0"
    block[257:265] = b"ustar\x0000"
    block[329:345] = b"0000000\x000000000\0"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
