"""How a guest ends, and what is left then: nothing."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from assay.channel.client import Detach
from assay.channel.frames import Kind
from assay.channel.messages import STDIN_CHUNK, STDIN_WINDOW, AttachRequest
from assay.errors import AssayError, ChannelError
from assay.receipts import Receipt
from assay.workload.bundle import BundleLimits
from assay.workload.snapshot import Snapshot
from support.guest_process import Collected, GuestProcess
from support.marked_processes import PATIENCE, gone, marked, running

# Within it a workload starts also on a machine that is twelve times slower than a busy one.
LIFE = 6


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    (root / "a").write_bytes(os.urandom(300_000))
    return root


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("isolation", ["none", "bubblewrap"])
def test_the_deadline_ends_a_detached_workload_and_the_guest(files, isolation):
    marker = marked()
    with GuestProcess(ttl=LIFE, isolation=isolation) as guest:
        session, _ = guest.started(["sleep", marker], files)
        session.launch({}, stdin=False)
        session.detach()
        session.close()
        wait_for(lambda: running("sleep", marker))
        assert guest.wait_ended(PATIENCE) == 0
        assert gone("sleep", marker)
        assert not guest.storage.exists()


def test_the_deadline_is_told_to_who_is_there(files):
    with GuestProcess(ttl=LIFE) as guest:
        session, _ = guest.started(["sleep", "60"], files)
        ended = session.run({}, on_output=lambda *_: None, stdin=None, control=None)
        assert ended.reason == "deadline"
        assert guest.wait_ended(PATIENCE) == 0


def test_the_deadline_comes_whatever_connections_do(files):
    with GuestProcess(ttl=3) as guest:
        manifest = guest.manifest(["true"], b"b" * 32)
        session = guest.open(manifest)
        stop = threading.Event()

        def disturb():
            while not stop.is_set():
                with suppress(AssayError, OSError):
                    session.status()
                with suppress(OSError):
                    guest.connect().send(b"\x01")

        thread = threading.Thread(target=disturb)
        thread.start()
        assert guest.wait_ended(PATIENCE) == 0
        stop.set()
        thread.join()


def test_the_deadline_comes_while_the_quoting_device_is_silent(files):
    with GuestProcess(ttl=3) as guest:
        silent = threading.Event()
        guest.device.before_quote = silent.wait
        with pytest.raises(ChannelError):
            guest.open(guest.manifest(["true"], b"b" * 32))
        assert guest.wait_ended(PATIENCE) == 0
        silent.set()


def test_an_idle_guest_ends_and_a_used_one_does_not(files):
    with GuestProcess(idle=2) as guest:
        session, _ = guest.started(["sh", "-c", "while [ ! -e go ]; do sleep 0.05; done"], files)
        session.launch({}, stdin=False)
        session.detach()
        session.close()
        time.sleep(3)
        assert guest.process.poll() is None
        (next(guest.storage.glob("run-*")) / "work/go").touch()
        assert guest.wait_ended(PATIENCE) == 0
        assert not guest.storage.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_clean(files, number):
    marker = marked()
    with GuestProcess() as guest:
        session, _ = guest.started(["sleep", marker], files)
        session.launch({}, stdin=False)
        wait_for(lambda: running("sleep", marker))
        guest.process.send_signal(number)
        assert guest.wait_ended(PATIENCE) == 0
        assert gone("sleep", marker)
        assert not guest.storage.exists()


def test_the_guest_ends_with_its_hardware(files):
    with GuestProcess() as guest:
        guest._near.shutdown(socket.SHUT_RDWR)
        assert guest.wait_ended(PATIENCE) == 0


def test_released_while_running(files):
    marker = marked()
    with GuestProcess(isolation="bubblewrap") as guest:
        session, manifest = guest.started(["sleep", marker], files)
        session.launch({}, stdin=False)
        wait_for(lambda: running("sleep", marker))
        with guest.open(manifest) as other:
            other.release()
        assert guest.wait_ended(PATIENCE) == 0
        assert gone("sleep", marker)
        assert not guest.storage.exists()


# A client that is gone.


def test_a_lost_client_ends_a_workload_that_was_not_detached(files):
    marker = marked()
    with GuestProcess() as guest:
        session, manifest = guest.started(["sleep", marker], files)
        session.launch({}, stdin=False)
        wait_for(lambda: running("sleep", marker))
        session.close()
        with guest.open(manifest) as again:
            ended = again.wait(PATIENCE)
            assert ended.reason == "client_gone"
            receipt = Receipt.verify(again.receipt(), key=session.start[1].receipt_key)
            assert receipt.outcome.reason == "client_gone"
        assert gone("sleep", marker)


def test_a_lost_client_that_comes_back_in_time_finds_it_running(files):
    with GuestProcess() as guest:
        session, manifest = guest.started(["sh", "-c", "echo a; sleep 12; echo b"], files)
        session.launch({}, stdin=False)
        session.close()
        with guest.open(manifest) as again:
            out = Collected()
            ended = again.attach((0, 0), on_output=out)
            assert (ended.reason, ended.code, out.stdout) == ("exited", 0, b"a\nb\n")


def test_a_lost_client_of_a_detached_workload_changes_nothing(files):
    with GuestProcess() as guest:
        session, manifest = guest.started(["sh", "-c", "sleep 11; echo done"], files)
        session.launch({}, stdin=False)
        session.detach()
        session.close()
        again = guest.open(manifest)
        again._ask_attach(_follow())
        again.close()  # lost while it had control
        with guest.open(manifest) as last:
            assert last.wait(PATIENCE).reason == "exited"


def _follow():
    return AttachRequest(0, 0, follow=True, control=True)


@pytest.mark.parametrize("phase", ["hello", "admitted", "bundle", "delivered", "started"])
def test_a_client_that_leaves_early_leaves_a_guest_that_waits(files, phase):
    with GuestProcess() as guest, Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = guest.manifest(["true"], snapshot.listing.digest())
        leave(guest, manifest, snapshot, phase)
        with guest.open(manifest) as session:
            wait_for(lambda: session.status().phase == "waiting")
            guest.deliver(session, manifest, snapshot)
            assert session.run({}, on_output=lambda *_: None, stdin=None, control=None).code == 0
            # Every start that was measured is in the history, also one that never ran.
            assert len(session.start[0].history) == (6 if phase == "started" else 3)


def leave(guest, manifest, snapshot, phase):
    if phase == "hello":
        guest.connect().close()
        return
    with guest.open(manifest) as session:
        if phase == "bundle":
            with suppress(RuntimeError):
                session.send_bundle(manifest.encode(), broken(snapshot), 0)
        elif phase in ("delivered", "started"):
            session.send_bundle(manifest.encode(), snapshot.stream(), 0)
            if phase == "started":
                session.start_evidence(secrets.token_bytes(32), lambda *_: None)


def broken(snapshot):
    stream = snapshot.stream()
    yield next(stream)
    yield next(stream)[:-1]
    raise RuntimeError


# A guest that is killed.


@pytest.mark.parametrize("isolation", ["none", "bubblewrap"])
@pytest.mark.parametrize("phase", ["waiting", "admitted", "delivered", "started", "running", "exited"])
def test_a_killed_guest_leaves_no_process_of_a_workload(files, phase, isolation):
    marker = marked()
    with GuestProcess(isolation=isolation) as guest:
        if phase != "waiting":
            reach(guest, files, phase, marker)
        guest.process.send_signal(signal.SIGKILL)
        assert guest.wait_ended() == -signal.SIGKILL
        assert gone("sleep", marker)


def reach(guest, files, phase, marker):
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        argv = ["true"] if phase == "exited" else ["sleep", marker]
        manifest = guest.manifest(argv, snapshot.listing.digest())
        session = guest.open(manifest)
        if phase == "admitted":
            return
        session.send_bundle(manifest.encode(), snapshot.stream(), 0)
        if phase == "delivered":
            return
        session.start_evidence(secrets.token_bytes(32), lambda *_: None)
        if phase == "started":
            return
        session.launch({}, stdin=False)
        if phase == "running":
            wait_for(lambda: running("sleep", marker))
        else:
            session.follow(on_output=lambda *_: None, stdin=None, control=None)


def test_a_client_whose_guest_is_killed_is_told(files):
    with GuestProcess() as guest:
        session, _ = guest.started(["sh", "-c", "echo ready; sleep 60"], files)

        def on_output(*_):
            guest.process.send_signal(signal.SIGKILL)

        with pytest.raises(ChannelError) as found:
            session.run({}, on_output=on_output, stdin=None, control=None)
        assert found.value.code == "channel.peer.closed"


# Readers that do not read.


def test_a_slow_reader_holds_up_nobody_and_costs_no_memory(files):
    size = 48 << 20
    with GuestProcess() as guest:
        session, manifest = guest.started(["head", "-c", str(size), "/dev/zero"], files)
        session.launch({}, stdin=False)  # and reads nothing
        with guest.open(manifest) as other:
            ended = other.wait(PATIENCE)
            assert (ended.code, ended.stdout_bytes) == (0, size)
            resident = resident_bytes(guest.process.pid)
        assert resident < 120 << 20
        out = Collected()
        assert session.follow(on_output=out, stdin=None, control=None).code == 0
        assert len(out.stdout) == size


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_wish_to_detach_that_crosses_the_end(files):
    class Late:
        def __init__(self):
            self.near, self.far = socket.socketpair()

        def fileno(self):
            return self.near.fileno()

        def take(self):
            self.near.recv(10)
            time.sleep(0.5)  # the workload has ended by now, and its end is on its way
            return [Detach()]

    late = Late()
    with GuestProcess() as guest:
        session, _ = guest.started(["sh", "-c", "echo x"], files)
        ended = session.run({}, on_output=lambda *_: late.far.send(b"x"), stdin=None, control=late)
        assert ended is None or ended.code == 0
        session.wait(PATIENCE)
        Receipt.verify(session.receipt(), key=session.start[1].receipt_key)
    late.near.close()
    late.far.close()


def test_too_much_stdin_ends_the_session(files):
    with GuestProcess() as guest:
        session, _ = guest.started(["sleep", "60"], files)
        session.launch({}, stdin=True)

        def flood():
            for _ in range(4 * STDIN_WINDOW // STDIN_CHUNK):
                session._stream.send_frame(Kind.STDIN, bytes(STDIN_CHUNK), time.monotonic() + 5)
            session.status()

        with pytest.raises(ChannelError) as found:
            flood()
        assert found.value.code == "channel.peer.closed"
