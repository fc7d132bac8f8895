"""The machine of one local lease: simulated hardware, launcher, and the end of both at the deadline.

``python -m assay.providers.local.machine DIRECTORY READY_FD`` detaches itself, takes the directory's lock,
starts the guest from the measured image, says so on READY_FD, and then serves the quoting device until the
guest exits, the deadline comes, the directory disappears, or it is told to end. It never starts twice in one.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from assay.providers.local import directory as files
from assay.providers.local import image
from assay.providers.local.device import QuotingDevice, Wire
from assay.providers.local.isolation import guest_argv, guest_environment, guest_user
from assay.providers.local.processes import ProcessIdentity, kill, wait_ended
from assay.providers.local.starting import READY, SAID_BYTES
from assay.workload.linux_calls import pidfd_open

SEED = "the computer of this installation"
GUEST_LOG_BYTES = 256 << 10
BACKLOG = 16
RELAYED = ("foreign-key", "changed-bundle")
GRACE_SECONDS = 2.0
WATCH_SECONDS = 1.0
STATUS_SECONDS = 10.0


class _Log:
    """Keeps the first part of what the guest prints, and reads on for ever so that it never blocks."""

    def __init__(self, source: int, target: Path) -> None:
        self._source = source
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._target = os.open(target, flags, 0o600)
        self._room = GUEST_LOG_BYTES

    def pump(self) -> bool:
        """Take what is there; return False when nothing more will come."""
        said = os.read(self._source, 64 << 10)
        kept = said[: self._room]
        self._room -= len(kept)
        with suppress(OSError):  # a full disk costs the log, not the guest
            os.write(self._target, kept)
        return bool(said)


class Machine:
    """What runs in one directory.

    Args:
        path: The directory.
        intent: What was asked for.
        lock: The descriptor of its lock.
    """

    def __init__(self, path: Path, intent: files.Intent, lock: int) -> None:
        self.path = path
        self.intent = intent
        self.lock = lock
        life = (intent.expires_at - datetime.now(UTC)).total_seconds()
        self.deadline = _clock() + max(0.0, min(life, float(intent.config.ttl_seconds)))
        own = ProcessIdentity.of(os.getpid())
        if own is None:
            raise OSError("this process does not see itself")
        self.record = files.Record(own)
        self.guest: subprocess.Popen[bytes] | None = None
        self.sandbox: int | None = None
        self.device_end, self.device_far = socket.socketpair()
        self.log_end, self.log_far = os.pipe2(os.O_CLOEXEC)
        self.measurement = b""
        # From the beginning on: being told to end while the guest starts must end it in order as well.
        self.wake, wake_far = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_far)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def note(self, **changes: ProcessIdentity | str | None) -> None:
        """Write who runs now."""
        values = {name: getattr(self.record, name) for name in ("machine", "guest", "sandbox", "ended")}
        self.record = files.Record(**(values | changes))
        files.write(self.path, files.RECORD, self.record.encode())

    def launch(self) -> None:
        """Measure the image and start the guest from the very bytes that were measured."""
        agent = image.seal(image.build(altered=self.intent.attack == "changed-agent"))
        self.measurement = image.measure(agent)
        config = image.seal(self.intent.config.encode())
        relayed = self.intent.attack in RELAYED
        listener = _listen(self.path, files.INNER_SOCKET if relayed else files.SOCKET)
        status, status_far = os.pipe2(os.O_CLOEXEC)
        storage = self.path / files.STORAGE
        lent = self.intent.attack == "changed-bundle"
        if lent or self.intent.rung.name == "none":
            storage.mkdir(mode=0o700)
            if self.intent.rung.name != "none" and (user := guest_user(self.intent.lease)):
                os.chown(storage, user, user)
        program = [
            "-I",
            "-S",
            f"/proc/self/fd/{agent}",
            "--dependencies",
            "{dependencies}",
            "--listen-fd",
            str(listener.fileno()),
            "--device-fd",
            str(self.device_far.fileno()),
            "--config-fd",
            str(config),
            "--isolation",
            self.intent.rung.name,
            "--storage",
            "{storage}",
        ]
        argv = guest_argv(
            self.intent.rung,
            program,
            lease=self.intent.lease,
            storage=storage,
            lent=lent,
            sync_fd=self.lock,
            status_fd=status_far,
        )
        self.guest = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=self.log_far,
            stderr=self.log_far,
            pass_fds=(agent, listener.fileno(), self.device_far.fileno(), config, status_far, self.lock),
            env=guest_environment(),
            cwd="/",
            start_new_session=True,
        )
        self.device_far.close()
        listener.close()
        for descriptor in (agent, config, status_far, self.log_far):
            os.close(descriptor)
        self.note(guest=ProcessIdentity.of(self.guest.pid))
        if self.intent.rung.name != "none":
            sandbox = _sandboxed(status)
            self.sandbox = sandbox.hold() if sandbox else None
            self.note(sandbox=sandbox)
        os.close(status)
        if relayed:
            self._relay(storage if lent else None)

    def _relay(self, storage: Path | None) -> None:
        """Put a hostile host between owner and guest."""
        from assay.providers.local.relay import Relay  # noqa: PLC0415 - a host that is not hostile has none

        Relay(_listen(self.path, files.SOCKET), self.path / files.INNER_SOCKET, storage).start()

    def hardware(self) -> QuotingDevice:
        """Return the quoting device of the TD that the launcher measured."""
        # Imported when the guest already starts: this takes longer than all that comes before.
        from assay.simulator.intel import STATE_DIRECTORY, Installation  # noqa: PLC0415 - see above

        attack = self.intent.attack
        platform = Installation.open(self.path.parent.parent / STATE_DIRECTORY).machine(
            SEED, made=_made(self.intent.created_at), debug=attack == "debug"
        )
        domain = platform.trust_domain(mr_td=self.measurement, mr_config_id=self.intent.config.digest())
        return QuotingDevice(domain, replays=attack == "stale-nonce")

    def serve(self, device: QuotingDevice) -> str:
        """Serve until something ends it; return why."""
        if self.guest is None:
            raise OSError("no guest was started")
        ended = pidfd_open(self.guest.pid)
        wire, log = Wire(self.device_end, device), _Log(self.log_end, self.path / files.GUEST_LOG)
        pumps = {self.device_end.fileno(): wire.pump, self.log_end: log.pump}
        poll = select.poll()
        for descriptor in (self.wake, ended, *pumps):
            poll.register(descriptor, select.POLLIN)
        inode = (self.path / files.LOCK).stat().st_ino
        while (left := self.deadline - _clock()) > 0:
            ready = {found for found, _ in poll.poll(min(left, WATCH_SECONDS) * 1000)}
            if self.wake in ready:
                return "told to end"
            if not _is_place(self.path / files.LOCK, inode):
                return "its directory has gone"
            for descriptor in ready & pumps.keys():
                if not pumps[descriptor]():
                    poll.unregister(descriptor)
            if ended in ready:
                return f"the guest exited with {self.guest.wait()}"
        return "expired"

    def end(self, reason: str) -> None:
        """End the guest, wait until it has ended, and leave only a record."""
        guest = self.guest
        if guest is not None:
            with suppress(ProcessLookupError):
                guest.terminate() if self.intent.rung.name == "none" else guest.kill()
            try:
                guest.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                guest.kill()
                guest.wait()
        if self.sandbox is not None:
            # A sandbox that was still being set up has not yet tied its life to bubblewrap's.
            kill(self.sandbox)
            wait_ended(self.sandbox, time.monotonic() + GRACE_SECONDS)
        self.device_end.close()
        with suppress(OSError):
            for name in (files.SOCKET, files.INNER_SOCKET):
                (self.path / name).unlink(missing_ok=True)
            self.note(ended=reason)


def _clock() -> float:
    # Runs on while the computer sleeps, and no clock setting moves it.
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _made(moment: datetime) -> datetime:
    """Return when the PCK certificate was issued: the first of January of the year, so it is never new."""
    return datetime(moment.year, 1, 1, tzinfo=UTC)


def _listen(path: Path, name: str) -> socket.socket:
    """Return a listening socket in the directory, however long its path is."""
    place = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.bind(f"/proc/self/fd/{place}/{name}")
        listener.listen(BACKLOG)
    finally:
        os.close(place)
    return listener


def _sandboxed(status: int) -> ProcessIdentity | None:
    """Return the first process of the sandbox, which bubblewrap names as soon as it exists."""
    poll = select.poll()
    poll.register(status, select.POLLIN)
    said = b""
    deadline = time.monotonic() + STATUS_SECONDS
    while b"\n" not in said and poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        block = os.read(status, 4096)
        if not block:
            break
        said += block
    try:
        return ProcessIdentity.of(int(json.loads(said.partition(b"\n")[0])["child-pid"]))
    except (ValueError, KeyError, TypeError):
        return None


def _is_place(path: Path, inode: int) -> bool:
    try:
        return path.stat(follow_symlinks=False).st_ino == inode
    except OSError:
        return False


def run(path: Path, ready: int) -> None:
    """Be the machine of a directory until it ends; say on ``ready`` that it started, or why it did not."""
    lock = files.take_lock(path)
    if lock is None or files.read(path, files.RECORD) is not None:
        return
    intent = files.Intent.decode(files.read(path, files.INTENT) or b"")
    machine = Machine(path, intent, lock)
    reason = "it failed; see machine.log"
    try:
        machine.note()
        machine.launch()
        os.write(ready, READY)
        reason = machine.serve(machine.hardware())
    finally:
        machine.end(reason)


def main() -> int:
    """Detach and run; the parent returns at once."""
    if os.fork():
        return 0
    path, ready = Path(sys.argv[1]), int(sys.argv[2])
    os.umask(0o077)
    log = os.open(path / files.MACHINE_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    fcntl.fcntl(ready, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    try:
        run(path, ready)
    except Exception as error:  # noqa: BLE001 - the end of the process: what went wrong is told and logged
        with suppress(OSError):
            os.write(ready, ascii(str(error)).encode()[:SAID_BYTES])
            traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
