"""The calls that some builds of Python lack do the same there."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import subprocess

import pytest

from assay.workload import linux_calls as calls


@pytest.fixture(params=["Python's own", "the kernel's"], autouse=True)
def whose(request, monkeypatch):
    if request.param == "the kernel's":
        for module, name in (
            (os, "memfd_create"),
            (os, "pidfd_open"),
            (signal, "pidfd_send_signal"),
        ):
            monkeypatch.delattr(module, name, raising=False)


def test_a_memory_file_is_sealed_against_every_change():
    descriptor = calls.memfd_create("test", calls.MFD_CLOEXEC | calls.MFD_ALLOW_SEALING)
    try:
        assert not os.get_inheritable(descriptor)
        os.write(descriptor, b"kept")
        seals = calls.F_SEAL_SEAL | calls.F_SEAL_SHRINK | calls.F_SEAL_GROW | calls.F_SEAL_WRITE
        fcntl.fcntl(descriptor, calls.F_ADD_SEALS, seals)
        assert fcntl.fcntl(descriptor, calls.F_GET_SEALS) == seals
        for change in (
            lambda: os.pwrite(descriptor, b"x", 0),
            lambda: os.pwrite(descriptor, b"x", 4),
            lambda: os.ftruncate(descriptor, 1),
            lambda: fcntl.fcntl(descriptor, calls.F_ADD_SEALS, calls.F_SEAL_WRITE),
        ):
            with pytest.raises(PermissionError):
                change()
        assert os.pread(descriptor, 9, 0) == b"kept"
    finally:
        os.close(descriptor)


def test_a_memory_file_without_the_right_flag_takes_no_seals():
    descriptor = calls.memfd_create("test", 0)
    try:
        assert os.get_inheritable(descriptor)
        with pytest.raises(PermissionError):
            fcntl.fcntl(descriptor, calls.F_ADD_SEALS, calls.F_SEAL_WRITE)
    finally:
        os.close(descriptor)


def test_what_the_kernel_refuses_is_an_error_with_its_number():
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        calls.memfd_create("x" * 300, 0)


def test_a_process_is_signalled_and_awaited_through_its_descriptor():
    with subprocess.Popen(["sleep", "60"]) as child:
        descriptor = calls.pidfd_open(child.pid)
        try:
            assert not os.get_inheritable(descriptor)
            assert select.select([descriptor], [], [], 0)[0] == []
            calls.pidfd_send_signal(descriptor, signal.SIGKILL)
            assert select.select([descriptor], [], [], 30)[0] == [descriptor]
            assert child.wait() == -signal.SIGKILL
            with pytest.raises(ProcessLookupError):
                calls.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)
    with pytest.raises(ProcessLookupError):
        calls.pidfd_open(child.pid)
