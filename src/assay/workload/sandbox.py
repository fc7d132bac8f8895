"""Confining a workload: another user, in its own namespaces, with nothing of the agent in reach.

Two rungs. ``bubblewrap``: own user, pid, mount, network, IPC, UTS and cgroup namespaces, a read-only system,
a writable work directory, a private /tmp, no capabilities, no new privileges, a system call filter. Its user
id is another one inside; outside it is another one wherever the agent is root, and the agent's own (in a user
namespace below the agent's, where that id has no power over it) where the agent is not. ``none``: a plain
process with limits, as the same user. It hides nothing from the workload and says so.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import WorkloadError
from assay.workload import seccomp
from assay.workload.confined import Confined, failed, inner_process
from assay.workload.launcher import Launch
from assay.workload.linux_calls import MFD_CLOEXEC, memfd_create
from assay.workload.processes import tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assay.workload.manifest import Manifest

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WORK = "/work"
NOBODY = 65534
# Both exist inside the sandbox alone, made for one workload.
_SCRATCH = "/tmp"  # noqa: S108 - see above
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - see above
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/certs",
)
_PASSWD = b"workload:x:65534:65534:workload:/tmp:/bin/sh\n"
_GROUP = b"workload:x:65534:\n"
_PROBE_SECONDS = 20.0


# What an outer sandbox may force on ours, the strictest first. Where it masks parts of /proc, the kernel
# refuses a new one, and the agent's is shown: it names processes that the workload has no power over, because
# signals need a pid of its own namespace and everything private in it needs a capability in the agent's user
# namespace. Where /proc/sys is read-only, bubblewrap cannot forbid further user namespaces; the system call
# filter does that too.
_FORBID = "--disable-userns"
_ACCOMMODATIONS = (
    (_FORBID, "--proc", "/proc"),
    ("--proc", "/proc"),
    (_FORBID, "--ro-bind", "/proc", "/proc"),
    ("--ro-bind", "/proc", "/proc"),
)


class Rung(StrEnum):
    """How a workload is kept apart from the agent."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Streams:
    """The child's ends of its standard streams; a terminal is the same descriptor three times."""

    stdin: int
    stdout: int
    stderr: int


