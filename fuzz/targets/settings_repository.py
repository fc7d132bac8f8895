"""A repository's settings: TOML by a stranger's hand, which may tighten and nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

from assay.errors import SettingsError
from assay.settings.resolve import resolve
from assay.settings.table import SETTINGS, Repository

_FOLDER = tempfile.TemporaryDirectory()
_HOME = {"HOME": _FOLDER.name}
_BUILT_IN = resolve(environ=_HOME, flags={}, repository=None)


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return files that tighten, and files that try more."""
    return [
        b'ttl = "10m"\nidle = 60\n[sync]\nexclude = ["a", "*.b"]\nmax_files = 3\n',
        b'[require]\nchecks = ["policy.tdx.debug"]\npolicies = ["a/b.toml"]\n[limits]\nmemory = "1GiB"\n',
        b'on = "local"\nprovider = "x"\n[env]\nA = 1\n',
    ]


def target(data: bytes) -> None:
    """Resolve settings under it: refused, or at most as loose as without it."""
    path = Path(_FOLDER.name) / "assay.toml"
    path.write_bytes(data)
    try:
        found = resolve(environ=_HOME, flags={}, repository=Path(_FOLDER.name))
    except SettingsError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
        return
    for setting in SETTINGS:
        before, after = _BUILT_IN.values[setting.key], found.values[setting.key]
        if setting.repository is Repository.NEVER and before != after:
            raise AssertionError(f"{setting.key} was chosen by a repository")
        if isinstance(before, int) and (not isinstance(after, int) or after > before):
            raise AssertionError(f"{setting.key} was raised by a repository")
        if isinstance(before, tuple) and set(before) - set(after if isinstance(after, tuple) else ()):
            raise AssertionError(f"{setting.key} lost what stood there")
