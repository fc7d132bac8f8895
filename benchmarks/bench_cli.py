"""How long the command line takes before it does anything, and one whole lease."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from table import Row, interleaved, median_of

if TYPE_CHECKING:
    from collections.abc import Iterator


def _call(*words: str, environ: dict[str, str] | None = None, cwd: str | None = None) -> None:
    subprocess.run(
        [sys.executable, "-m", "assay", *words],
        env=os.environ | (environ or {}),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
    )


def _python(*statements: str) -> None:
    subprocess.run([sys.executable, "-c", "; ".join(statements)], check=True)


def rows() -> Iterator[Row]:
    """Yield the rows of start-up, and of a whole run on the local provider."""
    found = interleaved(
        {
            "python": lambda: _python("pass"),
            "import assay": lambda: _python("import assay"),
            "assay --help": lambda: _call("--help"),
            "assay --version": lambda: _call("--version"),
        }
    )
    limits = {"assay --help": 0.150}
    for name, (seconds, samples) in found.items():
        against = "python" if name == "import assay" else ""
        yield Row(name, seconds, samples, against=against, limit=limits.get(name), note="one process")
    if find_spec("assay.cli.run"):
        with tempfile.TemporaryDirectory() as folder:
            state, work = Path(folder, "state"), Path(folder, "work")
            state.mkdir(mode=0o700)
            work.mkdir()
            environ = {"ASSAY_STATE_DIR": str(state)}
            seconds, samples = median_of(
                lambda: _call("run", "--on", "local", "--", "true", environ=environ, cwd=str(work)), rounds=7
            )
        yield Row("assay run --on local -- true", seconds, samples, limit=1.5, note="warm, one process")
