"""The provider ``local``: creates, lists, ends and connects to machines on this computer.

A machine exists when its directory does. The directory appears at once, with its intent, before anything is
started; everything that runs holds the directory's lock, so a machine is proven gone by taking it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from assay.errors import AmbiguousError, GoneError, ProviderError, StoreError
from assay.providers.interface import Machine, MachineState, Offer, Provider, SupportsExpiry, Trust
from assay.providers.local import directory as files
from assay.providers.local import image
from assay.providers.local.ending import end, machine_processes
from assay.providers.local.isolation import Rung, probe
from assay.providers.local.processes import ProcessIdentity
from assay.providers.local.starting import start, wait_started
from assay.store.files import create_private, prepare_directory, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from assay.providers.interface import CreateRequest
    from assay.simulator.intel import Installation

MACHINE = "small"
PLATFORM: Final = "tdx"
ATTACKS = ("stale-nonce", "debug", "foreign-key", "changed-bundle", "changed-agent")
NO_INTENT = "00000000"
_LEFTOVER = re.compile(r"\.(?:new|gone)-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]{8}\Z")


def _now() -> datetime:
    return datetime.now(UTC)


class LocalProvider(Provider, SupportsExpiry):
    """Machines on this computer; see the package for what they are.

    Args:
        state_dir: The user's state directory; machines live in ``local/`` below it.
        environ: Its ``PATH`` is searched for bubblewrap.
        rung: The rung of isolation; None finds the best one that works.
        now: The clock.
    """

    name = "local"
    settle_seconds = 0.0  # a machine has its directory before anything else, so absence is proof at once

    def __init__(
        self,
        state_dir: Path,
        *,
        environ: Mapping[str, str],
        rung: Rung | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._state = state_dir
        self._home = state_dir / "local"
        self._environ = environ
        self._rung = rung
        self._now = now

    @cached_property
    def rung(self) -> Rung:
        """How guests are isolated here."""
        return self._rung or probe(self._environ)

    @cached_property
    def installation(self) -> Installation:
        """The simulated Intel of this state directory; made at the first use."""
        # Not needed to list or destroy.
        from assay.simulator.intel import STATE_DIRECTORY, Installation  # noqa: PLC0415

        prepare_directory(self._state)
        return Installation.create(self._state / STATE_DIRECTORY)

    def offers(self) -> tuple[Offer, ...]:
        """Return the one kind of machine that this computer has."""
        return (Offer(self.name, MACHINE, PLATFORM, None, simulated=True, isolation=self.rung.name),)

    def trust(self, request: CreateRequest) -> Trust:
        """Return this installation's root and collateral, and the measurement of its own agent sources."""
        from assay.evidence.roots import Roots  # noqa: PLC0415 - not needed to list or destroy

        intel = self.installation
        return Trust(
            roots=Roots.vendor().with_anchor(intel.anchor_name, intel.root_der),
            collateral=intel.collateral(self._now(), platform=PLATFORM),
            references={
                "mr_td": frozenset({image.measurement(image.build())}),
                "mr_config_id": frozenset({request.config.digest()}),
            },
            policy="local",
        )

    def create(self, request: CreateRequest, *, timeout: float) -> Machine:
        """Start the machine of a lease, or return the one that exists, running or stopped.

        Raises:
            ProviderError: ``provider.local.offer``, ``provider.local.lease``, ``provider.local.option``,
                ``provider.local.expired``, ``provider.local.conflict`` when the lease has a machine that was
                asked for otherwise, ``provider.local.storage`` when its directory cannot be made,
                ``provider.local.start`` when it did not start and nothing is left.
            AmbiguousError: ``provider.local.ambiguous`` when the deadline came first;
                ``provider.local.tampered``, ``provider.local.intent``.
        """
        deadline = time.monotonic() + timeout
        wanted = self._intent(request)
        path = self._home / request.lease
        found = self._read_intent(path) or self._publish(path, wanted)
        if not found.same_request(wanted):
            raise ProviderError(
                "provider.local.conflict",
                f"The lease {request.lease} has a local machine that was asked for otherwise.",
                action="Stop that lease, or use another.",
            )
        record = self._record(path)
        trouble = start(path, deadline) if record is None else wait_started(path, deadline)
        if trouble and self._record(path) is None:
            self._remove(path, deadline)
            raise ProviderError("provider.local.start", f"The local machine did not start: {trouble}.")
        return self._machine(path, found)

    def _intent(self, request: CreateRequest) -> files.Intent:
        attack = request.options.get("attack", "")
        if (request.machine, request.platform) != (MACHINE, PLATFORM):
            raise ProviderError(
                "provider.local.offer",
                f"This computer has machines of the kind {MACHINE} for {PLATFORM} alone.",
                action=f"Use --on local:{MACHINE}/{PLATFORM}.",
            )
        if not files.LEASE.match(request.lease) or request.lease != request.config.lease:
            raise ProviderError("provider.local.lease", "This is not the id of a lease, or not of this one.")
        if set(request.options) - {"attack"} or (attack and attack not in ATTACKS):
            raise ProviderError(
                "provider.local.option",
                f"A local machine knows the option attack alone, with: {', '.join(ATTACKS)}.",
            )
        now = self._now()
        if request.expires_at <= now:
            raise ProviderError("provider.local.expired", "This machine would end before it starts.")
        return files.Intent(
            token=secrets.token_hex(4),
            lease=request.lease,
            machine=request.machine,
            platform=request.platform,
            config=request.config,
            created_at=now,
            expires_at=request.expires_at,
            attack=attack,
            rung=self.rung,
        )

    def _publish(self, path: Path, wanted: files.Intent) -> files.Intent:
        """Let the directory appear with its intent, both durable; return the intent that appeared first."""
        prepare_directory(self._home)
        _ = self.installation
        self._sweep()
        fresh = self._home / _leftover("new")
        try:
            fresh.mkdir(mode=0o700)
            create_private(fresh / files.LOCK, b"")
            create_private(fresh / files.INTENT, wanted.encode())
            appeared = _appear(fresh, path)
        except (OSError, StoreError) as error:
            raise ProviderError(
                "provider.local.storage", f"The directory of a local machine cannot be made: {error}."
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        if appeared:
            return wanted
        found = self._read_intent(path)
        if found is None:
            raise files.tampered(path, files.INTENT)
        return found

    def inventory(self, *, timeout: float) -> tuple[Machine, ...]:
        """Return every machine that has a directory, and every machine process that has lost its own.

        Raises:
            AmbiguousError: ``provider.local.tampered``, ``provider.local.intent``,
                ``provider.local.unreadable``.
        """
        del timeout  # nothing here waits
        self._sweep()
        # Processes first: one that starts meanwhile has a directory, which is listed after.
        running = set(machine_processes(self._home))
        places = {path for path in self._places() if files.LEASE.match(path.name)}
        return tuple(self._described(path) for path in sorted(places | running))

    def describe(self, machine_id: str, *, timeout: float) -> Machine:
        """Return a machine as it is now.

        Raises:
            GoneError: ``provider.local.gone``.
            AmbiguousError: as ``inventory``.
        """
        del timeout
        return self._described(self._place(machine_id))

    def expiry(self, machine_id: str, *, timeout: float) -> datetime:
        """Return when a machine ends itself; raises as ``describe``."""
        del timeout
        path = self._place(machine_id)
        intent = self._read_intent(path)
        if intent is None:
            raise files.tampered(path, files.INTENT)
        return intent.expires_at

    def destroy(self, machine_id: str, *, timeout: float) -> None:
        """End a machine and its guest, prove that nothing is left, and remove its directory.

        Raises:
            AmbiguousError: ``provider.local.ambiguous`` when that is not proven within the deadline;
                ``provider.local.intent``, ``provider.local.tampered``, ``provider.local.unreadable``.
        """
        deadline = time.monotonic() + timeout
        try:
            path = self._place(machine_id)
        except GoneError:
            return
        self._remove(path, deadline)

    def connect(self, machine: Machine, *, timeout: float) -> socket.socket:
        """Return a connection to the guest.

        Raises:
            GoneError: ``provider.local.gone``.
            ProviderError: ``provider.local.unreachable`` when its guest does not listen.
        """
        path = self._place(machine.id)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(timeout)
            place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                # A path through a descriptor is short, however deep the state directory lies.
                connection.connect(f"/proc/self/fd/{place}/{files.SOCKET}")
            finally:
                os.close(place)
        except OSError as error:
            connection.close()
            raise ProviderError(
                "provider.local.unreachable",
                f"The guest of {machine.lease} does not answer: {error.strerror or 'time is over'}.",
            ) from error
        return connection

    def _places(self) -> list[Path]:
        try:
            return list(self._home.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AmbiguousError(
                "provider.local.unreadable",
                f"The directory of the local machines cannot be read: {error.strerror}.",
            ) from error

    def _place(self, machine_id: str) -> Path:
        """Return where a machine lives.

        Raises:
            GoneError: ``provider.local.gone`` when it does not.
        """
        named = files.MACHINE_ID.match(machine_id)
        if named:
            path = self._home / named["lease"]
            intent = self._read_intent(path)
            if intent.id == machine_id if intent else path.exists() or path in machine_processes(self._home):
                return path
        raise GoneError("provider.local.gone", "This local machine does not exist.")

    def _read_intent(self, path: Path) -> files.Intent | None:
        data = files.read(path, files.INTENT)
        if data is None:
            return None
        intent = files.Intent.decode(data)
        if intent.lease != path.name:
            raise files.tampered(path, files.INTENT)
        return intent

    def _record(self, path: Path) -> files.Record | None:
        data = files.read(path, files.RECORD)
        if data is None:
            return None
        record = files.Record.decode(data)
        if record is None:
            raise files.tampered(path, files.RECORD)
        return record

    def _described(self, path: Path) -> Machine:
        intent = self._read_intent(path)
        if intent is not None:
            return self._machine(path, intent)
        details = {"directory": str(path), "orphan": "its intent has gone"}
        return Machine(f"{path.name}.{NO_INTENT}", path.name, MachineState.RUNNING, self._now(), details)

    def _machine(self, path: Path, intent: files.Intent) -> Machine:
        record = self._record(path)
        details = {"isolation": intent.rung.name, "directory": str(path)}
        state = MachineState.STARTING
        if record is not None:
            details["pid"] = str(record.machine.pid)
            state = MachineState.RUNNING
            if record.ended or not record.machine.alive:
                state = MachineState.STOPPED
                details["ended"] = record.ended or "it was killed"
        return Machine(intent.id, intent.lease, state, intent.created_at, details)

    def _remove(self, path: Path, deadline: float) -> None:
        lock = end(path, deadline)
        if lock is None:
            return
        gone = self._home / _leftover("gone")
        try:
            path.rename(gone)
            sync_directory(self._home)
            shutil.rmtree(gone)
        except FileNotFoundError:
            return
        except OSError as error:
            raise AmbiguousError(
                "provider.local.ambiguous",
                f"The processes of the local machine have ended, but its files remain: {error.strerror}.",
            ) from error
        finally:
            os.close(lock)

    def _sweep(self) -> None:
        """Remove what a killed process left between making or ending a machine and naming it."""
        for path in self._places():
            left = _LEFTOVER.match(path.name)
            if left:
                owner = ProcessIdentity.of(int(left["pid"]))
                if owner is None or owner.start_time != int(left["start"]):
                    shutil.rmtree(path, ignore_errors=True)


def _appear(fresh: Path, path: Path) -> bool:
    """Give a directory its name, durably; return False when another one has it.

    Raises:
        OSError: when it has no name.
        AmbiguousError: ``provider.local.ambiguous`` when it has, but a crash of the computer may undo it.
    """
    try:
        fresh.rename(path)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            return False
        raise
    try:
        sync_directory(path.parent)
    except OSError as error:
        raise AmbiguousError(
            "provider.local.ambiguous", f"The directory of a local machine may be lost: {error.strerror}."
        ) from error
    return True


def _leftover(kind: str) -> str:
    """Return a name that tells who uses it, so that others can remove it when that process has ended."""
    own = ProcessIdentity.of(os.getpid())
    start_time = own.start_time if own else 0
    return f".{kind}-{os.getpid()}-{start_time}-{secrets.token_hex(4)}"
