"""Executions in the true agent, as its own process, over its true channel."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import socket
from dataclasses import replace

import pytest

from assay.channel.client import Detach, Resize, Signal
from assay.channel.runtime import events_of_start
from assay.errors import AssayError, ChannelError
from assay.receipts import Receipt
from assay.workload.bundle import BundleLimits
from assay.workload.snapshot import Snapshot
from support.guest_device import appraiser
from support.guest_process import LIMITS, Collected, GuestProcess
from support.marked_processes import marked, running

RUNGS = ["none", "bubblewrap"]


@pytest.fixture(params=RUNGS)
def guest(request):
    with GuestProcess(isolation=request.param) as started:
        yield started


@pytest.fixture
def bare():
    with GuestProcess(isolation="none") as started:
        yield started


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    (root / "a.txt").write_bytes(b"alpha")
    return root


@pytest.fixture
def wishes():
    made = Wishes()
    yield made
    made.near.close()
    made.far.close()


class Wishes:
    """A ``Control`` that a test drives."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.wishes = []

    def fileno(self) -> int:
        return self.near.fileno()

    def wish(self, *wishes) -> None:
        self.wishes += wishes
        self.far.send(b"x")

    def take(self):
        self.near.recv(100)
        taken, self.wishes = self.wishes, []
        return taken


def code_of(call, *arguments, **named):
    with pytest.raises(AssayError) as found:
        call(*arguments, **named)
    return found.value.code


def run(guest, files, argv, *, stdin=None, control=None, on_output=None, **changes):
    session, _ = guest.started(argv, files, **changes)
    out = on_output or Collected()
    return session.run({}, on_output=out, stdin=stdin, control=control), out, session


def shell(script):
    return ["sh", "-c", script]


def test_an_execution_from_bundle_to_receipt(guest, files, tmp_path):
    ended, out, session = run(
        guest,
        files,
        shell(
            "cat a.txt; echo to-stderr >&2; mkdir out; echo 42 > out/answer; ln -s answer out/link; exit 7"
        ),
        outputs=("missing", "out"),
    )
    assert (ended.reason, ended.code, ended.signal, ended.exit_code) == ("exited", 7, None, 7)
    assert (out.stdout, out.stderr) == (b"alpha", b"to-stderr\n")
    start, binding = session.start
    receipt = Receipt.verify(session.receipt(), key=binding.receipt_key)
    receipt.require_session(
        admission=session.binding,
        admission_evidence=session.offered.evidence,
        start=binding,
        start_evidence=start.evidence,
        bundle=receipt.bundle,
    )
    assert receipt.stdout.sha256 == hashlib.sha256(b"alpha").digest()
    assert (receipt.stderr.size, receipt.stdin.size) == (10, 0)
    assert (receipt.outcome.code, receipt.isolation, receipt.sequence) == (7, guest.isolation, 1)
    listing = session.download(tmp_path / "got", BundleLimits())
    assert (tmp_path / "got/out/answer").read_bytes() == b"42\n"
    assert listing.digest() == receipt.artefacts.sha256
    assert receipt.artefacts.skipped == 1
    assert not (tmp_path / "got/out/link").exists()
    session.release()
    assert guest.wait_ended() == 0
    assert not guest.storage.exists()


def test_stdin_is_passed_and_digested(guest, files):
    read, write = os.pipe()
    os.write(write, b"one\ntwo\n")
    os.close(write)
    ended, out, session = run(guest, files, ["cat"], stdin=read)
    os.close(read)
    assert ended.code == 0
    assert out.stdout == b"one\ntwo\n"
    receipt = Receipt.verify(session.receipt(), key=session.start[1].receipt_key)
    assert receipt.stdin.sha256 == hashlib.sha256(b"one\ntwo\n").digest()


def test_a_lot_of_stdin_and_stdout_at_once(bare, files, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "input").write_bytes(data)
    with (tmp_path / "input").open("rb") as source:
        ended, out, _ = run(bare, files, ["cat"], stdin=source.fileno())
    assert ended.code == 0
    assert out.stdout == data


