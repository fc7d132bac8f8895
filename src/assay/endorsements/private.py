"""The files of the cache: in a directory of ours alone, never through a link, replaced as a whole.

The state store does the same for its own files; it stands above this room, which a verifier has without a
store.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from assay.errors import EndorsementError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OTHERS = 0o077


def prepare_directory(path: Path) -> None:
    """Make a directory and those above it as 0700, or check that the one there is ours alone.

    Raises:
        EndorsementError: ``endorsements.cache.exposed`` when it is a link, another's, or open to others, or
            when anybody may rename a directory above it; ``endorsements.cache.unusable``.
    """
    try:
        for each in (*reversed(path.parents), path):
            with suppress(FileExistsError):
                each.mkdir(mode=0o700)
        found = path.lstat()
        above = [(parent, parent.stat().st_mode) for parent in path.parents]
    except OSError as error:
        _unusable(path, error)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
        raise EndorsementError(
            "endorsements.cache.exposed",
            f"{str(path)!r} is not a directory that belongs to you alone (mode 0700, no link).",
            action=f"Check what is in it, then: chmod 700 {str(path)!r}",
        )
    for parent, mode in above:
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise EndorsementError(
                "endorsements.cache.exposed",
                f"Anybody may write to {str(parent)!r} and so replace {str(path)!r}.",
                action=f"Remove that right, or set the sticky bit: chmod o-w {str(parent)!r}",
            )


@contextmanager
def used(path: Path) -> Iterator[None]:
    """Say of a path that it cannot be used, where the system refuses what is done with it.

    Raises:
        EndorsementError: ``endorsements.cache.unusable``.
    """
    try:
        yield
    except OSError as error:
        _unusable(path, error)


def read(path: Path, *, limit: int) -> bytes | None:
    """Return the content of a regular file of ours; None when there is none, or it is not one of these."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & _OTHERS:
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(limit + 1)
    return data if len(data) <= limit else None


def write(path: Path, data: bytes) -> None:
    """Replace a file: a crash leaves the old content or the new.

    Raises:
        EndorsementError: ``endorsements.cache.unusable``.
    """
    fresh = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(
            fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
        finally:
            with suppress(FileNotFoundError):
                fresh.unlink()
    except OSError as error:
        _unusable(path, error)


def _unusable(path: Path, error: OSError) -> NoReturn:
    raise EndorsementError(
        "endorsements.cache.unusable",
        f"{str(path)!r} cannot be read or written: {os.strerror(error.errno or 0)}.",
        action="Choose another directory, or correct its rights or the room on its disk.",
    ) from error
