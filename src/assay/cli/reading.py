"""Reading the files that a person names: bounded, regular files only, every failure with its own code."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from assay.cli.output import escape
from assay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_DIRECTORY_FILES: Final = 512
MAX_DIRECTORY_BYTES: Final = 64 << 20


def read_file(path: Path, *, limit: int) -> bytes:
    """Return the contents of a regular file.

    Args:
        path: What the person named.
        limit: Bytes that are read, at most.

    Raises:
        UsageError: ``cli.file.missing``, ``cli.file.directory``, ``cli.file.special``,
            ``cli.file.too_large``, ``cli.file.unreadable``.
    """
    shown = escape(str(path), limit=300)
    try:
        # Without O_NONBLOCK a named pipe that nobody writes to would hold the program for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if str(path) == "-":
            raise UsageError(
                "cli.file.missing",
                "There is no file -; standard input is not read here.",
                action="Write what it gives into a file, and name that.",
            ) from None
        raise UsageError("cli.file.missing", f"There is no file {shown}.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "that is no file name"
        raise UsageError("cli.file.unreadable", f"{shown} cannot be read: {why}.") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(
                "cli.file.directory",
                f"{shown} is a directory; a file is needed here.",
                action="Name the file in it that is meant.",
            )
        if not stat.S_ISREG(mode):
            raise UsageError(
                "cli.file.special",
                f"{shown} is no regular file.",
                action="Write what it gives into a file, and name that.",
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise UsageError("cli.file.unreadable", f"{shown} cannot be read: {why}.") from None
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise UsageError("cli.file.too_large", f"{shown} has more than {limit} bytes.")
    return data


def read_directory(path: Path, *, limit: int) -> dict[str, bytes]:
    """Return the regular files directly in a directory, by name; links and larger files are left out.

    Args:
        path: The directory.
        limit: Bytes of one file, at most.

    Raises:
        UsageError: ``cli.file.unreadable``, or ``cli.file.too_many`` beyond 512 files or 64 MiB together.
    """
    found: dict[str, bytes] = {}
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if (
                    not entry.is_file(follow_symlinks=False)
                    or entry.stat(follow_symlinks=False).st_size > limit
                ):
                    continue
                if len(found) >= MAX_DIRECTORY_FILES or sum(map(len, found.values())) > MAX_DIRECTORY_BYTES:
                    raise UsageError(
                        "cli.file.too_many",
                        f"{escape(str(path), limit=300)} holds too much to be looked through"
                        f" ({MAX_DIRECTORY_FILES} files, {MAX_DIRECTORY_BYTES >> 20} MiB).",
                    )
                found[entry.name] = read_file(path / entry.name, limit=limit)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise UsageError(
            "cli.file.unreadable", f"{escape(str(path), limit=300)} cannot be read: {why}."
        ) from None
    return found
