"""Every command of these pages runs, in order, in one directory, and prints what the page says.

A block marked ``console`` holds commands behind ``$ `` and what they print; ``...`` stands for anything. A
block marked with a title is a file that the reader writes.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / "tutorial.md", ROOT / "docs" / "how-to" / "verify-evidence.md"]
BLOCK = re.compile(
    r'^```(?P<kind>\w+)(?: title="(?P<title>[\w.-]+)")?\n(?P<body>.*?)^```$', re.MULTILINE | re.DOTALL
)
SECONDS = 60


def _steps(page):
    """Yield what the reader does: write a file, or type a command and see what the page shows."""
    for block in BLOCK.finditer(page):
        if block["title"]:
            yield "file", block["title"], block["body"]
        elif block["kind"] == "console":
            for part in re.split(r"^\$ ", block["body"], flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                while command.endswith("\\"):
                    more, _, shown = shown.partition("\n")
                    command = f"{command[:-1]}{more.removeprefix('> ')}"
                yield "command", command, shown


def _agrees(shown, printed):
    wanted = shown.rstrip() + "\n" if shown.strip() else ""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(
        wanted, printed.rstrip() + "\n" if printed.strip() else "", flags
    )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_does_what_it_says(path, tmp_path):
    work, state = tmp_path / "work", tmp_path / "state"
    work.mkdir()
    state.mkdir(mode=0o700)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "GIT_"))},
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ASSAY_STATE_DIR": str(state),
        "NO_COLOR": "1",
    }
    typed = 0
    for kind, what, text in _steps(path.read_text()):
        if kind == "file":
            (work / what).write_text(text)
            continue
        done = subprocess.run(
            ["bash", "-c", what],
            cwd=work,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
            text=True,
        )
        assert _agrees(text, done.stdout), f"$ {what}\n--- the page:\n{text}\n--- printed:\n{done.stdout}"
        typed += 1
    assert typed > 3