def test_a_workload_that_never_reads_its_stdin_can_still_be_signalled(bare, files, tmp_path, wishes):
    (tmp_path / "input").write_bytes(bytes(4 << 20))
    out = Collected()

    def on_output(*arguments):
        out(*arguments)
        wishes.wish(Signal(signal.SIGTERM))

    with (tmp_path / "input").open("rb") as source:
        ended, _, _ = run(
            bare,
            files,
            shell("echo ready; sleep 60"),
            stdin=source.fileno(),
            control=wishes,
            on_output=on_output,
        )
    assert (ended.reason, ended.signal) == ("signalled", signal.SIGTERM)


def test_without_stdin_it_reads_nothing(guest, files):
    ended, out, _ = run(guest, files, ["cat"])
    assert (ended.code, out.stdout) == (0, b"")


def test_the_environment_is_what_was_named(guest, files):
    session, _ = guest.started(["env"], files, environment=("SECRET",))
    out = Collected()
    ended = session.run({"SECRET": b"line\nnext\xff"}, on_output=out, stdin=None, control=None)
    assert ended.code == 0
    assert b"SECRET=line\nnext\xff\n" in out.stdout
    names = {line.split(b"=")[0] for line in out.stdout.splitlines() if b"=" in line}
    assert names <= {b"SECRET", b"PATH", b"HOME", b"LANG", b"PWD", b"SHLVL", b"_"}


def test_a_value_for_an_unnamed_variable_is_refused(bare, files):
    session, _ = bare.started(["env"], files)
    with session:
        assert code_of(session.launch, {"OTHER": b"1"}, stdin=False) == "workload.environment.unnamed"
        assert session.status().phase == "started"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_signals_reach_the_workload(guest, files, number, wishes):
    name = number.name.removeprefix("SIG")
    out = Collected()

    def on_output(stream, *where_and_what):
        out(stream, *where_and_what)
        if stream == "stdout" and out.stdout == b"ready\n":
            wishes.wish(Signal(number))

    ended, _, _ = run(
        guest,
        files,
        shell(f"trap 'echo got {name}; exit 5' {name}; echo ready; while :; do :; done"),
        control=wishes,
        on_output=on_output,
    )
    assert (ended.code, out.stdout) == (5, b"ready\ngot " + name.encode() + b"\n")


def test_a_workload_that_a_signal_ends(guest, files):
    ended, _, session = run(guest, files, shell("kill -SEGV $$"))
    assert (ended.reason, ended.signal, ended.exit_code) == ("signalled", signal.SIGSEGV, 139)
    receipt = Receipt.verify(session.receipt(), key=session.start[1].receipt_key)
    assert (receipt.outcome.reason, receipt.outcome.signal) == ("signalled", signal.SIGSEGV)


@pytest.mark.parametrize(
    ("argv", "reason", "code"),
    [
        (["no-such-program"], "not_found", 127),
        (["./absent"], "not_found", 127),
        (["/no/such"], "not_found", 127),
        (["./a.txt"], "not_executable", 126),
    ],
)
def test_a_program_that_cannot_be_run(guest, files, argv, reason, code):
    ended, out, session = run(guest, files, argv)
    assert (ended.reason, ended.code, ended.exit_code) == (reason, code, code)
    assert out.stderr == b""
    receipt = Receipt.verify(session.receipt(), key=session.start[1].receipt_key)
    assert receipt.outcome.reason == reason


def test_a_program_of_the_bundle_in_a_directory_of_it(guest, tmp_path):
    root = tmp_path / "files"
    (root / "bin").mkdir(parents=True)
    (root / "bin/tool").write_text("#!/bin/sh\npwd | sed 's,.*/,,'; echo tool\n")
    (root / "bin/tool").chmod(0o755)
    ended, out, _ = run(guest, root, ["./tool"], cwd="bin")
    assert (ended.code, out.stdout) == (0, b"bin\ntool\n")


LIMITED = [
    ("time_limit", replace(LIMITS, time_seconds=1), "sleep 60", 124),
    ("output_limit", replace(LIMITS, output_bytes=100_000), "yes", 137),
    (
        "memory_limit",
        replace(LIMITS, memory_bytes=64 << 20),
        "for i in 1 2 3 4; do python3 -c 'import time; x=bytearray(40<<20); time.sleep(60)' & done; wait",
        137,
    ),
    (
        "process_limit",
        replace(LIMITS, processes=30),
        (
            'python3 -c "\n'
            "import subprocess, time\n"
            "for _ in range(60):\n"
            "    try: subprocess.Popen(['sleep', '60'])\n"
            "    except OSError: pass  # the kernel may refuse some before they are counted\n"
            'time.sleep(60)"'
        ),
        137,
    ),
    (
        "disk_limit",
        replace(LIMITS, disk_bytes=8 << 20),
        "i=0; while :; do head -c 4000000 /dev/zero > f$i; i=$((i+1)); sleep 0.1; done",
        137,
    ),
]


