"""Starting the machine process of a directory, detached, and learning whether it came up."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import assay
from assay.providers.local import directory as files
from assay.providers.local.ending import MODULE, PAUSE_SECONDS, ambiguous

READY = b"ready"
SAID_BYTES = 300


def start(path: Path, deadline: float) -> str:
    """Start the machine of a directory, unless one has the directory's lock already.

    Args:
        path: The directory, with its intent.
        deadline: On ``time.monotonic``.

    Returns:
        Nothing when a machine has started its guest there; else why nothing runs there.

    Raises:
        AmbiguousError: ``provider.local.ambiguous`` when the deadline comes first.
    """
    ready, ready_far = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            starter = subprocess.Popen(
                [sys.executable, "-S", "-s", "-P", "-m", MODULE, str(path), str(ready_far)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(ready_far,),
                env={"PYTHONPATH": os.pathsep.join(import_path())},
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(ready_far)
        with starter:  # leaving the block waits for it, and so leaves no zombie
            said = _read(ready, deadline)
            if said is None or not _ended(starter, deadline):
                starter.kill()
                raise ambiguous("start")
    finally:
        os.close(ready)
    if said == READY:
        return ""
    return wait_started(path, deadline) and (said.decode("ascii", "replace") or "it said nothing")


def _ended(starter: subprocess.Popen[bytes], deadline: float) -> bool:
    """Return whether a starter ended in time: it detaches, or fails, once something was said."""
    try:
        starter.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def wait_started(path: Path, deadline: float) -> str:
    """Wait for a machine that another process started; see ``start``."""
    while True:
        record = files.Record.decode(files.read(path, files.RECORD) or b"")
        if record is not None and (record.guest or record.ended):
            return record.ended
        lock = files.take_lock(path)
        if lock is not None:
            os.close(lock)
            return "it has ended"
        if not path.exists():
            return "its directory has gone"
        if time.monotonic() >= deadline:
            raise ambiguous("start")
        time.sleep(PAUSE_SECONDS)


def import_path() -> list[str]:
    """Return where the machine process finds this very package and what it needs, without ``site``."""
    places = [str(Path(assay.__file__).parent.parent)]
    for name in ("cryptography", "_cffi_backend", "rfc8785"):
        spec = find_spec(name)
        if spec and spec.origin:
            place = Path(spec.origin).parent
            places.append(str(place.parent if spec.submodule_search_locations else place))
    return list(dict.fromkeys(places))


def _read(ready: int, deadline: float) -> bytes | None:
    """Return what the machine said, empty when it ended without a word; None at the deadline."""
    poll = select.poll()
    poll.register(ready, select.POLLIN)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        return None
    return os.read(ready, SAID_BYTES)
