"""Evidence is verified without a network: `.ci/run` runs the vectors and every check where there is none.

In that run ``ASSAY_UNSHARED`` is 1, and the first test below shows that nothing at all can be reached. In
every other run the last one shows that the same questions are answered otherwise where there is a network.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
ALONE = ("unshare", "--map-root-user", "--net")
UNSHARED = os.environ.get("ASSAY_UNSHARED") == "1"

# 192.0.2.1 and 2001:db8::1 are addresses of nobody (RFC 5737, RFC 3849).
UNREACHABLE = ("127.0.0.1", 9), ("192.0.2.1", 443)
# Linux looks for an address of its own first, and there is none; or it has no IPv6 at all.
UNREACHABLE_6 = ("::1", 9), ("2001:db8::1", 443)
NO_IPV6 = {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def answer(family, address):
    """Return the number of the error that a connection meets at once, or 0 where it is made or waits."""
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        return error.errno
    with made:
        made.setblocking(False)
        found = made.connect_ex(address)
    return 0 if found == errno.EINPROGRESS else found


@pytest.mark.skipif(not UNSHARED, reason="this run has a network; the step of `.ci/run` without one runs it")
def test_there_is_no_network_here():
    assert {answer(socket.AF_INET, address) for address in UNREACHABLE} == {errno.ENETUNREACH}
    assert {answer(socket.AF_INET6, address) for address in UNREACHABLE_6} <= NO_IPV6
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.org", 443)


def test_the_continuous_integration_runs_the_vectors_and_every_check_without_a_network():
    script = (ROOT / ".ci" / "run").read_text()
    assert "step 'evidence without a network' without_network" in script
    (named,) = re.findall(r"ASSAY_UNSHARED=1 .+? pytest -n 2 (.+?) >", script.replace(".venv/bin/", ""))
    chosen = {path for pattern in named.split() for path in ROOT.glob(pattern)}
    wanted = {
        path
        for folder in ("evidence", "evidence_logs")
        for pattern in ("test_*vectors*.py", "test_*checks.py", "test_*negatives.py")
        for path in (ROOT / "tests" / folder).glob(pattern)
    }
    assert len(wanted) > 20
    assert wanted | {Path(__file__).resolve()} == chosen


@pytest.mark.skipif(UNSHARED, reason="a namespace without a network cannot show what one with a network says")
def test_the_questions_tell_a_machine_with_a_network_from_one_without():
    if shutil.which("unshare") is None or subprocess.run([*ALONE, "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here")
    with socket.create_server(("127.0.0.1", 0)) as heard:
        here = heard.getsockname()
        assert answer(socket.AF_INET, here) == 0
        code = f"import socket; print(socket.socket().connect_ex({here!r}))"
        done = subprocess.run(
            [*ALONE, sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    assert int(done.stdout) == errno.ENETUNREACH
