"""Asking git which files a working tree has, without letting the repository run anything.

A repository's own configuration can name programs (``core.fsmonitor``, hooks, filters) and another working
tree (``core.worktree``). The first are switched off for the commands run here; the second is refused.
``safe.directory`` is left to the user's own configuration: git refuses a repository of somebody else's.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.errors import LeaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

GIT_SECONDS: Final = 60.0
MAX_LISTING_BYTES: Final = 256 << 20
_SUBMODULE: Final = "160000"
_SWITCHED_OFF: Final = (
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.hooksPath=/dev/null",
    "core.attributesFile=/dev/null",
    "core.sshCommand=false",
    "credential.helper=",
    "diff.external=",
    "protocol.allow=never",
    "submodule.recurse=false",
    "core.quotePath=false",
)
_KEPT: Final = ("HOME", "XDG_CONFIG_HOME", "PATH", "USER", "LOGNAME", "TMPDIR")


def find_top(start: Path) -> Path | None:
    """Return the nearest directory from ``start`` upwards that has a ``.git``, or None."""
    for directory in (start, *start.parents):
        try:
            (directory / ".git").lstat()
        except OSError:
            continue
        return directory
    return None


def _run(directory: Path, environ: Mapping[str, str], *arguments: str) -> bytes:
    settings = [word for setting in _SWITCHED_OFF for word in ("-c", setting)]
    environment = {name: environ[name] for name in _KEPT if name in environ}
    environment |= {
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_PAGER": "cat",
    }
    try:
        done = subprocess.run(
            ["git", *settings, "-C", os.fspath(directory), *arguments],  # noqa: S607 - the user's own git
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise LeaseError(
            "lease.sync.no_git",
            f"{directory} is a git repository, and there is no git here to list its files.",
            action="Install git, or name a directory with --sync DIR outside a repository.",
        ) from None
    except subprocess.TimeoutExpired:
        raise LeaseError("lease.sync.git", f"git took more than {GIT_SECONDS:.0f} s to answer.") from None
    if done.returncode != 0:
        said = done.stderr[:400].decode("utf-8", "replace").strip()
        raise LeaseError(
            "lease.sync.git",
            f"git refused to list {directory}: {said}",
            action="See git's own words; for a repository of another owner it is safe.directory.",
        )
    return done.stdout


def top_of(start: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the top of the working tree that holds ``start``, or None outside a repository.

    Raises:
        LeaseError: ``lease.sync.worktree`` when the repository's configuration points to another directory;
            ``lease.sync.git`` when git refuses it.
    """
    top = find_top(start)
    if top is None:
        return None
    said = Path(os.fsdecode(_run(top, environ, "rev-parse", "--show-toplevel").rstrip(b"\n")))
    if not said.exists() or not said.samefile(top):
        raise LeaseError(
            "lease.sync.worktree",
            f"The repository at {top} says that its working tree is {said}.",
            action="Remove core.worktree from its configuration, or name a directory with --sync DIR.",
        )
    return top


def files(directory: Path, environ: Mapping[str, str]) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the files below ``directory`` that git tracks or would track, and its submodules.

    Paths are relative to ``directory``, sorted, unique; tracked files that were deleted are among them.

    Args:
        directory: A directory of a working tree.
        environ: The environment; nothing of git's own in it is passed on.
    """
    tracked = _run(directory, environ, "ls-files", "-z", "--cached", "--stage")
    others = _run(directory, environ, "ls-files", "-z", "--others", "--exclude-standard")
    if len(tracked) + len(others) > MAX_LISTING_BYTES:
        raise LeaseError("lease.sync.too_many", "git lists more files than can be sent.")
    found: set[bytes] = {path for path in others.split(b"\0") if path}
    submodules: set[bytes] = set()
    for line in tracked.split(b"\0"):
        stage, _, path = line.partition(b"\t")
        if path:
            (submodules if stage.startswith(_SUBMODULE.encode()) else found).add(path)
    # An untracked repository inside the tree is listed as a directory with a slash at its end.
    nested = {path for path in found if path.endswith(b"/")}
    return tuple(sorted(found - nested)), tuple(sorted(submodules | {path.rstrip(b"/") for path in nested}))
