"""Child processes for tests of crashes and of several writers at once: each is a fresh Python."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"


def spawn(code: str, *arguments: str, **options) -> subprocess.Popen:
    """Start ``code`` with ``arguments`` in ``sys.argv[1:]``."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def kill(child: subprocess.Popen) -> None:
    """End a child as ``kill -9`` does, and wait for it."""
    child.send_signal(signal.SIGKILL)
    child.communicate()


def finish(child: subprocess.Popen) -> str:
    """Wait for a child that must succeed; return what it printed."""
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err.decode()
    return out.decode()
