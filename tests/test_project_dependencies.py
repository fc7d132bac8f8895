"""What a person installs by the README is enough for the tests: tools of development may hide a gap."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
OWN = ("", "benchmarks", "fuzz", "mutation", "src", "tests", "tools")


def canonical(requirement: str) -> str:
    """Return the name of a distribution as registries compare it."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def is_own(name: str) -> bool:
    """Return whether a module is of this repository."""
    return any((ROOT / top / name).is_dir() or (ROOT / top / f"{name}.py").is_file() for top in OWN)


def test_whatever_tests_import_is_named_as_a_dependency_of_theirs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        canonical(each) for each in (*project["dependencies"], *project["optional-dependencies"]["test"])
    }
    providers = metadata.packages_distributions()
    names = set().union(*map(imported, (ROOT / "tests").rglob("*.py")))
    foreign = {name for name in names - sys.stdlib_module_names if not is_own(name)}
    assert "pytest" in foreign
    unnamed = {name for name in foreign if named.isdisjoint(map(canonical, providers.get(name, ())))}
    assert unnamed == set()
