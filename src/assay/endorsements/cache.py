"""What was fetched and verified, kept in a directory of ours alone.

    entries/<digest of what it is about>.json    what was verified: kind, key, window, basis, anchor, parts
    parts/<SHA-256>                              the bytes, shared by entries that have the same
    locks/<digest>                               one fetch at a time for each thing, in all processes

Only endorsements enter whose signatures were verified, or that came over verified TLS where nobody signs. An
entry that no longer holds is kept: a machine without a network can still show what it was, and is told that
it is stale. A damaged entry counts as absent.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import rfc8785

from assay.endorsements import private
from assay.endorsements.record import MAX_PART_BYTES, MAX_RECORD_BYTES, Endorsement, parse_record, read_record
from assay.errors import AssayError, EndorsementError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.endorsements.record import Wanted
    from assay.endorsements.surroundings import Surroundings

MAX_ENTRIES: Final = 4096
MAX_BYTES: Final = 256 << 20
_POLL_SECONDS: Final = 0.05


@dataclass(slots=True)
class Cache:
    """The endorsements at hand. Safe to share between threads and processes.

    Args:
        directory: Made as 0700 when it is not there.
        surroundings: For waiting on another process.
        max_entries: How many entries are kept; the least recently stored go first.
        max_bytes: How many bytes all parts may have together; the same.
        patience: How long to wait for another fetch of the same thing, seconds.

    Raises:
        EndorsementError: ``endorsements.cache.exposed``, ``endorsements.cache.unusable``.
    """

    directory: Path
    surroundings: Surroundings
    max_entries: int = MAX_ENTRIES
    max_bytes: int = MAX_BYTES
    patience: float = 180.0
    _turns: WeakValueDictionary[str, threading.Lock] = field(
        default_factory=WeakValueDictionary, init=False, repr=False
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __post_init__(self) -> None:
        private.prepare_directory(self.directory)
        for name in ("entries", "parts", "locks"):
            private.prepare_directory(self.directory / name)

    def find(self, wanted: Wanted) -> Endorsement | None:
        """Return what is kept about a thing, stale or not; None when there is nothing that can be read."""
        data = private.read(self._entry(wanted), limit=MAX_RECORD_BYTES)
        if data is None:
            return None
        with suppress(AssayError):
            found = self._open(data)
            if found.wanted == wanted:
                return found
        return None

    def put(self, endorsement: Endorsement) -> None:
        """Keep what was verified; the caller has verified it.

        Raises:
            EndorsementError: ``endorsements.cache.unusable``, ``endorsements.cache.busy``.
        """
        record = rfc8785.dumps(endorsement.record())
        if len(record) > MAX_RECORD_BYTES:
            raise EndorsementError(
                "endorsements.record.malformed", "The record of an endorsement is too long."
            )
        with self._alone("all"):
            for name, digest in endorsement.digests().items():
                private.write(self.directory / "parts" / digest, endorsement.parts[name])
            private.write(self._entry(endorsement.wanted), record)
            self._make_room(endorsement)

    def entries(self) -> Iterator[Endorsement]:
        """Return everything that is kept and can be read, by kind and key."""
        yield from self.contents()[0]

    def contents(self) -> tuple[list[Endorsement], int]:
        """Return everything that is kept and can be read, by kind and key, and how many entries cannot be.

        What makes room for something else meanwhile is neither.
        """
        found, unreadable = [], 0
        for path in self._listed("entries"):
            if path.suffix != ".json":
                continue
            data = private.read(path, limit=MAX_RECORD_BYTES)
            try:
                found.append(self._open(data or b""))
            except AssayError:
                unreadable += os.path.lexists(path)
        found.sort(key=lambda entry: (entry.wanted.kind, entry.wanted.key))
        return found, unreadable

    @contextmanager
    def flight(self, wanted: Wanted) -> Iterator[None]:
        """Hold off every other fetch of the same thing, in this process and in others.

        Raises:
            EndorsementError: ``endorsements.cache.busy`` when another one holds it longer than ``patience``.
        """
        with self._alone(wanted.digest):
            yield

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        with self._lock:
            lock = self._turns.setdefault(name, threading.Lock())  # it goes with the last who holds it
        with self._thread_turn(lock), self._process_turn(name):
            yield

    @contextmanager
    def _thread_turn(self, lock: threading.Lock) -> Iterator[None]:
        if not lock.acquire(timeout=self.patience):
            raise _busy()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _process_turn(self, name: str) -> Iterator[None]:
        """Take the file lock of a name; the kernel frees it when its holder dies.

        The file goes when the turn ends, so that they do not pile up; whoever got hold of one that is gone
        by then tries again.
        """
        path = self.directory / "locks" / name
        end = self.surroundings.monotonic() + self.patience
        while True:
            descriptor = self._locked_file(path, end)
            with suppress(OSError):
                if os.fstat(descriptor).st_ino == path.stat().st_ino:
                    break
            os.close(descriptor)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _locked_file(self, path: Path, end: float) -> int:
        """Return the descriptor of a file, locked."""
        with private.used(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with private.used(path):
                self._wait_for_lock(descriptor, end)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _wait_for_lock(self, descriptor: int, end: float) -> None:
        while not _locked(descriptor):
            if self.surroundings.monotonic() >= end:
                raise _busy()
            self.surroundings.sleep(_POLL_SECONDS)

    def _entry(self, wanted: Wanted) -> Path:
        return self.directory / "entries" / f"{wanted.digest}.json"

    def _open(self, data: bytes) -> Endorsement:
        return read_record(parse_record(data), self._part)

    def _part(self, digest: str) -> bytes:
        data = private.read(self.directory / "parts" / digest, limit=MAX_PART_BYTES)
        if data is None or hashlib.sha256(data).hexdigest() != digest:
            raise EndorsementError("endorsements.cache.damaged", "A part of an entry is missing or altered.")
        return data

    def _listed(self, name: str) -> list[Path]:
        try:
            return sorted((self.directory / name).iterdir())
        except OSError:
            return []

    def _make_room(self, kept: Endorsement) -> None:
        """Drop the entries that were stored longest ago until the bounds hold, and parts that none names.

        Nothing is read as long as names and sizes alone show that there is room.
        """
        entries, parts = self._listed("entries"), self._listed("parts")
        if (
            len(entries) <= self.max_entries
            and sum(self._size(path.name) for path in parts) <= self.max_bytes
        ):
            return
        ages = {}
        for path in entries:
            with suppress(OSError):
                ages[path] = path.stat().st_mtime_ns
        own = self._entry(kept.wanted)
        ages.pop(own, None)
        order = [own, *sorted(ages, key=ages.__getitem__, reverse=True)]
        room, named = self.max_bytes, set[str]()
        for index, path in enumerate(order):
            own_parts = self._named_by(path)
            needed = sum(self._size(digest) for digest in own_parts - named)
            if path != own and (index >= self.max_entries or needed > room or not own_parts):
                path.unlink(missing_ok=True)
                continue
            room -= needed
            named |= own_parts
        for path in parts:
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _named_by(self, path: Path) -> set[str]:
        data = private.read(path, limit=MAX_RECORD_BYTES)
        try:
            return set(parse_record(data or b"").get("parts", {}).values())
        except (AssayError, AttributeError, TypeError):
            return set()

    def _size(self, digest: str) -> int:
        try:
            return (self.directory / "parts" / digest).stat().st_size
        except (OSError, ValueError, TypeError):  # of a damaged entry
            return 0


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _busy() -> EndorsementError:
    return EndorsementError(
        "endorsements.cache.busy",
        "Another fetch of the same endorsement does not end.",
        action="See whether another Assay hangs, and end it.",
    )
