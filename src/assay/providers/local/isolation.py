"""Rungs of isolation of a guest on this computer, found by trying them, and how to start one on each.

On ``bubblewrap`` the guest has its own user, pid, mount, network, IPC, UTS and cgroup namespaces, a read-only
system without the user's home and state, and no network; it must also be able to nest another such sandbox,
in which its workload runs. A mount of ``/proc`` inside a nested one is refused to root by the kernel, so for
root the guest is started as a user of its own that owns nothing (see ``stage``).

On ``none`` the guest is a plain process of the same user.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBE_SECONDS = 5.0
STORAGE_BYTES = 2 << 30
STAGE = "/tmp"  # noqa: S108 - a mount point inside a private mount namespace
STORAGE = "/storage"
DEPENDENCIES = "/dependencies"
_DEPENDENCIES = ("cryptography", "rfc8785", "_cffi_backend")
_MERGED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_SETTINGS = ("alternatives", "group", "ld.so.cache", "localtime", "nsswitch.conf", "passwd")
_USERS = range(61184, 65520)  # systemd's range for dynamic users: nobody has files there


@dataclass(frozen=True, slots=True)
class Rung:
    """How guests are isolated here.

    Attributes:
        name: ``bubblewrap`` or ``none``.
        bwrap: The program; empty on ``none``.
        reason: Why not a better one; empty on the best.
    """

    name: str
    bwrap: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, str]:
        """Return JSON-ready values."""
        return {"name": self.name, "bwrap": self.bwrap, "reason": self.reason}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Rung:
        """Return the rung that ``to_json`` gave."""
        return cls(*(str(value[name]) for name in ("name", "bwrap", "reason")))


def probe(environ: Mapping[str, str]) -> Rung:
    """Find the best rung that works here, by starting a sandbox in a sandbox.

    Args:
        environ: Its ``PATH`` is searched for the programs.
    """
    path = environ.get("PATH", os.defpath)
    bwrap = shutil.which("bwrap", path=path)
    if not bwrap:
        return Rung("none", reason="bubblewrap is not installed")
    rung = Rung("bubblewrap", bwrap)
    nested = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    try:
        tried = subprocess.run(
            [*_sandbox(rung, "probe"), *nested, bwrap, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PROBE_SECONDS,
            env={},
            cwd="/",
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Rung("none", reason="bubblewrap does not start here")
    if tried.returncode:
        said = tried.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        return Rung("none", reason=f"bubblewrap does not work here: {(said or [''])[-1][:200]}")
    return rung


def interpreter() -> str:
    """Return the interpreter itself, behind every link of a virtual environment."""
    return os.path.realpath(sys.executable)


def dependencies() -> dict[str, Path]:
    """Return where this installation keeps what the agent imports besides the standard library."""
    found = {}
    for name in _DEPENDENCIES:
        spec = find_spec(name)
        if spec and spec.submodule_search_locations:
            found[name] = Path(next(iter(spec.submodule_search_locations)))
        elif spec and spec.origin:
            found[Path(spec.origin).name] = Path(spec.origin)
    return found


def guest_argv(
    rung: Rung,
    program: list[str],
    *,
    lease: str,
    storage: Path,
    lent: bool,
    sync_fd: int,
    status_fd: int,
) -> list[str]:
    """Return the command that starts a guest.

    Args:
        rung: How to isolate it.
        program: The arguments of the guest's interpreter, ``{dependencies}`` and ``{storage}`` as gaps.
        lease: Whose guest it is; root gives each lease a user.
        storage: The directory for its files on ``none``, or that the host lends.
        lent: Whether the guest's files lie there on ``bubblewrap`` as well, where the host can change them.
        sync_fd: Stays open as long as anything in the sandbox lives.
        status_fd: Where bubblewrap writes the pid of the sandbox.
    """
    if rung.name == "none":
        places = ":".join(sorted({str(path.parent) for path in dependencies().values()}))
        return [*_stage(0, {}), interpreter(), *_filled(program, places, str(storage))]
    lasting = ["--sync-fd", str(sync_fd), "--json-status-fd", str(status_fd)]
    return [
        *_sandbox(rung, lease, lasting, storage if lent else None),
        interpreter(),
        *_filled(program, DEPENDENCIES, STORAGE),
    ]


def guest_environment() -> dict[str, str]:
    """Return the whole environment of a guest."""
    return {
        "PATH": f"{Path(interpreter()).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
    }


def _filled(program: list[str], places: str, storage: str) -> list[str]:
    return [part.replace("{dependencies}", places).replace("{storage}", storage) for part in program]


def guest_user(lease: str) -> int:
    """Return the user that root starts a guest as; 0 when we are not root, and it runs as our own user."""
    if os.geteuid() != 0:
        return 0
    return _USERS[int.from_bytes(hashlib.sha256(lease.encode()).digest()[:4]) % len(_USERS)]


def _sandbox(rung: Rung, lease: str, lasting: list[str] | None = None, lent: Path | None = None) -> list[str]:
    """Return the words before the program that is to run in the sandbox."""
    own = {f"{DEPENDENCIES}/{name}": path for name, path in dependencies().items()}
    prefix = Path(sys.base_prefix)
    if not prefix.is_relative_to("/usr"):
        own[str(prefix)] = prefix
    if lent is not None:
        own[STORAGE] = lent
    words: list[str] = []
    if user := guest_user(lease):
        # Root keeps these where perhaps only root can look.
        staged = {target: Path(f"{STAGE}/{number}{own[target].suffix}") for number, target in enumerate(own)}
        words = _stage(user, {staged[target]: source for target, source in own.items()})
        own = staged
    words += [rung.bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--hostname", "guest"]
    words += [*_environment(), *_system(), "--size", str(64 << 20), "--tmpfs", STAGE]
    if lent is None:
        words += ["--perms", "0700", "--size", str(STORAGE_BYTES), "--tmpfs", STORAGE]
    for target, source in own.items():
        words += ["--bind" if target == STORAGE else "--ro-bind", str(source), target]
    return [*words, *(lasting or []), "--chdir", "/", "--"]


def _stage(user: int, shown: Mapping[Path, Path]) -> list[str]:
    """Return the words that make what follows die with this process, as ``user``; see ``stage``."""
    pairs = [f"{target}={source}" for target, source in shown.items()]
    script = str(Path(__file__).with_name("stage.py"))
    return [interpreter(), "-I", "-S", script, str(os.getpid()), str(user), STAGE, *pairs, "--"]


def _environment() -> list[str]:
    words = ["--clearenv"]
    for name, value in guest_environment().items():
        words += ["--setenv", name, value]
    return words


def _system() -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for place in _MERGED:
        if Path(place).is_symlink():
            words += ["--symlink", str(Path(place).readlink()), place]
        elif Path(place).is_dir():
            words += ["--ro-bind", place, place]
    for name in _SETTINGS:
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return [*words, "--proc", "/proc", "--dev", "/dev"]