@pytest.mark.parametrize(("reason", "limits", "script", "code"), LIMITED, ids=[case[0] for case in LIMITED])
def test_each_limit_ends_it_with_its_own_reason(guest, files, reason, limits, script, code):
    if reason == "process_limit" and guest.isolation == "none" and os.geteuid() != 0:
        pytest.skip("as an ordinary user the kernel refuses the processes before they can be counted")
    ended, out, session = run(
        guest, files, shell(script), limits=replace(limits, ttl_seconds=guest.config.ttl_seconds)
    )
    assert (ended.reason, ended.exit_code) == (reason, code)
    if reason == "output_limit":
        assert len(out.stdout) == 100_000
    receipt = Receipt.verify(session.receipt(), key=session.start[1].receipt_key)
    assert receipt.outcome.reason == reason
    assert receipt.stdout.sha256 == hashlib.sha256(out.stdout).digest()


def test_a_terminal(guest, files, wishes):
    out = Collected()
    script = (
        "tty >/dev/null && echo tty; stty size; trap 'stty size; exit 3' WINCH; echo ready;"
        " while :; do :; done"
    )

    def on_output(*arguments):
        out(*arguments)
        if b"ready" in out.stdout and out.stdout.count(b"\n") == 3:
            wishes.wish(Resize(50, 100))

    session, _ = guest.started(shell(script), files, tty=True)
    ended = session.run({}, on_output=on_output, stdin=None, control=wishes, size=(24, 80))
    assert out.stdout.replace(b"\r", b"").split() == [b"tty", b"24", b"80", b"ready", b"50", b"100"]
    assert ended.code == 3


def test_an_interrupt_typed_at_a_terminal_reaches_the_workload_alone(guest, files):
    read, write = os.pipe()
    out = Collected()

    def on_output(*arguments):
        out(*arguments)
        if b"ready" in out.stdout and b"^C" not in out.stdout:
            os.write(write, b"\x03")

    session, _ = guest.started(
        shell("trap 'echo caught; exit 4' INT; echo ready; while :; do :; done"), files, tty=True
    )
    ended = session.run({}, on_output=on_output, stdin=read, control=None)
    os.close(read)
    os.close(write)
    assert ended.code == 4
    assert b"caught" in out.stdout


def test_the_end_of_input_at_a_terminal(bare, files):
    read, write = os.pipe()
    os.write(write, b"typed\n")
    os.close(write)
    session, _ = bare.started(["cat"], files, tty=True)
    out = Collected()
    ended = session.run({}, on_output=out, stdin=read, control=None)
    os.close(read)
    assert ended.code == 0
    assert out.stdout.replace(b"\r", b"") == b"typed\ntyped\n"


def test_detach_and_attach_from_where_one_was(guest, files, wishes):
    first = Collected()
    (files / "go.sh").write_text("echo one; while [ ! -e go ]; do sleep 0.05; done; echo two\n")

    def on_output(*arguments):
        first(*arguments)
        wishes.wish(Detach())

    session, manifest = guest.started(["sh", "go.sh"], files)
    with session:
        assert session.run({}, on_output=on_output, stdin=None, control=wishes) is None
        status = session.status()
        assert (status.phase, status.detached, status.stdout_bytes) == ("running", True, 4)
    with guest.open(manifest) as again:
        assert again.binding.channel_key != session.binding.channel_key
        seen = Collected()
        assert again.logs((0, 0), on_output=seen, follow=False) is None
        assert seen.stdout == b"one\n"
        (next(guest.storage.glob("run-*")) / "work/go").touch()
        rest = Collected()
        ended = again.attach((4, 0), on_output=rest)
        assert (ended.code, rest.stdout) == (0, b"two\n")
        assert again.wait() == ended
        # The receipt is verified with the key of the start Evidence, which the first session saw.
        receipt = Receipt.verify(again.receipt(), key=session.start[1].receipt_key)
        assert receipt.start_evidence == session.start[0].digest()