class Sandbox:
    """Where workloads of one guest run.

    Args:
        rung: Which rung.
        reap: Whether this process is the reaper of its descendants (rung ``none``), so that a workload's
            orphans can be found and ended.

    Attributes:
        rung: Which rung.
        other_user: The user id that a workload has outside of its sandbox; None where it is the agent's own.

    Raises:
        WorkloadError: ``workload.sandbox.unavailable`` when the rung does not work here. There is no falling
            back to a lower one.
    """

    __slots__ = ("_accommodations", "_bwrap", "_reap", "other_user", "rung")

    def __init__(self, rung: Rung, *, reap: bool) -> None:
        self.rung = rung
        self._reap = reap
        self.other_user = _other_user() if rung is Rung.BUBBLEWRAP else None
        self._bwrap = ""
        self._accommodations: tuple[str, ...] = ()
        if rung is Rung.BUBBLEWRAP:
            self._bwrap = shutil.which("bwrap", path=SYSTEM_PATH) or ""
            if not self._bwrap or not seccomp.supported():
                raise unavailable("bubblewrap is not installed, or there is no filter for this architecture")
            self._accommodations = self._probe()

    def _probe(self) -> tuple[str, ...]:
        """Return the first of ``_ACCOMMODATIONS`` with which a sandbox works here."""
        user = self.other_user
        for way in _ACCOMMODATIONS:
            try:
                done = subprocess.run(
                    [self._bwrap, *_namespaces(), *_system(), *way, "--", "/bin/true"],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=_PROBE_SECONDS,
                    check=False,
                    user=user,
                    group=user,
                    extra_groups=None if user is None else [],
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise unavailable("bubblewrap cannot be run") from error
            if done.returncode == 0:
                return way
        raise unavailable(done.stderr.decode(errors="replace").strip()[:200] or "bubblewrap failed")

    def start(
        self, manifest: Manifest, environment: Mapping[str, bytes], work: Path, streams: Streams
    ) -> Confined:
        """Start the program of ``manifest`` in ``work`` and return it, running.

        The calling thread must live as long as the workload: where it ends, the kernel ends the workload.

        Args:
            manifest: What to run.
            environment: Values for the names in it.
            work: The bundle's directory.
            streams: The child's ends of its streams.

        Raises:
            WorkloadError: ``workload.sandbox.failed``.
        """
        values = {**_base_environment(manifest, self.rung, work), **environment}
        with ExitStack() as stack:
            try:
                if self.rung is Rung.NONE:
                    return self._start_bare(manifest, values, work, streams)
                return self._start_confined(stack, manifest, values, work, streams)
            except OSError as error:
                raise failed(error.strerror or "the system refused") from error

    def _start_bare(
        self, manifest: Manifest, values: Mapping[str, bytes], work: Path, streams: Streams
    ) -> Confined:
        launch = Launch(
            argv=manifest.argv,
            cwd=str(work / manifest.cwd),
            limits=_resource_limits(manifest, os.geteuid()),
            bare=True,
            tty=manifest.tty,
            user=None,
            parent=os.getpid(),
        )
        child = subprocess.Popen(
            launch.command(),
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            env={name.encode(): value for name, value in values.items()},
        )
        return Confined(child, -1, -1, tty=manifest.tty, reap=self._reap)

    def _start_confined(
        self,
        stack: ExitStack,
        manifest: Manifest,
        values: Mapping[str, bytes],
        work: Path,
        streams: Streams,
    ) -> Confined:
        status, status_child = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, status_child)
        user = self.other_user
        if user is not None:
            _give(work, user)
        inherited = [status_child]

        def data(content: bytes) -> str:
            descriptor = memfd_create("assay-sandbox", MFD_CLOEXEC)
            stack.callback(os.close, descriptor)
            os.write(descriptor, content)
            os.lseek(descriptor, 0, os.SEEK_SET)
            inherited.append(descriptor)
            return str(descriptor)

        options: list[str | bytes] = [
            *_namespaces(),
            *_system(),
            *self._accommodations,
            *_private(manifest),
            *("--ro-bind-data", data(_PASSWD), "/etc/passwd"),
            *("--ro-bind-data", data(_GROUP), "/etc/group"),
            *("--bind", str(work), WORK, "--chdir", str(Path(WORK, manifest.cwd))),
            *("--remount-ro", "/dev", "--remount-ro", "/"),
            *("--seccomp", data(seccomp.program())),
            *("--json-status-fd", str(status_child), "--clearenv"),
            *(part for name, value in values.items() for part in ("--setenv", name, value)),
        ]
        if not manifest.tty:
            options.append("--new-session")
        argument_bytes = b"".join(os.fsencode(option) + b"\0" for option in options)
        # A terminal can control only a session that was made after the sandbox, inside it.
        leader = ("/usr/bin/setsid", "--ctty", "--") if manifest.tty and _has_setsid() else ()
        launch = Launch(
            argv=(self._bwrap, "--args", data(argument_bytes), "--", *leader, *manifest.argv),
            cwd="/",
            limits=_resource_limits(manifest, os.geteuid() if user is None else user),
            bare=False,
            tty=False,
            user=user,
            parent=os.getpid(),
        )
        try:
            child = subprocess.Popen(
                launch.command(),
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                env={"PATH": SYSTEM_PATH, "LANG": "C.UTF-8"},
                pass_fds=inherited,
                start_new_session=True,
            )
        except BaseException:
            os.close(status)
            raise
        stack.close()
        return Confined(child, status, inner_process(status, child), tty=manifest.tty, reap=False)


def find_program(manifest: Manifest, work: Path, rung: Rung) -> str | None:
    """Tell why the program of ``manifest`` cannot be run: ``not_found``, ``not_executable``, or None."""
    program = manifest.argv[0]
    if "/" in program:
        if program.startswith("/"):
            inside = rung is Rung.BUBBLEWRAP and program.startswith(WORK + "/")
            candidates = [work / program[len(WORK) + 1 :] if inside else Path(program)]
        else:
            candidates = [work / manifest.cwd / program]
    else:
        candidates = [Path(directory, program) for directory in _search_path().split(":")]
    # A name that no file system holds is not found either, where ``Path.is_file`` would raise.
    there = [path for path in candidates if os.path.isfile(path)]  # noqa: PTH113 - see above
    if not there:
        return "not_found"
    return None if any(os.access(path, os.X_OK) for path in there) else "not_executable"


