"""The command line in processes of its own, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Shell:
    """Runs the command line in processes of its own, in one state directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cwd = home / "work"
        self.cwd.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ASSAY_STATE_DIR": str(home / "state"),
            "PYTHONPATH": str(ROOT / "src"),
        }

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-c", "import sys; from assay.cli.main import main; sys.exit(main())", *words]

    def __call__(self, *words: str, **given) -> subprocess.CompletedProcess:
        given = {"capture_output": True, "stdin": subprocess.DEVNULL, "timeout": 60, "cwd": self.cwd, **given}
        if "input" in given:
            del given["stdin"]
        environ = self.environ | given.pop("environ", {})
        return subprocess.run(self.argv(*words), env=environ, check=False, **given)

    def json(self, *words: str):
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
