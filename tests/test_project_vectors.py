"""A run of the whole suite fails when a piece of real evidence was not run, or was counted twice."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from support import vectors

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = """
from support import vectors


def test_some():
    for family, kind, count in {records}:
        for _ in range(count):
            vectors.record(family, kind)
"""
STATED = {"entries": [{"family": "tdx", "kind": "quote"}] * 3, "cases": [{"family": "snp", "kind": "verify"}]}
COMPLETE = [("tdx", "quote", 3), ("snp", "verify", 1)]


@pytest.fixture
def project(tmp_path):
    """A project of one test, with this suite's table over four stated vectors."""
    tests, stated = tmp_path / "project" / "tests", tmp_path / "vectors"
    (tests / "support").mkdir(parents=True)
    stated.mkdir()
    for name in ("conftest.py", "support/vectors.py"):
        (tests / name).write_text((ROOT / "tests" / name).read_text())
    (stated / "MANIFEST.json").write_text(str({"entries": STATED["entries"]}).replace("'", '"'))
    (stated / "CASES.json").write_text(str({"cases": STATED["cases"]}).replace("'", '"'))
    options = 'testpaths = ["tests"]\npythonpath = ["tests"]\naddopts = "--import-mode=importlib"\n'
    (tests.parent / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{options}")

    def run(records, *arguments):
        (tests / "test_it.py").write_text(PROGRAM.format(records=records))
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=tests.parent,
            env={"ASSAY_VECTORS": str(stated), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_whole_run_fails_unless_each_result_was_reached_once(project, workers):
    done = project(COMPLETE, *workers)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 real vectors of snp, tdx" in done.stdout
    done = project([("tdx", "quote", 4)], *workers)
    assert done.returncode == 1, done.stdout + done.stderr
    for line in ("tdx/quote: 4 results recorded, 3 stated", "snp/verify: 0 results recorded, 1 stated"):
        assert line in done.stdout


@pytest.mark.parametrize("part", [("tests/test_it.py",), ("-k", "some"), ("-m", "not other")])
def test_a_part_of_the_suite_may_leave_vectors_out(project, part):
    done = project([("tdx", "quote", 1)], *part)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_stated_vectors_are_all_there():
    if not vectors.present():
        pytest.skip("the real vectors are not here")
    assert vectors.stated().total() >= vectors.PUBLISHED


def test_more_and_fewer_results_than_stated_are_both_listed(monkeypatch):
    monkeypatch.setattr(vectors, "stated", lambda: Counter({("a", "b"): 2, ("a", "c"): 1}))
    assert vectors.unsettled(Counter({("a", "b"): 2, ("a", "c"): 1})) == []
    assert vectors.unsettled(Counter({("a", "b"): 3, ("d", "e"): 1})) == [
        "a/b: 3 results recorded, 2 stated",
        "a/c: 0 results recorded, 1 stated",
        "d/e: 1 results recorded, 0 stated",
    ]
