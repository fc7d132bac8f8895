"""Where settings files are, and how they are read: bounded, and only from a hand that may write them."""

from __future__ import annotations

import os
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILE_BYTES = 64 * 1024
REPOSITORY_FILE = "assay.toml"


def user_file(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's file: ``ASSAY_CONFIG``, else ``$XDG_CONFIG_HOME/assay/config.toml``."""
    if environ.get("ASSAY_CONFIG"):
        return Path(environ["ASSAY_CONFIG"])
    base = environ.get("XDG_CONFIG_HOME") or ""
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME") or "/") / ".config"
    return root / "assay" / "config.toml"


def _read(path: Path, *, ours: bool) -> bytes | None:
    """Return the bytes of a regular file, or None when there is none.

    Args:
        path: Where it stands.
        ours: Whether it must belong to this user and be writable by nobody else.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if ours else os.O_NOFOLLOW))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(
            "settings.file.unreadable", f"The settings file {path} cannot be read: {error.strerror}."
        ) from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError("settings.file.kind", f"The settings file {path} is not a regular file.")
        if ours and (status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022):
            raise SettingsError(
                "settings.file.owner",
                f"The settings file {path} belongs to another user, or others can write it.",
                action=f"chmod go-w {path}",
            )
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise SettingsError(
            "settings.file.size", f"The settings file {path} is longer than {MAX_FILE_BYTES} bytes."
        )
    return data


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}" if "." not in key else f'{prefix}"{key}"'  # a quoted dot is no path
        if isinstance(value, dict):
            found.update(_flatten(value, name + "."))
        else:
            found[name] = value
    return found


def load(path: Path, *, ours: bool) -> dict[str, Any] | None:
    """Return the settings of a TOML file by dotted key, or None when there is no such file.

    Args:
        path: Where it stands.
        ours: True for the user's file, which nobody else may be able to write; False for a repository's,
            which is untrusted and may not be a link.

    Raises:
        SettingsError: ``settings.file.*`` when it is unreadable, too long, another's, or not TOML.
    """
    data = _read(path, ours=ours)
    if data is None:
        return None
    try:
        return _flatten(tomllib.loads(data.decode("utf-8")))
    except (ValueError, RecursionError) as error:  # tomllib lets int's own ValueError through
        raise SettingsError(
            "settings.file.syntax", f"The settings file {path} is not TOML: {str(error)[:200]}."
        ) from None