def unavailable(why: str) -> WorkloadError:
    """Return the error for a rung that does not work here."""
    return WorkloadError("workload.sandbox.unavailable", f"The sandbox cannot be made: {why}.")


def _namespaces() -> tuple[str, ...]:
    return (
        *("--unshare-all", "--unshare-user", "--uid", str(NOBODY), "--gid", str(NOBODY)),
        *("--hostname", "workload", "--die-with-parent", "--cap-drop", "ALL"),
    )


def _system() -> Iterator[str]:
    for path in _SYSTEM:
        if os.path.islink(path):  # noqa: PTH114 - a path that is never opened
            yield from ("--symlink", os.readlink(path), path)  # noqa: PTH115 - as above
        elif os.path.isdir(path):  # noqa: PTH112 - as above
            yield from ("--ro-bind", path, path)
    prefix = interpreter_prefix()
    if prefix:
        yield from ("--ro-bind", prefix, prefix)
    for path in _SETTINGS:
        yield from ("--ro-bind-try", path, path)


def interpreter_prefix() -> str:
    """Return where this Python is installed, if a workload should see it too and would not otherwise.

    A workload may use the interpreter that the guest came with, where that does not lie below /usr and where
    the workload's user can reach it.
    """
    prefix = Path(sys.base_prefix)
    reachable = all(path.stat().st_mode & 0o001 for path in (prefix, *prefix.parents))
    below_system = any(prefix.is_relative_to(system) for system in _SYSTEM)
    return "" if below_system or not (reachable or _other_user() is None) else str(prefix)


def _search_path() -> str:
    prefix = interpreter_prefix()
    return f"{SYSTEM_PATH}:{prefix}/bin" if prefix else SYSTEM_PATH


def _private(manifest: Manifest) -> tuple[str, ...]:
    size = ("--size", str(min(manifest.limits.disk_bytes, manifest.limits.memory_bytes)))
    return ("--dev", "/dev", *size, "--tmpfs", _SHARED_MEMORY, *size, "--tmpfs", _SCRATCH)


def _other_user() -> int | None:
    """Return whom the sandbox runs as outside, or None where the agent has no choice but itself."""
    return NOBODY if os.geteuid() == 0 and _maps(NOBODY) else None


def _maps(uid: int) -> bool:
    """Tell whether ``uid`` exists in the agent's user namespace."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, _, count = (int(part) for part in line.split())
        if inside <= uid < inside + count:
            return True
    return False


def _give(work: Path, uid: int) -> None:
    for directory, _, files in os.walk(work):
        os.chown(directory, uid, uid, follow_symlinks=False)
        for name in files:
            os.chown(f"{directory}/{name}", uid, uid, follow_symlinks=False)


def _has_setsid() -> bool:
    return os.access("/usr/bin/setsid", os.X_OK)


def _base_environment(manifest: Manifest, rung: Rung, work: Path) -> dict[str, bytes]:
    found = {
        "PATH": _search_path().encode(),
        "HOME": os.fsencode(_SCRATCH if rung is Rung.BUBBLEWRAP else work),
        "LANG": b"C.UTF-8",
    }
    if manifest.tty:
        found["TERM"] = b"xterm"
    return found


def _resource_limits(manifest: Manifest, uid: int) -> dict[str, tuple[int, int]]:
    limits = manifest.limits
    processor = limits.time_seconds * (os.cpu_count() or 1)
    processes = limits.processes + tasks_of(uid) + 8
    # Address space is reserved freely by many runtimes, so it is only bounded well above the memory limit.
    space = 4 * limits.memory_bytes + (1 << 32)
    return {
        "RLIMIT_CPU": (processor, processor + 5),
        "RLIMIT_AS": (space, space),
        "RLIMIT_DATA": (limits.memory_bytes, limits.memory_bytes),
        "RLIMIT_FSIZE": (limits.disk_bytes, limits.disk_bytes),
        "RLIMIT_NOFILE": (1024, 65536),
        "RLIMIT_NPROC": (processes, processes),
        "RLIMIT_CORE": (0, 0),
    }
