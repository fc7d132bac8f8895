from __future__ import annotations

import importlib.util
import random
import signal
import sys
import time
from pathlib import Path

import pytest


def _loop_module():
    spec = importlib.util.spec_from_file_location("kill_loop", Path(__file__).with_name("kill_loop.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


kill_loop = _loop_module()


@pytest.fixture
def loop(tmp_path):
    found = kill_loop.Loop(tmp_path / "state", random.Random(20261121))
    found.count_points()
    return found


@pytest.mark.parametrize("victim", ["point", "moment", "guest", "machine"])
def test_a_kill_leaves_nothing_after_recovery(loop, victim):
    for _ in range(2):
        loop.round(victim)
    assert loop.verify_log() > 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_fault_point_of_the_client(loop):
    for point in range(loop.points):
        client = loop.drive(point, "never", ("true",))
        client.communicate(timeout=60)
        assert client.returncode == -signal.SIGKILL
        loop.recover()
    assert loop.verify_log() > loop.points


def killed_for_good(loop):
    """Kill a client when its workload was launched; return what it said instead if that never was."""
    with loop.drive(-1, "always", ("sleep", "300")) as client:
        for line in client.stdout:
            if line.strip() == b"workload.launched":
                client.kill()
                return b""
        return client.stderr.read()


@pytest.mark.timeout(600)
def test_a_client_killed_for_good_leaves_a_guest_that_ends_itself(tmp_path, monkeypatch):
    for seconds in (4, 16, 64):  # on a busy machine a short life is over before the workload begins
        monkeypatch.setenv("DRIVER_TTL", f"{seconds}s")
        loop = kill_loop.Loop(tmp_path / f"state-{seconds}", random.Random(1))
        said = killed_for_good(loop)
        if not said and loop.processes():
            break
    else:
        pytest.fail(f"no guest outlived its client: {said.decode()}")
    deadline = time.monotonic() + seconds + 30
    while loop.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert loop.processes() == []
    loop.recover()
