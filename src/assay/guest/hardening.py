"""What the agent does to itself before it reads its first byte from anyone (prctl(2))."""

from __future__ import annotations

import ctypes
import os
import resource

from assay.errors import GuestError

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38


def harden() -> None:
    """Close the agent to its own user: no tracing, no memory through /proc, no core dumps, no new privileges.

    It also becomes the reaper of its descendants, so that an orphan of a workload cannot get out of its
    sight.

    Raises:
        GuestError: ``guest.hardening`` when the kernel refuses.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_CHILD_SUBREAPER, 1)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise GuestError("guest.hardening", "The kernel refused to close the agent to its own user.")
