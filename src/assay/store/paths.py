"""Where the state of one user lives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE_NAME = "assay.db"


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return ``ASSAY_STATE_DIR``, else ``$XDG_STATE_HOME/assay``, else ``~/.local/state/assay``.

    A relative ``XDG_STATE_HOME`` is ignored, as the XDG Base Directory Specification asks.

    Args:
        environ: The process environment; nothing else is consulted, and nothing is created.

    Raises:
        StoreError: ``store.path.relative`` for a relative ``ASSAY_STATE_DIR``; ``store.path.no_home`` when no
            variable says where to go.
    """
    own = environ.get("ASSAY_STATE_DIR", "")
    if own:
        if not Path(own).is_absolute():
            raise StoreError(
                "store.path.relative",
                "ASSAY_STATE_DIR is a relative path, so each working directory would have its own state.",
                action="Set ASSAY_STATE_DIR to an absolute path, or unset it.",
            )
        return Path(own)
    xdg = environ.get("XDG_STATE_HOME", "")
    if xdg and Path(xdg).is_absolute():
        return Path(xdg) / "assay"
    home = environ.get("HOME", "")
    if not home or not Path(home).is_absolute():
        raise StoreError(
            "store.path.no_home",
            "Neither ASSAY_STATE_DIR nor XDG_STATE_HOME nor HOME names an absolute directory for the state.",
            action="Set ASSAY_STATE_DIR to an absolute path.",
        )
    return Path(home) / ".local" / "state" / "assay"
