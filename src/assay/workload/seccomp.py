"""A system call filter for workloads, as the BPF program that bubblewrap loads.

It takes away what no ordinary program needs and what attacks on the kernel or on neighbours begin with:
tracing, other processes' memory, mounts and namespaces, kernel modules, BPF, io_uring, keyrings, typing into
a terminal, sockets beyond UNIX, IP and netlink. A refused call fails as if the kernel lacked the permission
or the feature.
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24  # struct seccomp_data, low halves
_X32 = 0x40000000
_NAMESPACE_FLAGS = 0x7E020080  # CLONE_NEW{CGROUP,UTS,IPC,USER,PID,NET}, CLONE_NEWNS, CLONE_NEWTIME
_TYPING = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_FAMILIES = (1, 2, 10, 16)  # AF_UNIX, AF_INET, AF_INET6, AF_NETLINK


@dataclass(frozen=True, slots=True)
class _Architecture:
    """Numbers of one architecture: its AUDIT_ARCH value and the column of ``_DENIED``."""

    audit: int
    column: int


_ARCHITECTURES = {"x86_64": _Architecture(0xC000003E, 0), "aarch64": _Architecture(0xC00000B7, 1)}

# name: (x86_64, aarch64), -1 where the architecture lacks it; from the kernel's unistd headers
_DENIED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "chroot": (161, 51),
    "setns": (308, 268),
    "unshare": (272, 97),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, -1),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "iopl": (172, -1),
    "ioperm": (173, -1),
    "modify_ldt": (154, -1),
    "uselib": (134, -1),
    "_sysctl": (156, -1),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "fanotify_init": (300, 262),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
}
# A program that finds these missing falls back to older calls, which the filter can look into.
_MISSING = {
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_CLONE, _IOCTL, _SOCKET = (56, 220), (16, 29), (41, 198)


def supported(machine: str | None = None) -> bool:
    """Tell whether there is a filter for ``machine``, this one by default."""
    return (machine or platform.machine()) in _ARCHITECTURES


def program(machine: str | None = None) -> bytes:
    """Return the filter for ``machine``, this one by default, as an array of ``struct sock_filter``.

    Raises:
        KeyError: There is none; ``supported`` tells.
    """
    architecture = _ARCHITECTURES[machine or platform.machine()]
    column = architecture.column
    lines = [
        *_statement(_LOAD, _ARCHITECTURE),
        *_unless_equal(architecture.audit, _KILL),
        *_statement(_LOAD, _NUMBER),
    ]
    if column == 0:
        lines += [_line(_AT_LEAST, 0, 1, _X32), _line(_RETURN, 0, 0, _KILL)]
    for table, answer in ((_DENIED, _ERRNO | errno.EPERM), (_MISSING, _ERRNO | errno.ENOSYS)):
        for numbers in table.values():
            if numbers[column] >= 0:
                lines += _if_equal(numbers[column], answer)
    lines += _looking_into(
        _CLONE[column],
        [
            *_statement(_LOAD, _FIRST_ARGUMENT),
            _line(_ANY_BIT, 0, 1, _NAMESPACE_FLAGS),
            _line(_RETURN, 0, 0, _ERRNO | errno.EPERM),
        ],
    )
    lines += _looking_into(
        _IOCTL[column],
        [
            *_statement(_LOAD, _SECOND_ARGUMENT),
            *(line for request in _TYPING for line in _if_equal(request, _ERRNO | errno.EPERM)),
        ],
    )
    lines += _looking_into(
        _SOCKET[column],
        [
            *_statement(_LOAD, _FIRST_ARGUMENT),
            *(line for family in _FAMILIES for line in _if_equal(family, _ALLOW)),
            _line(_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT),
        ],
    )
    lines.append(_line(_RETURN, 0, 0, _ALLOW))
    return b"".join(lines)


def _line(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _statement(code: int, value: int) -> list[bytes]:
    return [_line(code, 0, 0, value)]


def _if_equal(value: int, answer: int) -> list[bytes]:
    return [_line(_EQUAL, 0, 1, value), _line(_RETURN, 0, 0, answer)]


def _unless_equal(value: int, answer: int) -> list[bytes]:
    return [_line(_EQUAL, 1, 0, value), _line(_RETURN, 0, 0, answer)]


def _looking_into(number: int, lines: list[bytes]) -> list[bytes]:
    """Apply ``lines`` to the system call ``number`` alone; falling out of them allows it."""
    return [_line(_EQUAL, 0, len(lines) + 1, number), *lines, _line(_RETURN, 0, 0, _ALLOW)]
