"""A workload that runs: signals to it, its end, and how it ended."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.errors import WorkloadError
from assay.workload.linux_calls import pidfd_open, pidfd_send_signal
from assay.workload.processes import descendants, read_stat

if TYPE_CHECKING:
    import subprocess

FORWARDED = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGPIPE,
        signal.SIGTERM,
        signal.SIGKILL,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGCONT,
        signal.SIGTSTP,
        signal.SIGWINCH,
    }
)
_SETUP_SECONDS = 20.0
_END_SECONDS = 10.0
_BEGIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How the confined process ended.

    Attributes:
        code: Its exit code, None when a signal ended it or it never began.
        signal: That signal. On rung ``bubblewrap`` it is read from the code 128+n, as shells give it.
    """

    code: int | None
    signal: int | None


class Confined:
    """A running workload.

    Attributes:
        root: The process id whose descendants are the workload.
    """

    __slots__ = ("_child", "_handle", "_inner", "_inner_handle", "_reap", "_status", "_tty", "root")

    def __init__(
        self, child: subprocess.Popen[bytes], status: int, inner: int, *, tty: bool, reap: bool
    ) -> None:
        self._child = child
        self._handle = _handle(child.pid)
        self._status = status
        self._inner = inner
        self._inner_handle = _handle(inner)
        self._tty = tty
        self._reap = reap
        # An orphan of a bare workload becomes a child of the agent, whose descendants are then all the
        # workload's.
        self.root = os.getpid() if reap else child.pid

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether the program has ended."""
        if self._handle >= 0 and not select.select([self._handle], [], [], seconds)[0]:
            return False
        self._child.wait()
        return True

    def signal(self, number: int) -> None:
        """Send a signal to the process group of the program.

        Raises:
            WorkloadError: ``workload.signal.refused`` for one that is not forwarded.
        """
        if number not in FORWARDED:
            raise WorkloadError("workload.signal.refused", f"Signal {number} is not passed to a workload.")
        deadline = time.monotonic() + _BEGIN_SECONDS
        while self._child.poll() is None:
            group = self._group()
            if group is not None:
                with suppress(OSError):
                    os.killpg(group, number)
                return
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)

    def _group(self) -> int | None:
        """Return the program's process group, None while it has none of its own yet."""
        if self._inner < 0:
            found = read_stat(self._child.pid)
            return found.group if found and found.group == found.pid else None
        for process in descendants(self._inner):
            if process.parent == self._inner:
                alone = process.group not in (self._inner, self._child.pid)
                return process.group if not self._tty or alone else None
        return None

    def end(self) -> Ended:
        """End whatever is left of it, wait until that is so, and return how the program ended."""
        for handle in (self._inner_handle, self._handle):
            if handle >= 0:
                with suppress(OSError):
                    pidfd_send_signal(handle, signal.SIGKILL)
        if self._inner < 0:
            self._end_bare()
        self._child.wait()
        if self._inner_handle >= 0:
            # The first process of a pid namespace is gone only after all others in it.
            select.select([self._inner_handle], [], [], _END_SECONDS)
        for handle in (self._inner_handle, self._handle):
            if handle >= 0:
                os.close(handle)
        self._inner_handle = self._handle = -1
        return self._ended()

    def _end_bare(self) -> None:
        deadline = time.monotonic() + _END_SECONDS
        while time.monotonic() < deadline:
            found = descendants(self.root) if self._reap else descendants(self._child.pid)
            for process in found:
                with suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL)
            if self._reap:
                _reap_orphans(self._child.pid)
            if not found:
                return
            time.sleep(0.005)

    def _ended(self) -> Ended:
        code = self._child.returncode
        if self._status >= 0:
            rest = _read_rest(self._status)
            self._status = -1
            reported = [item["exit-code"] for item in _json_lines(rest) if "exit-code" in item]
            if not reported and code >= 0:
                return Ended(None, None)
        if code < 0:
            return Ended(None, -code)
        if self._inner >= 0 and 128 < code <= 128 + signal.SIGRTMAX:
            return Ended(None, code - 128)
        return Ended(code, None)


def failed(why: str) -> WorkloadError:
    """Return the error for a sandbox that could not be started."""
    return WorkloadError("workload.sandbox.failed", f"The workload could not be started: {why}.")


def inner_process(status: int, child: subprocess.Popen[bytes]) -> int:
    """Return the sandbox's first process, as bubblewrap reports it.

    Raises:
        WorkloadError: ``workload.sandbox.failed`` when it says nothing in time.
    """
    found = b""
    deadline = time.monotonic() + _SETUP_SECONDS
    while b"}" not in found:
        left = max(0.0, deadline - time.monotonic())
        part = os.read(status, 4096) if select.select([status], [], [], left)[0] else b""
        if not part:
            child.kill()
            child.wait()
            os.close(status)
            raise failed("bubblewrap did not begin")
        found += part
    for item in _json_lines(found):
        if type(item.get("child-pid")) is int:
            return int(item["child-pid"])
    raise failed("bubblewrap did not name its child")


def _json_lines(data: bytes) -> list[dict[str, Any]]:
    found = []
    text = data.decode(errors="replace")
    decoder = json.JSONDecoder()
    at = 0
    while (at := text.find("{", at)) >= 0:
        try:
            item, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        if type(item) is dict:
            found.append(item)
    return found


def _read_rest(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read(65536)


def _handle(pid: int) -> int:
    if pid < 0:
        return -1
    try:
        return pidfd_open(pid)
    except OSError:
        return -1


def _reap_orphans(child: int) -> None:
    """Collect dead orphans, but not the program itself, whose status ``subprocess`` collects."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if name.isdigit() and int(name) != child:
            with suppress(OSError):
                os.waitpid(int(name), os.WNOHANG)
