"""Which files go in: the git working tree, or a directory that was named, or nothing.

What cannot or should not be sent stops the run by name before a machine is leased: links that leave the tree,
submodules, special files, and files that look like secrets unless each is named with ``--include``.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from assay.errors import LeaseError
from assay.leases import git
from assay.leases.secrets import begins_like_a_secret, named_like_a_secret
from assay.leases.spool import Spool, Tree, special
from assay.workload.bundle import Entry, Kind
from assay.workload.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_SHOWN_NAMES: Final = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asks to send.

    Attributes:
        cwd: The working directory of the command.
        directory: The directory of ``--sync``, or None.
        include: Paths, relative to the root, that are sent although they look like secrets.
        exclude: Patterns of paths that are not sent.
        max_files: Most entries.
        max_bytes: Most bytes.
    """

    cwd: Path
    directory: Path | None
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    max_files: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files come from.

    Attributes:
        root: The directory that becomes the workload's; None when nothing is sent.
        tracked: Whether git lists the files.
        cwd: The command's working directory below the root; empty for the root itself.
        repository: The directory whose ``assay.toml`` tightens the settings: the top of the repository, or
            the root outside of one.
    """

    root: Path | None
    tracked: bool
    cwd: str
    repository: Path | None = None


def locate(wanted: Wanted, environ: Mapping[str, str]) -> Source:
    """Return where the files come from; nothing is opened but by git.

    Raises:
        LeaseError: ``lease.sync.directory`` for a ``--sync`` that is no directory; those of ``git.top_of``.
    """
    cwd = wanted.cwd.resolve()
    if wanted.directory is None:
        top = git.top_of(cwd, environ)
        if top is None:
            return Source(root=None, tracked=False, cwd="")
        return Source(root=top, tracked=True, cwd=_below(cwd, top), repository=top)
    root = wanted.directory.resolve()
    if not root.is_dir():
        raise LeaseError("lease.sync.directory", f"--sync {wanted.directory} is not a directory.")
    top = git.top_of(root, environ)
    return Source(root=root, tracked=top is not None, cwd=_below(cwd, root), repository=top or root)


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path != root and path.is_relative_to(root) else ""


def collect(source: Source, wanted: Wanted, spool: Spool, environ: Mapping[str, str]) -> None:
    """Copy everything that is sent into the spool and seal it.

    Raises:
        LeaseError: ``lease.sync.*``: submodules, special files, likely secrets, too many or too large, an
            ``--include`` that is not there.
        WorkloadError: ``workload.link.leaves_tree``, ``workload.path.unsafe``.
    """
    if source.root is not None:
        with Tree(source.root) as tree:
            _fill(source, wanted, spool, tree, environ)
    spool.seal()


def _fill(source: Source, wanted: Wanted, spool: Spool, tree: Tree, environ: Mapping[str, str]) -> None:
    paths = _paths(source, wanted, tree, environ)
    included = _included(wanted, tree)
    if len(paths) + len(included) > wanted.max_files:
        raise LeaseError(
            "lease.sync.too_many",
            f"There are {len(paths)} files to send; the limit is {wanted.max_files}.",
            action="Send less (--exclude), or raise sync.max_files in your own settings.",
        )
    suspects: list[bytes] = []
    for path in sorted({*paths, *included}):
        named = _is_included(os.fsdecode(path), wanted.include)
        if not named and named_like_a_secret(os.fsdecode(path)):
            suspects += [path] if tree.status(path) is not None else []
            continue
        if not _take(path, wanted, spool, tree, trusted=named):
            suspects.append(path)
    if suspects:
        raise LeaseError(
            "lease.sync.secret",
            f"These look like secrets and were not named: {_names(suspects)}.",
            action="--include PATH sends one of them, --exclude PATH leaves it here; nothing was leased.",
            files=len(suspects),
        )
    _add_cwd(source, spool, tree)


def _take(path: bytes, wanted: Wanted, spool: Spool, tree: Tree, *, trusted: bool) -> bool:
    """Add one path; return False for a file that begins like a secret."""
    status = tree.status(path)
    if status is None:
        return True  # tracked and deleted
    if stat.S_ISDIR(status.st_mode):
        return True  # tracked as a file once; what is in it is listed by itself
    if stat.S_ISLNK(status.st_mode):
        spool.add(Entry(path, Kind.LINK, 0o777, 0, tree.target(path)))
        return True
    if not stat.S_ISREG(status.st_mode):
        raise special(path)
    left = wanted.max_bytes - spool.filled
    suspicious = _unsuspicious if trusted else begins_like_a_secret
    return spool.copy(path, tree.open(path), left, suspicious) is not None


def _unsuspicious(_head: bytes) -> bool:
    return False


def _paths(source: Source, wanted: Wanted, tree: Tree, environ: Mapping[str, str]) -> list[bytes]:
    if source.root is None:
        return []
    if not source.tracked:
        return [
            path
            for path, empty in tree.walk(wanted.max_files)
            if not empty and not excluded(os.fsdecode(path), wanted.exclude)
        ]
    found, submodules = git.files(source.root, environ)
    nested = [path for path in submodules if not excluded(os.fsdecode(path), wanted.exclude)]
    if nested:
        raise LeaseError(
            "lease.sync.submodule",
            f"The tree holds repositories of its own, which are not sent: {_names(nested)}.",
            action=f"--exclude {shown(nested[0])}",
        )
    return [path for path in found if not excluded(os.fsdecode(path), wanted.exclude)]


def _included(wanted: Wanted, tree: Tree) -> list[bytes]:
    found = []
    for name in wanted.include:
        path = os.fsencode(name.rstrip("/"))
        status = tree.status(path) if path and not path.startswith(b"/") else None
        if status is None:
            raise LeaseError("lease.sync.include", f"--include {name[:200]}: no such path below the root.")
        if not stat.S_ISDIR(status.st_mode):
            found.append(path)
    return found


def _is_included(path: str, include: Iterable[str]) -> bool:
    return any(path == (name := given.rstrip("/")) or path.startswith(name + "/") for given in include)


def excluded(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a pattern names the path, a directory above it, or (without ``/``) any part of it."""
    parts = path.split("/")
    heads = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    for given in patterns:
        pattern = given.rstrip("/").removeprefix("./")
        candidates = heads if "/" in pattern else parts
        if any(fnmatchcase(candidate, pattern.lstrip("/")) for candidate in candidates):
            return True
    return False


def _add_cwd(source: Source, spool: Spool, tree: Tree) -> None:
    """Make sure that the command's working directory exists in the bundle."""
    cwd = os.fsencode(source.cwd)
    if cwd and not spool.holds_below(cwd) and tree.status(cwd) is not None:
        spool.add(Entry(cwd, Kind.DIRECTORY, 0o755, 0, b""))


def _names(paths: list[bytes]) -> str:
    names = ", ".join(shown(path) for path in paths[:_SHOWN_NAMES])
    return names if len(paths) <= _SHOWN_NAMES else f"{names} and {len(paths) - _SHOWN_NAMES} more"
