"""The import contracts bite: a violation planted in a copy of the tree fails the check."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

VIOLATIONS = {
    "a lower room imports a higher one": ("store/planted.py", "import assay.leases", "The house"),
    "a room nobody placed": ("basement.py", "", "exhaustive"),
    "evidence imports another package": ("evidence/planted.py", "import click", "lifted out"),
    "evidence imports another room": ("evidence/planted.py", "import assay.settings", "lifted out"),
    "evidence imports for type checking": (
        "evidence/planted.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import click",
        "lifted out",
    ),
    "the agent imports the store": ("guest/planted.py", "import assay.store", "stays small"),
    "the agent imports a verifier through the channel": (
        "channel/planted.py",
        "import assay.evidence.ledger",
        "stays small",
    ),
    "a lease imports simulated hardware": (
        "leases/planted.py",
        "import assay.simulator.intel",
        "Simulated hardware",
    ),
    "appraisal imports simulated hardware": (
        "appraisal/planted.py",
        "def late():\n    import assay.simulator.intel",
        "Simulated hardware",
    ),
}


def _check(folder):
    lint = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [lint, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of what the contracts look at; the package in the working directory is found first."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src" / "assay", folder / "assay", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_tree_keeps_every_contract(copy):
    done = _check(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_planted_violation_fails(copy, name):
    path, statement, contract = VIOLATIONS[name]
    planted = copy / "assay" / path
    planted.write_text(f'"""Planted."""\n\n{statement}\n')
    try:
        done = _check(copy)
    finally:
        planted.unlink()
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert contract in said
    assert planted.stem in said
