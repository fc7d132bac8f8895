"""The mutation harness tells tested code from code that is only executed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SOURCE = '''"""A room."""

from __future__ import annotations

from typing import Literal

LIMIT = 3
Size = Literal["small", "large"]


def small(number: int) -> bool:
    """Return whether the number is small."""
    return number <= LIMIT


class Box:
    """A box."""

    @property
    def full(self) -> bool:
        """Whether it is full."""
        if not self:
            raise ValueError("room.box.empty", f"Nothing in {self}.")
        return True
'''

STRONG = """
import pytest
from assay.toy import Box, small

def test_small():
    assert small(3) is True
    assert small(4) is False

def test_full():
    assert Box().full is True

def test_empty():
    class Nothing(Box):
        def __bool__(self):
            return False
    with pytest.raises(ValueError) as caught:
        Nothing().full
    assert caught.value.args[0] == "room.box.empty"
"""

WEAK = "from assay.toy import small\n\ndef test_small():\n    small(3)\n"


@pytest.fixture(scope="module")
def mutants():
    spec = importlib.util.spec_from_file_location("mutants", ROOT / "mutation" / "mutants.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutants"]


def test_what_is_mutated_and_what_is_left_alone(mutants):
    found = {mutant.id.partition(": ")[2] for mutant in mutants.mutants("toy.py", SOURCE)}
    assert "3 -> 4" in found
    assert "number <= LIMIT -> (number < LIMIT)" in found
    assert "not self -> (self)" in found
    assert "True -> False" in found
    assert "\"room.box.empty\" -> 'Xroom.box.empty'" in found
    assert any(name.endswith("-> pass") for name in found)
    assert not any("Nothing in" in name and not name.endswith("-> pass") for name in found)
    assert not any("A box" in name for name in found)


def test_lines_stay_where_they_are(mutants):
    source = (
        "def check(a, b):\n    if (\n        a\n        == b\n    ):\n"
        '        raise ValueError(\n            "x.y",\n            "Text.",\n        )\n    return 1\n'
    )
    found = mutants.mutants("toy.py", source)
    assert found
    for mutant in found:
        changed = mutant.apply(source)
        assert changed != source
        assert changed.count("\n") == source.count("\n")
        assert changed.splitlines()[-1].strip() in ("return 1", "return 2", "return None")


@pytest.fixture
def project(tmp_path):
    shutil.copytree(
        ROOT / "mutation", tmp_path / "mutation", ignore=shutil.ignore_patterns("__pycache__", "results")
    )
    room = tmp_path / "src" / "assay" / "toy"
    room.mkdir(parents=True)
    (room.parent / "__init__.py").write_text("")
    (room / "__init__.py").write_text(SOURCE)
    tests = tmp_path / "tests" / "toy"
    tests.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["src"]\n')

    def run(source, *options):
        (tests / "test_toy.py").write_text(source)
        command = [sys.executable, "mutation/run.py", "--room", "toy", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


needs_coverage = pytest.mark.skipif(not find_spec("coverage"), reason="coverage is not installed")


@needs_coverage
def test_a_tested_room_passes_and_is_not_tried_again(project):
    done = project(STRONG)
    assert "100.0 percent" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert ", 0 to try" in project(STRONG).stdout


@needs_coverage
def test_a_room_that_is_only_executed_fails(project, tmp_path):
    done = project(WEAK)
    assert done.returncode == 1
    assert "survived: src/assay/toy/__init__.py:small: number <= LIMIT -> (number < LIMIT)" in done.stdout
    project(WEAK, "--note")
    listed = tmp_path / "mutation" / "survivors-toy.toml"
    assert "number <= LIMIT" in listed.read_text()
    assert "listed without a reason" in project(WEAK, "--at-least", "0").stdout
    listed.write_text(listed.read_text().replace('reason = ""', 'reason = "a toy"'))
    assert project(WEAK, "--at-least", "0").returncode == 0
    assert project(WEAK).returncode == 1


@needs_coverage
def test_tests_that_fail_without_a_mutant_stop_it(project):
    done = project("def test_broken():\n    assert False\n")
    assert done.returncode != 0
    assert "do not pass without a mutant" in done.stderr


@needs_coverage
def test_a_run_can_keep_to_some_modules(project, tmp_path):
    inner = tmp_path / "src" / "assay" / "toy" / "inner"
    inner.mkdir()
    (inner / "__init__.py").write_text("")
    (inner / "box.py").write_text("SIZE = 3\n")
    (inner / "boxes.py").write_text("SIZE = 3\n")
    test = "from assay.toy.inner import box, boxes\n\ndef test_it():\n    assert %s\n"
    both = project(test % "(box.SIZE, boxes.SIZE) == (3, 3)", "--path", "inner")
    assert "toy: 2 mutants, 2 killed" in both.stdout, both.stdout + both.stderr
    one = project(test % "box.SIZE == 3", "--path", "inner/box")
    assert "toy: 1 mutants, 1 killed" in one.stdout, one.stdout + one.stderr
    none = project(test % "box.SIZE == 3", "--path", "outer")
    assert none.returncode != 0
    assert "no mutants in src/assay/toy under outer" in none.stderr


@needs_coverage
def test_an_entry_whose_code_is_gone_or_whose_mutant_dies_is_named_and_does_not_fail(project, tmp_path):
    entries = {
        "src/assay/toy/__init__.py:large: 1 -> 2": "renamed",
        "src/assay/toy/__init__.py:<module>: 3 -> 4": "once alive",
    }
    listed = tmp_path / "mutation" / "survivors-toy.toml"
    listed.write_text("".join(f'[[survivor]]\nmutant = "{k}"\nreason = "{v}"\n' for k, v in entries.items()))
    done = project(STRONG, "--sample", "1000")
    assert "listed, but its code is gone: src/assay/toy/__init__.py:large: 1 -> 2" in done.stdout
    assert "listed, but killed: src/assay/toy/__init__.py:<module>: 3 -> 4" in done.stdout
    assert done.returncode == 0


@needs_coverage
def test_the_unchanged_tests_run_again_only_when_something_changed(project, tmp_path):
    project(STRONG)
    kept = tmp_path / "mutation" / "results" / "toy.baseline.json"
    first = kept.stat().st_mtime_ns
    project(STRONG)
    assert kept.stat().st_mtime_ns == first
    assert "killed" in project(STRONG + "\n\ndef test_more():\n    assert small(2)\n").stdout
    assert kept.stat().st_mtime_ns > first


@needs_coverage
def test_a_function_that_runs_at_import_alone_is_tried_against_every_test(project, tmp_path):
    inner = tmp_path / "src" / "assay" / "toy" / "table.py"
    inner.write_text("def _made(size):\n    return size + 3\n\n\nSIZES = [_made(1)]\n")
    test = "from assay.toy.table import SIZES\n\ndef test_it():\n    assert SIZES == [4]\n"
    done = project(test, "--path", "table")
    assert "0 survived, 0 not reached: 100.0 percent" in done.stdout, done.stdout + done.stderr
