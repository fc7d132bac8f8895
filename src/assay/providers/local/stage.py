"""Becomes a program that dies with its parent, and for root: as another user who can see what it needs.

    python -I -S stage.py PARENT USER PLACE TARGET=SOURCE... -- PROGRAM ARGUMENT...

USER 0 changes nothing but the signal at the parent's death. Otherwise the process gets a mount namespace of
its own, in which PLACE is a small tmpfs that shows each SOURCE at its TARGET, wherever root keeps it; it
becomes USER and can never gain privileges again. It replaces itself by PROGRAM: no process of root's without
capabilities stays in between, whose death the kernel would not let end a process of USER.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PDEATHSIG, _NO_NEW_PRIVS, _SIGKILL = 1, 38, 9
_NEW_MOUNTS = 0x0002_0000
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        sys.exit(f"{what}: {os.strerror(number)}")


def show(libc: ctypes.CDLL, place: str, pairs: list[tuple[str, str]]) -> None:
    """Show each source at its target below ``place``, in a mount namespace of this process."""
    _check(libc.unshare(_NEW_MOUNTS), "a mount namespace")
    _check(libc.mount(None, b"/", None, _RECURSIVE | _PRIVATE, None), "private mounts")
    # Opened in the new namespace, from which alone the kernel binds, and before ``place`` hides anything.
    opened = [(target, os.open(source, os.O_PATH | os.O_CLOEXEC)) for target, source in pairs]
    _check(libc.mount(b"tmpfs", place.encode(), b"tmpfs", 0, b"mode=0755,size=64k"), "a place to show things")
    for target, descriptor in opened:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            Path(target).mkdir()
        else:
            Path(target).touch()
        source = f"/proc/self/fd/{descriptor}".encode()
        _check(libc.mount(source, os.fsencode(target), None, _BIND | _RECURSIVE, None), f"to show {target}")


def become(libc: ctypes.CDLL, user: int) -> None:
    """Become another user, with no groups, no capabilities and no way back."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _check(libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


def main(arguments: list[str]) -> None:
    """See the module."""
    split = arguments.index("--")
    parent, user, place, *shown = arguments[:split]
    program = arguments[split + 1 :]
    libc = ctypes.CDLL(None, use_errno=True)
    if int(user):
        pairs = [(target, source) for target, _, source in (pair.partition("=") for pair in shown)]
        show(libc, place, pairs)
        become(libc, int(user))
    # After the change of user, which would clear it.
    _check(libc.prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0), "to die with the parent")
    if os.getppid() != int(parent):
        sys.exit("the parent has gone")
    os.execv(program[0], program)  # noqa: S606 - this process is there to become the program


if __name__ == "__main__":
    main(sys.argv[1:])