def test_detaching_at_once_after_launching(bare, files):
    session, manifest = bare.started(shell("echo out; exit 9"), files)
    with session:
        assert session.launch({}, stdin=False) == 1
        session.detach()
        assert session.status().detached
    with bare.open(manifest) as again:
        assert again.wait(20).code == 9
        out = Collected()
        assert again.logs((1, 0), on_output=out, follow=True).code == 9
        assert out.stdout == b"ut\n"


def test_a_second_execution_needs_a_new_admission(bare, files):
    ended, _, session = run(bare, files, shell("echo first; exit 1"), outputs=())
    assert ended.sequence == 1
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = bare.manifest(shell("echo second; exit 2"), snapshot.listing.digest())
        same = bare.manifest(shell("echo first; exit 1"), snapshot.listing.digest())
        assert (
            code_of(session.send_bundle, same.encode(), snapshot.stream(), snapshot.size())
            == "channel.session.spent"
        )
        assert Receipt.verify(session.receipt(), key=session.start[1].receipt_key).sequence == 1
        session.close()
        with bare.open(manifest) as again:
            assert code_of(again.receipt) == "channel.manifest.other"
            bare.deliver(again, manifest, snapshot)
            out = Collected()
            ended = again.run({}, on_output=out, stdin=None, control=None)
            assert (ended.sequence, ended.code, out.stdout) == (2, 2, b"second\n")
            receipt = Receipt.verify(again.receipt(), key=again.start[1].receipt_key)
            assert receipt.sequence == 2
            # The history of the register holds both starts, and the quote shows exactly that.
            history = again.start[0].history
            assert len(history) == 6
            assert history[3:] == events_of_start("none", manifest.digest(), snapshot.listing.digest())


def test_a_manifest_other_than_the_admitted_one_is_refused(bare, files):
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = bare.manifest(["true"], snapshot.listing.digest())
        other = bare.manifest(["false"], snapshot.listing.digest())
        with bare.open(manifest) as session:
            stream = snapshot.stream()
            assert code_of(session.send_bundle, other.encode(), stream, 0) == "channel.manifest.other"
            assert session.status().phase == "waiting"
            bare.deliver(session, manifest, snapshot)


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"owner_key": b"another"}, "channel.manifest.owner"), ({"limits": LIMITS}, "channel.manifest.ttl")],
)
def test_a_manifest_that_contradicts_the_launch_is_refused(files, changes, code):
    with GuestProcess(ttl=299) as guest, Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = guest.manifest(["true"], snapshot.listing.digest(), **changes)
        with guest.open(manifest) as session:
            assert code_of(session.send_bundle, manifest.encode(), snapshot.stream(), 0) == code


def test_one_byte_of_the_bundle_changed_is_refused_and_the_guest_goes_on(bare, files):
    (files / "big").write_bytes(os.urandom(2 << 20))
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = bare.manifest(["true"], snapshot.listing.digest())
        data = b"".join(snapshot.stream())
        changed = data[:-1] + bytes([data[-1] ^ 1])
        with bare.open(manifest) as session:
            assert code_of(session.send_bundle, manifest.encode(), [changed], 0) == "workload.bundle.content"
            listing = bytearray(data)
            listing[60] ^= 1
            assert (
                code_of(session.send_bundle, manifest.encode(), [bytes(listing)], 0)
                == "workload.bundle.digest"
            )
            assert code_of(session.start_evidence, b"n" * 32, lambda *_: None) == "guest.phase.refused"
            bare.deliver(session, manifest, snapshot)


def test_nothing_runs_before_its_start_was_proven(bare, files):
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = bare.manifest(["true"], snapshot.listing.digest())
        with bare.open(manifest) as session:
            assert code_of(session.launch, {}, stdin=False) == "channel.start.missing"
            session.start = (session.offered, session.binding)  # an owner that forgets its own rule
            assert code_of(session.launch, {}, stdin=False) == "guest.phase.refused"
            session.send_bundle(manifest.encode(), snapshot.stream(), 0)
            assert code_of(session.launch, {}, stdin=False) == "guest.phase.refused"


def test_a_start_nonce_is_used_once_too(bare, files):
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = bare.manifest(["true"], snapshot.listing.digest())
        used = secrets.token_bytes(32)
        bare.open(manifest, nonce=used).close()
        with bare.open(manifest) as session:
            session.send_bundle(manifest.encode(), snapshot.stream(), 0)
            assert code_of(session.start_evidence, used, lambda *_: None) == "channel.nonce.reused"
            assert (
                code_of(session.start_evidence, session.binding.nonce, lambda *_: None)
                == "channel.nonce.reused"
            )
            digest = snapshot.listing.digest()
            session.start_evidence(secrets.token_bytes(32), appraiser(bare.config, bundle=digest))


