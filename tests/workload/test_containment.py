"""What a workload tries from inside its sandbox, and does not get."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay.channel.client import open_session
from assay.channel.launch import LaunchConfig
from assay.channel.owner import OwnerKey
from assay.providers.interface import CreateRequest
from assay.providers.local.provider import LocalProvider
from assay.workload.bundle import BundleLimits
from assay.workload.manifest import Manifest
from assay.workload.snapshot import Snapshot
from support.guest_process import LIMITS, Collected, GuestProcess

PROBE = r"""
import ctypes, errno, json, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
found = {}

def call(name, *arguments):
    ctypes.set_errno(0)
    value = getattr(libc, name)(*arguments)
    return "ok" if value >= 0 else errno.errorcode[ctypes.get_errno()]

def syscall(number, *arguments):
    return call("syscall", number, *arguments)

def attempt(name, action):
    try:
        found[name] = action()
    except OSError as error:
        found[name] = errno.errorcode.get(error.errno, str(error.errno))
    except Exception as error:
        found[name] = type(error).__name__

agent = int(os.environ["AGENT_PID"])
attempt("pids", lambda: sorted(int(p) for p in os.listdir("/proc") if p.isdigit()))
attempt("uid", lambda: [os.getuid(), os.geteuid(), os.getgroups()])
x86 = os.uname().machine == "x86_64"
attempt("ptrace_agent", lambda: call("ptrace", 16, agent, 0, 0))
attempt("ptrace_anybody", lambda: call("ptrace", 0, 0, 0, 0))
attempt("process_vm_readv", lambda: syscall(310 if x86 else 270, agent, 0, 0, 0, 0, 0))
attempt("mount", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
attempt("unshare_user", lambda: call("unshare", 0x10000000))
attempt("setns", lambda: call("setns", 0, 0))
attempt("bpf", lambda: syscall(321 if x86 else 280, 0, 0, 0))
attempt("perf", lambda: syscall(298 if x86 else 241, 0, 0, 0, 0, 0))
attempt("userfaultfd", lambda: syscall(323 if x86 else 282, 0))
attempt("keyctl", lambda: syscall(250 if x86 else 219, 0, 0, 0, 0, 0))
attempt("io_uring", lambda: syscall(425, 1, 0))
attempt("kexec", lambda: syscall(246 if x86 else 104, 0, 0, 0, 0))
attempt("chroot", lambda: call("chroot", b"/tmp"))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM).close())
attempt("packet", lambda: socket.socket(17, socket.SOCK_RAW).close())
for pid in [agent]:
    for name in ("mem", "environ", "maps", "fd", "root", "cwd", "exe"):
        path = f"/proc/{pid}/{name}"
        if name in ("fd",):
            attempt(f"{pid}:{name}", lambda: os.listdir(path))
        elif name in ("root", "cwd", "exe"):
            attempt(f"{pid}:{name}", lambda: os.readlink(path))
        else:
            attempt(f"{pid}:{name}", lambda: open(path, "rb").read(16) and "read")
attempt("kill_agent", lambda: os.kill(agent, signal.SIGTERM))
attempt("kill_all", lambda: (signal.signal(signal.SIGCONT, signal.SIG_IGN), os.kill(-1, signal.SIGCONT))[1])
attempt("kill_group", lambda: os.killpg(agent, signal.SIGTERM))
here = "/proc/self/fd/"
attempt("descriptors", lambda: [os.readlink(here + n) for n in os.listdir(here) if os.path.exists(here + n)])
attempt("socket_file", lambda: os.stat(os.environ["SOCKET_FILE"]) and "seen")
attempt("storage", lambda: os.listdir(os.environ["STORAGE"]))
attempt("spools", lambda: os.listdir(os.environ["STORAGE"] + "/agent"))
def connect():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.environ["SOCKET_FILE"])
    return "connected"
attempt("connect_agent", connect)
def reach():
    with socket.socket() as sock:
        sock.settimeout(2)
        sock.connect(("1.1.1.1", 53))
    return "connected"
