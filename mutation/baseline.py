"""The tests of a room without any mutant: how long each takes, and which lines of the room it reaches.

Started by ``mutation/run.py`` in a process of its own, because coverage must see the room being imported.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import coverage
import pytest

ROOT = Path(__file__).resolve().parent.parent


class Recorder:
    """A pytest plugin that gives each test a coverage context of its own and takes its time."""

    def __init__(self, cover: coverage.Coverage) -> None:
        self.cover = cover
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.cover.switch_context(item.nodeid)
        began = time.perf_counter()
        answer = yield
        self.seconds[item.nodeid] = time.perf_counter() - began
        self.cover.switch_context("")
        return answer


def main() -> int:
    """Run ``baseline.py OUTPUT PACKAGE_DIRECTORY TEST_PATH...`` and return pytest's exit code."""
    output, package, *tests = sys.argv[1:]
    cover = coverage.Coverage(data_file=None, source=[package], config_file=False)
    recorder = Recorder(cover)
    cover.start()
    code = pytest.main(["-q", "-p", "no:randomly", "-p", "no:xdist", *tests], plugins=[recorder])
    cover.stop()
    data = cover.get_data()
    reached, imported = {}, {}
    for name in data.measured_files():
        lines = data.contexts_by_lineno(name)
        found = {line: sorted(test for test in contexts if test) for line, contexts in lines.items()}
        path = str(Path(name).relative_to(ROOT))
        reached[path] = {line: tests for line, tests in found.items() if tests}
        imported[path] = [line for line, contexts in lines.items() if "" in contexts]
    seen = {"seconds": recorder.seconds, "reached": reached, "imported": imported}
    Path(output).write_text(json.dumps(seen))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