def test_asking_for_what_is_not_there(bare, files, tmp_path):
    manifest = bare.manifest(["true"], b"b" * 32)
    with bare.open(manifest) as session:
        assert code_of(session.receipt) == "guest.run.none"
        assert code_of(session.wait) == "guest.run.none"
        assert code_of(session.download, tmp_path / "d", BundleLimits()) == "guest.run.none"
        assert not (tmp_path / "d").exists()
        assert session.status().sequence == 0


def test_a_download_is_bounded_by_its_receiver(bare, files, tmp_path):
    _, _, session = run(bare, files, shell("head -c 100000 /dev/zero > big"), outputs=("big",))
    limits = BundleLimits(total_bytes=99_999)
    assert code_of(session.download, tmp_path / "d", limits) == "workload.bundle.limit"
    assert not (tmp_path / "d").exists()


def test_orphans_of_a_workload_do_not_outlive_it(guest, files):
    marker = marked()
    ended, _, _ = run(guest, files, shell(f"setsid sleep {marker} >/dev/null 2>&1 & exit 0"))
    assert ended.code == 0
    assert running("sleep", marker) == []


def test_a_client_that_refuses_the_evidence_sends_nothing(bare):
    def refuse(*_):
        raise ChannelError("test.refused", "no")

    manifest = bare.manifest(["true"], b"b" * 32)
    assert code_of(bare.open, manifest, appraise=refuse) == "test.refused"
    bare.open(manifest).close()


def test_outputs_beyond_all_bounds_are_missing_and_the_receipt_says_so(bare, files, tmp_path):
    limits = replace(LIMITS, disk_bytes=1 << 20, ttl_seconds=bare.config.ttl_seconds)
    script = "head -c 900000 /dev/zero > a; head -c 900000 /dev/zero > b"
    ended, _, session = run(bare, files, shell(script), outputs=("a", "b"), limits=limits)
    assert ended.reason in ("exited", "disk_limit")
    receipt = Receipt.verify(session.receipt(), key=session.start[1].receipt_key)
    assert (receipt.artefacts.entries, receipt.artefacts.skipped) == (0, 2)
    assert code_of(session.download, tmp_path / "d", BundleLimits()) == "guest.run.no_outputs"


def test_outputs_that_cannot_be_sent_are_skipped_by_count(bare, files, tmp_path):
    script = "mkdir o; mkfifo o/pipe; ln -s /etc/passwd o/link; echo 1 > o/good; mkdir -p o/" + "d/" * 70
    _, _, session = run(bare, files, shell(script), outputs=("o",))
    receipt = Receipt.verify(session.receipt(), key=session.start[1].receipt_key)
    assert receipt.artefacts.skipped == 3
    session.download(tmp_path / "d", BundleLimits())
    assert (tmp_path / "d/o/good").read_bytes() == b"1\n"
    assert sorted(path.name for path in (tmp_path / "d/o").iterdir()) == ["d", "good"]


def test_outputs_before_the_end_and_a_second_bundle_while_running(bare, files, tmp_path):
    session, manifest = bare.started(["sleep", "60"], files)
    session.launch({}, stdin=False)
    with bare.open(manifest) as other:
        assert code_of(other.download, tmp_path / "d", BundleLimits()) == "guest.run.not_ended"
        assert code_of(other.receipt) == "guest.receipt.none"
        assert code_of(other.send_bundle, manifest.encode(), [], 0) == "guest.phase.refused"
        assert other.status().phase == "running"


def test_two_sessions_cannot_fill_one_bundle(bare, files):
    with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
        manifest = bare.manifest(["true"], snapshot.listing.digest())
        with bare.open(manifest) as first, bare.open(manifest) as second:
            first.send_bundle(manifest.encode(), snapshot.stream(), 0)
            assert (
                code_of(second.send_bundle, manifest.encode(), snapshot.stream(), 0) == "guest.phase.refused"
            )
            second.close()
            # The other session's end does not take the bundle away.
            nonce, digest = secrets.token_bytes(32), snapshot.listing.digest()
            first.start_evidence(nonce, appraiser(bare.config, bundle=digest))
