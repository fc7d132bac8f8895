"""Private directories and files: ours alone, never a link, replaced atomically.

A directory is 0700 and a file 0600 (bits of group and others are refused, whoever set them), both owned by
the effective user. Content is durable (file and directory synced) before a function that writes returns.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from assay.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

_OTHERS = 0o077
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def prepare_directory(path: Path) -> None:
    """Create ``path`` as 0700, its missing parents likewise, or check that an existing one is ours alone.

    Raises:
        StoreError: ``store.directory.symlink``, ``store.directory.kind``, ``store.directory.owner``,
            ``store.directory.mode``; ``store.directory.exposed`` when anybody may rename a directory above
            it; ``store.directory.unusable`` when it cannot be made or looked at.
    """
    try:
        for parent in reversed(path.parents):
            _make(parent)
        _make(path)
        found = path.lstat()
    except OSError as error:
        _unusable(path, error)
    if stat.S_ISLNK(found.st_mode):
        raise StoreError(
            "store.directory.symlink",
            f"The directory {str(path)!r} is a symbolic link: its owner chooses where the state is.",
            action="Name the directory itself.",
        )
    if not stat.S_ISDIR(found.st_mode):
        raise StoreError("store.directory.kind", f"{str(path)!r} is not a directory.")
    if found.st_uid != os.geteuid():
        raise StoreError(
            "store.directory.owner",
            f"The directory {str(path)!r} belongs to user {found.st_uid}, not to this user ({os.geteuid()}).",
            action="Use a state directory of your own (ASSAY_STATE_DIR), or correct its owner.",
        )
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        raise StoreError(
            "store.directory.mode",
            f"Others may enter {str(path)!r} (mode {stat.S_IMODE(found.st_mode):04o}, needed 0700).",
            action=f"Check what is in it, then: chmod 700 {str(path)!r}",
        )
    _check_above(path)


def is_absent(path: Path) -> bool:
    """Return whether there is nothing of that name, not even a link; what cannot be told is not absent."""
    try:
        path.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def list_directory(path: Path) -> list[Path]:
    """Return what is in a private directory, by name; nothing where there is none.

    Raises:
        StoreError: As ``prepare_directory`` does for a directory that exists.
    """
    if is_absent(path):
        return []
    prepare_directory(path)
    try:
        return sorted(path.iterdir())
    except OSError as error:
        _unusable(path, error)


def check_private(path: Path) -> None:
    """Check that the file ``path`` is a regular file, owned by us, with no rights for others.

    Raises:
        StoreError: ``store.file.missing``, ``store.file.kind``, ``store.file.owner``, ``store.file.mode``,
            ``store.file.unusable``.
    """
    try:
        found = path.lstat()
    except OSError as error:
        _failed(path, error)
    _check(path, found)


def read_private(path: Path, *, limit: int) -> bytes:
    """Return the content of a private file of at most ``limit`` bytes.

    Raises:
        StoreError: as ``check_private``; ``store.file.size`` when it is larger than ``limit``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        _failed(path, error)
    try:
        _check(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise StoreError("store.file.size", f"{str(path)!r} is larger than {limit} bytes.")
    return data


def write_private(path: Path, data: bytes) -> None:
    """Replace the file ``path`` atomically: a crash leaves the old content or the new.

    Raises:
        StoreError: ``store.disk.full``; ``store.file.unusable``.
    """
    _publish(path, data, exclusive=False)


def create_private(path: Path, data: bytes) -> None:
    """Create the file ``path`` with its whole content at once; it must not exist.

    Raises:
        StoreError: ``store.file.exists``; ``store.disk.full``; ``store.file.unusable``.
    """
    _publish(path, data, exclusive=True)


def _publish(path: Path, data: bytes, *, exclusive: bool) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            if exclusive:
                os.link(temporary, path)
            else:
                temporary.replace(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        sync_directory(path.parent)
    except OSError as error:
        _failed(path, error)


def create_empty(path: Path) -> None:
    """Create an empty private file, or check the one that is there.

    Raises:
        StoreError: as ``check_private``; ``store.disk.full``.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        check_private(path)
    except OSError as error:
        _failed(path, error)


def sync_directory(path: Path) -> None:
    """Make the names in ``path`` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_above(path: Path) -> None:
    for parent in path.parents:
        try:
            mode = parent.stat().st_mode
        except OSError as error:
            _unusable(path, error)
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise StoreError(
                "store.directory.exposed",
                f"Anybody may write to {str(parent)!r} and so replace {str(path)!r}.",
                action=f"Remove that right, or set the sticky bit: chmod o-w {str(parent)!r}",
            )


def _make(path: Path) -> None:
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise StoreError("store.file.kind", f"{str(path)!r} is not a regular file.")
    if found.st_uid != os.geteuid():
        raise StoreError(
            "store.file.owner",
            f"{str(path)!r} belongs to user {found.st_uid}, not to this user ({os.geteuid()}).",
        )
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        raise StoreError(
            "store.file.mode",
            f"Others have rights on {str(path)!r} (mode {stat.S_IMODE(found.st_mode):04o}, needed 0600).",
            action=f"Consider what it held as known to others, then: chmod 600 {str(path)!r}",
        )


def _unusable(path: Path, error: OSError) -> NoReturn:
    if error.errno in _FULL:
        _disk_full(path, error)
    raise StoreError(
        "store.directory.unusable",
        f"The directory {str(path)!r} cannot be made or used: {error.strerror}.",
        action="Choose another with ASSAY_STATE_DIR, or correct the rights above it.",
    ) from error


def _failed(path: Path, error: OSError) -> NoReturn:
    if error.errno in _FULL:
        _disk_full(path, error)
    if isinstance(error, FileNotFoundError):
        raise StoreError("store.file.missing", f"{str(path)!r} does not exist.") from error
    if isinstance(error, FileExistsError):
        raise StoreError("store.file.exists", f"{str(path)!r} exists already.") from error
    if error.errno == errno.ELOOP:
        raise StoreError("store.file.kind", f"{str(path)!r} is a symbolic link.") from error
    raise StoreError(
        "store.file.unusable", f"{str(path)!r} cannot be read or written: {error.strerror}."
    ) from error


def _disk_full(path: Path, error: OSError) -> NoReturn:
    raise StoreError(
        "store.disk.full",
        f"There is no room left for {str(path)!r}; nothing was changed.",
        action="Free some space (or raise the quota), then run the command again.",
    ) from error
