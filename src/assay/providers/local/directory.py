"""The directory of one machine: what was intended, what runs, and the lock that proves that something does.

intent.json     what was asked for; written before anything is started, never changed
machine.json    who runs: identities of machine and sandbox, how it ended; written by the machine alone
alive           a file lock, held by the machine and, through an inherited descriptor, by the first process
                of the sandbox: whoever can take it knows that neither is left
guest.sock      the guest's listening socket; inner.sock when a hostile host stands before it
guest.log       what the guest printed, bounded; machine.log: what went wrong in the machine
storage/        the guest's files on rung ``none``; a tmpfs takes its place on ``bubblewrap``
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from assay.channel.launch import LaunchConfig
from assay.errors import AmbiguousError, AssayError
from assay.providers.local.isolation import Rung
from assay.providers.local.processes import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path

INTENT = "intent.json"
RECORD = "machine.json"
LOCK = "alive"
SOCKET = "guest.sock"
INNER_SOCKET = "inner.sock"
GUEST_LOG = "guest.log"
MACHINE_LOG = "machine.log"
STORAGE = "storage"
MACHINE_ID = re.compile(r"(?P<lease>[a-z0-9][a-z0-9-]{0,62})\.(?P<token>[0-9a-f]{8})\Z")
LEASE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
MAX_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Intent:
    """What was asked for.

    Attributes:
        token: Makes the machine's id unique when a lease is created twice; 8 hexadecimal digits.
        lease: The lease id.
        machine: The kind of machine.
        platform: The platform.
        config: The measured launch configuration.
        created_at: When it was asked for.
        expires_at: When the machine shall end itself.
        attack: Which attack the host plays; empty for none.
        rung: How the guest is isolated.
    """

    token: str
    lease: str
    machine: str
    platform: str
    config: LaunchConfig
    created_at: datetime
    expires_at: datetime
    attack: str
    rung: Rung

    @property
    def id(self) -> str:
        """The machine's id."""
        return f"{self.lease}.{self.token}"

    def same_request(self, other: Intent) -> bool:
        """Return whether both ask for the same machine; ids, times of asking and rungs do not count."""
        return self._request() == other._request()

    def _request(self) -> tuple[object, ...]:
        return (self.lease, self.machine, self.platform, self.config, self.expires_at, self.attack)

    def encode(self) -> bytes:
        """Return the content of the file."""
        return json.dumps(
            {
                "token": self.token,
                "lease": self.lease,
                "machine": self.machine,
                "platform": self.platform,
                "config": base64.b64encode(self.config.encode()).decode(),
                "created_at": self.created_at.isoformat(),
                "expires_at": self.expires_at.isoformat(),
                "attack": self.attack,
                "rung": self.rung.to_json(),
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Intent:
        """Return the intent that ``encode`` gave.

        Raises:
            AmbiguousError: ``provider.local.intent`` for anything else: a machine may well exist.
        """
        try:
            found = json.loads(data)
            intent = cls(
                token=str(found["token"]),
                lease=str(found["lease"]),
                machine=str(found["machine"]),
                platform=str(found["platform"]),
                config=LaunchConfig.decode(base64.b64decode(found["config"], validate=True)),
                created_at=datetime.fromisoformat(found["created_at"]),
                expires_at=datetime.fromisoformat(found["expires_at"]),
                attack=str(found["attack"]),
                rung=Rung.from_json(found["rung"]),
            )
            if MACHINE_ID.match(intent.id) and None not in (
                intent.created_at.tzinfo,
                intent.expires_at.tzinfo,
            ):
                return intent
        except (ValueError, KeyError, TypeError, RecursionError, binascii.Error, AssayError) as error:
            raise AmbiguousError(
                "provider.local.intent", "The intent file of a local machine cannot be read."
            ) from error
        raise AmbiguousError(
            "provider.local.intent", "The intent file of a local machine contradicts itself."
        )


@dataclass(frozen=True, slots=True)
class Record:
    """Who runs, as the machine wrote it.

    Attributes:
        machine: The machine process.
        guest: The process that started the guest and ends with it; None before.
        sandbox: The first process inside the sandbox, as seen from outside; None before, and on ``none``.
        ended: Why nothing runs any more; empty while something does.
    """

    machine: ProcessIdentity
    guest: ProcessIdentity | None = None
    sandbox: ProcessIdentity | None = None
    ended: str = ""

    def identities(self) -> tuple[ProcessIdentity, ...]:
        """Return all processes that it names, the machine first."""
        return tuple(found for found in (self.machine, self.guest, self.sandbox) if found)

    def encode(self) -> bytes:
        """Return the content of the file."""
        return json.dumps(
            {
                "machine": self.machine.to_json(),
                "guest": self.guest.to_json() if self.guest else None,
                "sandbox": self.sandbox.to_json() if self.sandbox else None,
                "ended": self.ended,
            }
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> Record | None:
        """Return the record that ``encode`` gave; None for anything else, which proves nothing."""
        try:
            found: Any = json.loads(data)
            machine = ProcessIdentity.from_json(found["machine"])
            guest, sandbox = (ProcessIdentity.from_json(found[name]) for name in ("guest", "sandbox"))
            return cls(machine, guest, sandbox, str(found["ended"])) if machine else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return None


def read(path: Path, name: str) -> bytes | None:
    """Return a small file of a machine's directory; None when it does not exist.

    Raises:
        AmbiguousError: ``provider.local.tampered`` when it is not a regular file of ours, or too large.
    """
    try:
        descriptor = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise tampered(path, name) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
            raise tampered(path, name)
        data = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_BYTES:
        raise tampered(path, name)
    return data


def write(path: Path, name: str, data: bytes) -> None:
    """Replace a small file of a machine's directory, durably.

    Raises:
        OSError: when it cannot be; the earlier content then stands.
    """
    fresh = path / f".{name}.{os.getpid()}"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path / name)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise


def take_lock(path: Path) -> int | None:
    """Take the lock of a machine's directory.

    Returns:
        Its descriptor, to be kept open; None when something alive holds it, or the directory has gone.
    """
    try:
        descriptor = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The file may have been removed, and the directory made anew, between opening and locking.
        if os.fstat(descriptor).st_ino == (path / LOCK).stat(follow_symlinks=False).st_ino:
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def tampered(path: Path, name: str) -> AmbiguousError:
    """Return the error for a file that is not what this provider wrote, so that nothing is known."""
    return AmbiguousError(
        "provider.local.tampered",
        f"The file {name} of the local machine {path.name} is not a file that this user wrote.",
        action=f"Look at it, end what it names by hand, and remove the directory {path}.",
    )
