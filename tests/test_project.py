"""What holds for the project as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from assay import errors

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PROGRAMS = [
    path for folder in ("benchmarks", "fuzz", "mutation", "tools") for path in (ROOT / folder).rglob("*.py")
]
LONGEST_MODULE = 700
REASONED = re.compile(r"# (?:noqa: [A-Z0-9, ]+ - \S|type: ignore\[[a-z, -]+\]  # \S)")


def _name(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement).group().lower().replace("_", "-")


def _required():
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *(item for extra in extras for item in extra)]
    return {_name(requirement) for requirement in wanted} - {"assay"}


def test_the_lock_has_hashes_and_no_addresses():
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    assert "://" not in lock
    pinned = re.findall(r"^([a-z0-9-]+)(?:\[[a-z,-]+\])?==\S+", lock, re.MULTILINE)
    assert len(pinned) > 20
    for block in re.split(r"\n(?=[a-z0-9])", lock.strip()):
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert _required() <= set(pinned)


def test_every_dependency_is_declared_and_used():
    imported = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"assay"}
    assert foreign == {_name(requirement) for requirement in PROJECT["project"]["dependencies"]}


def test_the_readme_has_two_commands_and_the_continuous_integration_runs_both():
    commands = re.findall(r"^```sh\n(.+?)\n```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(commands) == 2
    assert commands[0].endswith("assay run --on local -- python3 -c 'print(6*7)'")
    assert commands[1].endswith(".venv/bin/pytest -n 2")
    assert all("\n" not in command for command in commands)
    script = (ROOT / ".ci" / "run").read_text()
    assert "readme_command 1" in script
    assert "readme_command 2" in script


def test_the_continuous_integration_is_a_valid_script():
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / "run")], check=True)


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=lambda path: path.name
)
def test_no_page_installs_a_package_of_that_name_from_elsewhere(path):
    assert not re.search(r"(pip|uv|pipx) (tool )?install (-\S+ )*['\"]?assay\b", path.read_text())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_module_outgrows_its_reason(path):
    assert path.read_text().count("\n") <= LONGEST_MODULE


def test_every_ignored_rule_has_its_code_and_a_reason():
    unexplained = []
    for path in [*SOURCES, *PROGRAMS]:
        above = ""
        for number, line in enumerate(path.read_text().splitlines(), 1):
            explained = REASONED.search(line) or above.lstrip().startswith("#")
            if re.search(r"#\s*(noqa|type:\s*ignore)", line) and not explained:
                unexplained.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
            above = line
    assert unexplained == []


def test_every_ignored_rule_of_the_configuration_has_a_reason():
    text = (ROOT / "pyproject.toml").read_text()
    listed = text[text.index("\nignore = [") : text.index("[tool.ruff.lint.per-file-ignores]")]
    for line in re.findall(r'^  "[A-Z]+\d+",.*$', listed, re.MULTILINE):
        assert re.search(r"# \S+", line), line


def _drawn():
    """Read the tree at the top of ``errors.py``: each name with the name above it."""
    above = {}
    path = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"    (?P<branch>(?:│   |    )*(?:[├└]── )?)(?P<name>[A-Z]\w+Error|GateError)", line)
        if found:
            depth = len(found["branch"]) // 4
            path = [*path[:depth], found["name"]]
            above[found["name"]] = path[depth - 1] if depth else "Exception"
    return above


def test_the_tree_of_errors_is_drawn_as_it_is():
    real = {
        name: value.__bases__[0].__name__
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.AssayError)
    }
    assert _drawn() == real


def test_every_room_stands_on_the_first_page_above_those_that_it_imports_from():
    layers = PROJECT["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = [room for layer in reversed(layers) for room in sorted(layer.split(" | "), reverse=True)]
    told = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE)
    assert [*told, "__main__"] == rooms


def test_the_wheel_is_typed():
    assert (ROOT / "src" / "assay" / "py.typed").exists()


@pytest.mark.parametrize("folder", ["how-to", "explanation", "decisions"])
def test_an_index_of_the_documentation_names_every_page_by_its_title(folder):
    pages = [page for page in (ROOT / "docs" / folder).glob("*.md") if page.name != "index.md"]
    index = (ROOT / "docs" / folder / "index.md").read_text()
    listed = set(re.findall(r"^- \[(.+)\]\(([a-z0-9-]+\.md)\)$", index, re.MULTILINE))
    titles = {(page.read_text().partition("\n")[0].removeprefix("# "), page.name) for page in pages}
    assert listed == titles
