"""Ending a machine from outside, and proving that nothing of it is left.

Only two kinds of processes are ever killed: those whose command line says that they are the machine of this
directory, and those that hold its lock. What the files in the directory name is waited for, never killed:
they may have been changed.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import AmbiguousError
from assay.providers.local import directory as files
from assay.providers.local.processes import ProcessIdentity, kill, wait_ended

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE = "assay.providers.local.machine"
PAUSE_SECONDS = 0.01


def machine_processes(home: Path) -> dict[Path, list[ProcessIdentity]]:
    """Return every machine process of a home directory by the directory it serves, existing or not."""
    found: dict[Path, list[ProcessIdentity]] = {}
    for identity in _processes():
        with suppress(OSError):
            words = Path(f"/proc/{identity.pid}/cmdline").read_bytes().split(b"\0")
            if MODULE.encode() in words[:-1]:
                path = Path(os.fsdecode(words[words.index(MODULE.encode()) + 1]))
                if path.parent == home:
                    found.setdefault(path, []).append(identity)
    return found


def end(path: Path, deadline: float) -> int | None:
    """Kill whatever belongs to a machine's directory, and wait until nothing does.

    Args:
        path: The directory.
        deadline: On ``time.monotonic``.

    Returns:
        The descriptor of the directory's lock: nothing of it is alive, nothing can start while it is held.
        None when there is no directory, and no process either.

    Raises:
        AmbiguousError: ``provider.local.ambiguous`` when the deadline comes first;
            ``provider.local.tampered`` when it does because the directory has no lock any more.
    """
    named = _named(path)
    lock = _quiet(path, deadline)
    if lock is not None:
        try:
            # The first process of a sandbox lets go of the lock just before its namespace has ended.
            for identity in named:
                _wait(identity, deadline)
        except AmbiguousError:
            os.close(lock)
            raise
    return lock


def _quiet(path: Path, deadline: float) -> int | None:
    """Kill until there is nothing left to kill; return the lock, if there is a directory."""
    lock = None
    while True:
        if lock is None:
            lock = files.take_lock(path)
        # A machine that has not come to its lock yet is killed as well, though it could not start anything.
        alive = machine_processes(path.parent).get(path, [])
        if not alive and (lock is not None or not path.exists()):
            return lock
        for identity in (*alive, *(_holders(path / files.LOCK) if lock is None else ())):
            _kill(identity)
        if time.monotonic() >= deadline:
            if lock is not None:
                os.close(lock)
            elif path.exists() and not (path / files.LOCK).exists():
                raise files.tampered(path, files.LOCK)
            raise ambiguous("end")
        time.sleep(PAUSE_SECONDS)


def ambiguous(what: str) -> AmbiguousError:
    """Return the error for a deadline that came before an answer."""
    return AmbiguousError(
        "provider.local.ambiguous",
        f"It is not known whether the local machine did {what}: the time for finding out is over.",
        action="Repeat the command; it continues where this one stopped.",
    )


def _named(path: Path) -> tuple[ProcessIdentity, ...]:
    record = files.Record.decode(files.read(path, files.RECORD) or b"")
    return record.identities() if record else ()


def _processes() -> Iterator[ProcessIdentity]:
    """Yield the processes of this user; root's view holds those of its guests as well."""
    own, user = os.getpid(), os.geteuid()
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == own:
            continue
        with suppress(OSError):
            if user in (0, place.stat().st_uid) and (identity := ProcessIdentity.of(int(place.name))):
                yield identity


def _holders(lock: Path) -> Iterator[ProcessIdentity]:
    """Yield the processes that have the lock file open."""
    try:
        wanted = lock.stat(follow_symlinks=False)
    except OSError:
        return
    for identity in _processes():
        with suppress(OSError):
            for descriptor in Path(f"/proc/{identity.pid}/fd").iterdir():
                with suppress(OSError):
                    found = descriptor.stat()
                    if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                        yield identity
                        break


def _kill(identity: ProcessIdentity) -> None:
    pidfd = identity.hold()
    if pidfd is not None:
        kill(pidfd)
        os.close(pidfd)


def _wait(identity: ProcessIdentity, deadline: float) -> None:
    pidfd = identity.hold()
    if pidfd is not None:
        ended = wait_ended(pidfd, deadline)
        os.close(pidfd)
        if not ended:
            raise ambiguous("end")
