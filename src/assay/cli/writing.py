"""Writing the files that a person asked for: new ones only, whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from typing import TYPE_CHECKING, Final

from assay.cli.output import escape
from assay.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet.

    Whoever reads it later sees all of it: half a policy can be a policy that demands less.

    Raises:
        UsageError: ``cli.file.exists``, ``cli.file.unwritable``; then nothing was left behind.
    """
    shown = escape(str(path), limit=300)
    fresh = path.parent / f".{path.name[:40]}.{secrets.token_hex(8)}"
    try:
        try:
            with fresh.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _place(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
    except FileExistsError:
        raise UsageError("cli.file.exists", f"{shown} exists already; it was not touched.") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        why = os.strerror(error.errno or 0) if isinstance(error, OSError) else "that is no file name"
        raise UsageError("cli.file.unwritable", f"{shown} cannot be written: {why}.") from None


def _place(fresh: Path, path: Path) -> None:
    """Give a file its name, unless something has it."""
    try:
        os.link(fresh, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError from None
        fresh.replace(path)
