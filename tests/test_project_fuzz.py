"""The fuzzing harness finds what it is there to find."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FINE = """
SEEDS = [b'abc']
def target(data):
    return len(data)
"""
REFUSES = """
from assay.errors import AssayError, EvidenceError
SEEDS = lambda: [b'abc']
def target(data):
    try:
        raise EvidenceError('a.b', 'No.')
    except AssayError:
        pass
"""
CRASHES = """
SEEDS = [b'hello']
def target(data):
    if data[:1] == b'h' and len(data) > 6:
        raise KeyError(data)
"""
HANGS = """
import time
SEEDS = [b'']
def target(data):
    end = time.monotonic() + 30
    while time.monotonic() < end: pass
"""
SWELLS = """
SEEDS = [b'', b'a']
kept = []
def target(data):
    kept.append(bytearray(500 << 20))
"""

ENGINES = [
    "--simple",
    pytest.param("", marks=pytest.mark.skipif(not find_spec("atheris"), reason="atheris is not installed")),
]


@pytest.fixture
def fuzz(tmp_path):
    shutil.copytree(ROOT / "fuzz", tmp_path / "fuzz", ignore=shutil.ignore_patterns("targets", "__pycache__"))
    (tmp_path / "fuzz" / "targets").mkdir()
    (tmp_path / "src").symlink_to(ROOT / "src")

    def run(source, *options):
        (tmp_path / "fuzz" / "targets" / "planted.py").write_text(source)
        command = [sys.executable, "fuzz/run.py", "--each", "1", "--seed", "7", *filter(None, options)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def _crashes(folder):
    return sorted((folder / "fuzz-corpus" / "planted.crashes").glob("*"))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("source", [FINE, REFUSES])
def test_a_sound_parser_passes_and_its_corpus_is_kept(fuzz, tmp_path, engine, source):
    done = fuzz(source, engine)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 0 failed" in done.stdout
    assert _crashes(tmp_path) == []
    assert b"abc" in {path.read_bytes() for path in (tmp_path / "fuzz-corpus" / "planted").iterdir()}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("source", "kind"), [(CRASHES, "crash"), (HANGS, "timeout"), (SWELLS, "oom")])
def test_a_finding_fails_and_its_input_is_kept_and_fails_again(fuzz, tmp_path, engine, source, kind):
    done = fuzz(source, engine, "--timeout", "2" if kind == "timeout" else "60", "--megabytes", "700")
    assert done.returncode == 1
    assert "0 passed, 1 failed" in done.stdout
    kept = _crashes(tmp_path)
    assert len(kept) == 1
    assert kept[0].name.startswith(kind) or (kind, engine) == ("oom", "")
    assert f"kept: {kept[0].relative_to(tmp_path)}" in done.stdout
    if kind == "crash":
        again = [sys.executable, "fuzz/worker.py", "planted", str(kept[0])]
        assert b"KeyError" in subprocess.run(again, cwd=tmp_path, capture_output=True, check=False).stderr


def test_it_says_when_it_does_without_coverage(fuzz):
    assert "without coverage" in fuzz(FINE, "--simple").stdout
