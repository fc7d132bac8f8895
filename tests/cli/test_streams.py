from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from assay.channel.client import Signal
from assay.cli import streams
from assay.leases.signals import Relay
from support.lease_shell import Shell
from support.marked_processes import gone, marked


@pytest.fixture
def full(monkeypatch):
    """Stand a pipe that nobody reads for stdout; return both ends."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(write, bytes(65536))
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x")
    os.set_blocking(write, True)
    monkeypatch.setitem(streams._DESCRIPTORS, "stdout", write)
    yield read, write
    os.close(read)
    os.close(write)


def test_signals_reach_the_workload_while_nobody_reads_its_output(full):
    taken = []
    with Relay(None) as relay:

        def urge():
            taken.extend(relay.take())
            if len(taken) == 1:
                os.kill(os.getpid(), signal.SIGINT)

        relay.urge = urge
        relay.forward()
        write = streams.Streams(tty=False).writer(relay)
        os.kill(os.getpid(), signal.SIGINT)
        write("stdout", b"y" * 100_000)  # returns: the second one ends the wait for the reader too
        assert taken == [Signal(signal.SIGINT)]
        assert list(relay.take()) == [Signal(signal.SIGKILL)]  # for the session's own loop, which goes on now
        write("stdout", b"z")  # and what comes after is not waited for
        assert relay.take() == []


def test_a_reader_that_goes_on_gets_everything(full):
    read, _ = full
    before = 0
    came = b""
    with Relay(None) as relay:

        def urge():
            nonlocal before
            relay.take()
            with suppress(BlockingIOError):
                while found := os.read(read, 1 << 20):
                    before += len(found)

        relay.urge = urge
        relay.forward()
        write = streams.Streams(tty=False).writer(relay)
        os.kill(os.getpid(), signal.SIGUSR1)
        write("stdout", b"y" * 50_000)
        with suppress(BlockingIOError):
            while found := os.read(read, 1 << 20):
                came += found
    assert before > 0
    assert came == b"y" * 50_000


def test_an_interrupted_run_ends_though_nobody_reads(tmp_path):
    shell = Shell(tmp_path)
    marker = marked()
    read, write = os.pipe()
    room = select.poll()
    room.register(write, select.POLLOUT)
    run = subprocess.Popen(
        shell.argv("run", "--on", "local", "--", "yes", marker),
        env=shell.environ,
        cwd=tmp_path,
        stdout=write,
        stderr=subprocess.PIPE,
    )
    try:
        while room.poll(0):
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        assert gone("yes", marker)  # two that come at once are one: the first has come by now
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=90)
    finally:
        run.kill()
        run.communicate()
        os.close(read)
        os.close(write)
    assert run.returncode == 128 + signal.SIGINT
    assert b"the machine is gone" in err