attempt("network", reach)
attempt("interfaces", lambda: [name for _, name in socket.if_nameindex()])
attempt("configfs", lambda: os.listdir("/sys/kernel/config"))
attempt("tdx_device", lambda: open("/dev/tdx_guest") and "opened")
attempt("sys", lambda: os.listdir("/sys"))
attempt("write_usr", lambda: open("/usr/x", "w") and "written")
attempt("write_root", lambda: open("/x", "w") and "written")
attempt("write_dev", lambda: open("/dev/x", "w") and "written")
attempt("write_tmp", lambda: open("/tmp/x", "w").write("12345"))
attempt("write_work", lambda: open("x", "w").write("12345"))
attempt("shadow", lambda: open("/etc/shadow").read() and "read")
attempt("home", lambda: os.listdir("/root") + os.listdir("/home"))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
found["status"] = {k: status[k].strip() for k in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")}
attempt("tiocsti", lambda: call("ioctl", 0, 0x5412, b"x"))
attempt("core", lambda: __import__("resource").getrlimit(4))
print(json.dumps(found))
"""

DENIED = {"EPERM", "EACCES", "ENOENT", "ESRCH", "FileNotFoundError", "PermissionError"}


@pytest.fixture
def files(tmp_path):
    root = tmp_path / "files"
    root.mkdir()
    (root / "probe.py").write_text(PROBE)
    return root


NAMES = ("AGENT_PID", "SOCKET_FILE", "STORAGE")


def values_of(guest):
    return {
        "AGENT_PID": str(guest.process.pid).encode(),
        "SOCKET_FILE": guest.address.encode(),
        "STORAGE": str(guest.storage).encode(),
    }


def check(found):
    assert found["uid"] in ([65534, 65534, [65534]], [65534, 65534, []])
    assert max(found["pids"]) < 10
    for name in (
        *("ptrace_agent", "ptrace_anybody", "process_vm_readv", "mount", "unshare_user", "setns", "bpf"),
        *("perf", "userfaultfd", "keyctl", "kexec", "chroot", "tiocsti"),
    ):
        assert found[name] == "EPERM", name
    assert found["io_uring"] == "ENOSYS"
    assert found["vsock"] == found["packet"] == "EAFNOSUPPORT"
    seen = {name: value for name, value in found.items() if ":" in name and value not in DENIED}
    assert seen == {}
    assert found["kill_agent"] == found["kill_group"] == "ESRCH"
    for name in (
        *("socket_file", "connect_agent", "storage", "spools", "configfs", "tdx_device", "shadow", "home"),
    ):
        assert found[name] in DENIED, (name, found[name])
    assert found["network"] in ("ENETUNREACH", "EHOSTUNREACH")
    assert set(found["interfaces"]) <= {"lo"}
    assert found["write_usr"] == found["write_root"] == found["write_dev"] == "EROFS"
    assert found["write_tmp"] == found["write_work"] == 5
    assert found["status"]["CapEff"] == found["status"]["CapBnd"] == "0" * 16
    assert (found["status"]["NoNewPrivs"], found["status"]["Seccomp"]) == ("1", "2")
    assert found["core"] == [0, 0]
    strange = [name for name in found["descriptors"] if not name.startswith(("pipe:", "/dev/null", "/proc/"))]
    assert strange == []


def test_from_inside_the_sandbox(files):
    with GuestProcess(isolation="bubblewrap") as guest:
        session, _ = guest.started(
            ["python3", "probe.py"], files, environment=tuple(sorted(values_of(guest)))
        )
        out = Collected()
        ended = session.run(values_of(guest), on_output=out, stdin=None, control=None)
        assert ended.code == 0, out.stderr
        check(json.loads(out.stdout))
        # The agent is unharmed.
        session.release()
        assert guest.wait_ended() == 0


def test_from_inside_a_sandbox_within_the_local_providers(files, tmp_path):
    provider = LocalProvider(tmp_path / "state", environ=os.environ)
    if provider.offers()[0].isolation != "bubblewrap":
        pytest.skip("bubblewrap does not work here")
    owner = OwnerKey.create()
    config = LaunchConfig("lease-nested", owner.spki, 60, 60)
    expires = datetime.now(UTC) + timedelta(seconds=60)
    machine = provider.create(CreateRequest("lease-nested", "small", "tdx", config, expires), timeout=30)
    try:
        with Snapshot.scan(files, [b""], BundleLimits(), strict=True) as snapshot:
            manifest = Manifest(
                owner_key=owner.spki,
                bundle=snapshot.listing.digest(),
                argv=("python3", "probe.py"),
                cwd="",
                environment=NAMES,
                limits=replace(LIMITS, ttl_seconds=60),
                network="none",
                outputs=(),
                policy=b"p" * 32,
                tty=False,
            )
            session = open_session(
                provider.connect(machine, timeout=10),
                lease="lease-nested",
                owner=owner,
                nonce=os.urandom(32),
                platform="tdx",
                manifest=manifest.digest(),
                appraise=lambda *_: None,
                timeout=20,
            )
            session.send_bundle(manifest.encode(), snapshot.stream(), snapshot.size())
            session.start_evidence(os.urandom(32), lambda *_: None)
        # The agent's pid in its own namespace is a number that the workload's namespace gives to others.
        values = {"AGENT_PID": b"77", "SOCKET_FILE": b"/storage/none", "STORAGE": b"/storage"}
        out = Collected()
        ended = session.run(values, on_output=out, stdin=None, control=None)
        assert ended.code == 0, out.stderr
        check(json.loads(out.stdout))
        session.release()
    finally:
        provider.destroy(machine.id, timeout=20)


MASKED = r"""
import glob, json, os
found = {}
for path in glob.glob("/proc/[0-9]*"):
    try:
        line = open(path + "/cmdline", "rb").read()
    except OSError:
        continue
    if line.split(b"\0")[1:3] == [b"-m", b"assay.guest"]:
        for name in ("mem", "environ", "maps", "fd/0", "fd/3", "root", "cwd", "auxv", "syscall", "stack"):
            target = path + "/" + name
            try:
                os.readlink(target) if name[0] in "frc" else open(target, "rb").read(1)
                found[name] = "seen"
            except OSError:
                found[name] = "refused"
        found["agent"] = path
try:
    found["sysctl"] = open("/proc/sys/kernel/hostname", "w").write("x")
except OSError:
    found["sysctl"] = "refused"
print(json.dumps(found))
"""


def test_within_an_outer_sandbox_that_masks_proc(files):
    """There the kernel refuses a new /proc, and the agent's own is shown: with nothing private in it."""
    (files / "masked.py").write_text(MASKED)
    outer = [
        "bwrap",
        "--unshare-user",
        "--unshare-pid",
        "--uid",
        "1000",
        "--gid",
        "1000",
        "--die-with-parent",
    ]
    outer += ["--dev-bind", "/", "/", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"]
    with GuestProcess(isolation="bubblewrap", prefix=outer) as guest:
        session, _ = guest.started(["python3", "masked.py"], files)
        out = Collected()
        ended = session.run({}, on_output=out, stdin=None, control=None)
        assert ended.code == 0, out.stderr
        found = json.loads(out.stdout)
        assert found.pop("agent").startswith("/proc/")
        assert set(found.values()) == {"refused"}, found
        session.release()


def test_rung_none_hides_nothing_and_says_so(files):
    with GuestProcess(isolation="none") as guest:
        session = guest.open(guest.manifest(["true"], b"b" * 32))
        assert session.offered.isolation == "none"


def test_an_agent_without_the_rung_it_was_told_to_use_does_not_begin(tmp_path):
    with GuestProcess(isolation="gvisor") as guest:
        assert guest.wait_ended() == 1
        assert b"guest.usage" in guest.process.stderr.read()


def test_a_fork_bomb_stays_in_its_sandbox(files):
    with GuestProcess(isolation="bubblewrap") as guest:
        session, _ = guest.started(
            ["sh", "-c", "f() { f | f & }; f; sleep 60"],
            files,
            limits=replace(LIMITS, processes=40, time_seconds=5),
        )
        ended = session.run({}, on_output=lambda *_: None, stdin=None, control=None)
        # Either the kernel refuses the processes, and the shell gives up, or they are counted and ended.
        assert ended.reason in ("process_limit", "time_limit", "exited")
        assert ended.exit_code != 0
        assert session.status().phase == "exited"


def test_shared_memory_and_scratch_are_bounded(files):
    script = (
        "head -c 90000000 /dev/zero > /dev/shm/x 2>/dev/null; wc -c < /dev/shm/x;"
        "head -c 90000000 /dev/zero > /tmp/x 2>/dev/null; wc -c < /tmp/x"
    )
    with GuestProcess(isolation="bubblewrap") as guest:
        session, _ = guest.started(["sh", "-c", script], files, limits=replace(LIMITS, memory_bytes=64 << 20))
        out = Collected()
        session.run({}, on_output=out, stdin=None, control=None)
        assert all(int(size) <= 64 << 20 for size in out.stdout.split())
        assert len(out.stdout.split()) == 2
