"""Linux calls that some builds of Python leave out.

A build against an old C library, such as the portable ones that installers of Python bring, has no memory
files, no seals and no pidfds in ``os``, ``fcntl`` and ``signal``, whatever the kernel can do. There they are
asked of the C library, or of the kernel by number: ``linux/memfd.h``, ``linux/fcntl.h`` and
``asm-generic/unistd.h``, whose numbers for pidfds are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import os
import signal
from functools import cache

MFD_CLOEXEC = 0x1
MFD_ALLOW_SEALING = 0x2
F_ADD_SEALS = 1033
F_GET_SEALS = 1034
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE = 0x1, 0x2, 0x4, 0x8

_PIDFD_SEND_SIGNAL = 424
_PIDFD_OPEN = 434


def memfd_create(name: str, flags: int) -> int:
    """Return the descriptor of a new, empty memory file.

    Raises:
        OSError: The kernel refuses.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, flags)
    return _checked(_libc().memfd_create(name.encode(), ctypes.c_uint(flags)))


def pidfd_open(pid: int) -> int:
    """Return a descriptor that stands for a process; it is not inherited.

    Raises:
        OSError: There is no such process, or the kernel refuses.
    """
    if hasattr(os, "pidfd_open"):
        return os.pidfd_open(pid)
    return _checked(_libc().syscall(ctypes.c_long(_PIDFD_OPEN), ctypes.c_int(pid), ctypes.c_uint(0)))


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Send a signal to the process behind a descriptor.

    Raises:
        OSError: It has ended (``ProcessLookupError``), or the kernel refuses.
    """
    if hasattr(signal, "pidfd_send_signal"):
        signal.pidfd_send_signal(pidfd, number)
        return
    of_kernel = ctypes.c_long(_PIDFD_SEND_SIGNAL)
    _checked(_libc().syscall(of_kernel, ctypes.c_int(pidfd), ctypes.c_int(number), None, ctypes.c_uint(0)))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
