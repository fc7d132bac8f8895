"""Mutation testing of one room: ``python mutation/run.py --room evidence [--sample 1500 --seed 1]``.

``--path snp --path decoding/cbor`` keeps to some of its packages and modules.

Every mutant is a small edit of one module (``mutants.py``). The tests that reach the edited line run
against it, those that killed its neighbours first, then the quickest (``trial.py``). Results are kept in
``mutation/results`` under a hash of the edited definition and of the tests' files, so a second run tries
only what changed; a sample is drawn by the mutants' names, so that an edit elsewhere leaves it as it is.
What the unchanged tests do is kept as well, while no module and no test changes.

A mutant that no test notices is a survivor. Each one must stand in ``mutation/survivors-<room>.toml`` with
the reason why it may live; ``--note`` writes the new ones there, for a person to fill in. The run fails
below ``--at-least`` percent, with a survivor that is not listed, and with one that is listed without a
reason. It names entries of the list whose code is gone, and does not fail for them.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trial
from mutants import Mutant, mutants

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
FIRST_TESTS = 12
MANY = 50


@dataclass(slots=True)
class Baseline:
    """What the unchanged room's tests do.

    Attributes:
        seconds: How long each takes.
        reached: Which of them reach each line of each file.
        imported: Lines that run while modules are imported, in functions too.
    """

    seconds: dict[str, float]
    reached: dict[str, dict[int, list[str]]]
    imported: dict[str, frozenset[int]]

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that can notice a mutant, quickest first.

        What runs at import alone is noticed by those that reach the module or one that imports from it, and
        by those whose own file does.
        """
        lines = self.reached.get(mutant.path, {})
        span = range(mutant.line, mutant.last_line + 1)
        found = {test for line in span for test in lines.get(line, ())}
        if mutant.runs_at_import or (
            not found and self.imported.get(mutant.path, frozenset()).intersection(span)
        ):
            users = {mutant.path} | _users(mutant.path)
            found = {
                test for user in users for tests in self.reached.get(user, {}).values() for test in tests
            }
            found |= {test for test in self.seconds if test.partition("::")[0] in users}
        return sorted(found, key=lambda test: self.seconds.get(test, 0.0))


@cache
def _imports() -> dict[str, frozenset[str]]:
    """Return for each file of sources and tests what it imports: modules, and members like modules."""
    found = {}
    for path in (*Path("src").rglob("*.py"), *Path("tests").rglob("*.py")):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        found[str(path)] = frozenset(names)
    return found


@cache
def _users(path: str) -> frozenset[str]:
    """Return the files that import from a module, also through a package or a helper of tests that does."""
    names = {trial.module_of(path)}
    users: set[str] = set()
    grown = True
    while grown:
        users = {user for user, imported in _imports().items() if not names.isdisjoint(imported)}
        passing = {
            trial.module_of(user)
            for user in users
            if user.endswith("/__init__.py") or user.startswith("tests/support/")
        }
        grown = not passing <= names
        names |= passing
    return frozenset(users)


@dataclass(slots=True)
class Job:
    """One mutant on its way through its tests."""

    mutant: Mutant
    key: str
    source: str
    stages: list[list[str]]
    running: trial.Trial | None = None
    stage: list[str] = field(default_factory=list)


def main() -> int:
    """Try the chosen mutants and return 1 when the room is not tested well enough."""
    options = _options()
    os.chdir(ROOT)
    began = time.monotonic()
    baseline = _baseline(options.room)
    print(f"{len(baseline.seconds)} tests, {sum(baseline.seconds.values()):.1f} s without a mutant")
    room = Path("src/assay", options.room)
    sources = {str(path): path.read_text() for path in sorted(room.rglob("*.py"))}
    everything = [mutant for path, source in sources.items() for mutant in mutants(path, source)]
    chosen = [mutant for mutant in everything if _is_inside(mutant.path, room, options.path)]
    if not chosen:
        sys.exit(f"no mutants in {room} under {', '.join(options.path) or 'any path'}")
    if options.only:
        chosen = [mutant for mutant in chosen if options.only in mutant.id]
    if options.sample and options.sample < len(chosen):
        chosen = sorted(chosen, key=lambda mutant: _lot(options.seed, mutant))[: options.sample]
    cache_path = ROOT / "mutation" / "results" / f"{options.room}.json"
    print(f"{len(everything)} mutants, {len(chosen)} chosen", flush=True)
    outcomes = Campaign(baseline, cache_path, options.jobs).run(chosen, sources)
    _name_stale(options.room, {mutant.id for mutant in everything})
    return _report(options, outcomes, time.monotonic() - began)


def _lot(seed: int, mutant: Mutant) -> bytes:
    """Return what orders mutants by chance, the same way whatever becomes of the others."""
    return hashlib.sha256(f"{seed}\0{mutant.id}".encode()).digest()


def _is_inside(path: str, room: Path, chosen: Sequence[str]) -> bool:
    """Return whether a module is one of the chosen ones, or inside a chosen package."""
    within = Path(path).with_suffix("").relative_to(room)
    return not chosen or any(within.is_relative_to(Path(name).with_suffix("")) for name in chosen)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Mutation testing of one room.")
    parser.add_argument("--room", required=True, help="a package of src/assay: evidence")
    parser.add_argument("--sample", type=int, default=0, help="so many random mutants; 0 for all of them")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at the same time (default 2)")
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        help="only mutants of this package or module inside the room: decoding/cbor (repeatable)",
    )
    parser.add_argument("--only", default="", help="only mutants whose id holds this text")
    parser.add_argument("--at-least", type=float, default=95.0, help="percent that must die (default 95)")
    parser.add_argument(
        "--note", action="store_true", help="write new survivors to the list, without reasons"
    )
    return parser.parse_args()


def _test_paths(room: str) -> list[str]:
    found = sorted(Path("tests").glob(f"{room}*"))
    return [str(path) for path in found if path.name == room or path.name.startswith(f"{room}_")]


def _baseline(room: str) -> Baseline:
    """Return what the unchanged tests do, from an earlier run when nothing changed since."""
    kept = ROOT / "mutation" / "results" / f"{room}.baseline.json"
    files = [path for top in ("mutation", "src", "tests") for path in sorted(Path(top).rglob("*.py"))]
    digest = hashlib.sha256(
        "".join(f"{path}{_file_digest(str(path))}" for path in files).encode()
    ).hexdigest()
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if found.get("digest") != digest:
        found = {**_run_baseline(room), "digest": digest}
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(found))
    reached = {
        path: {int(line): tests for line, tests in lines.items()} for path, lines in found["reached"].items()
    }
    imported = {path: frozenset(lines) for path, lines in found["imported"].items()}
    return Baseline(found["seconds"], reached, imported)


def _run_baseline(room: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "baseline.json"
        command = [
            sys.executable,
            "mutation/baseline.py",
            str(output),
            f"src/assay/{room}",
            *_test_paths(room),
        ]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if done.returncode:
            print(done.stdout.decode(errors="replace")[-4000:])
            sys.exit("the tests of the room do not pass without a mutant")
        found: dict[str, Any] = json.loads(output.read_text())
    return found


@cache
def _file_digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@cache
def _shared_tests_digest() -> str:
    files = sorted([*Path("tests/support").rglob("*.py"), *Path("tests").rglob("conftest.py")])
    return hashlib.sha256("".join(_file_digest(str(path)) for path in files).encode()).hexdigest()


def _definition(mutant: Mutant, mutated: str) -> str:
    """Return the source of the outermost definition that holds the edit, or of the whole module."""
    if mutant.scope == "<module>":
        return mutated
    name = mutant.scope.partition(".")[0]
    for node in ast.parse(mutated).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return ast.unparse(node)
    return mutated


def _key(mutant: Mutant, mutated: str, tests: Sequence[str]) -> str:
    files = sorted({test.partition("::")[0] for test in tests})
    parts = [mutant.id, _definition(mutant, mutated), _shared_tests_digest(), *map(_file_digest, files)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class Campaign:
    """Tries mutants, some at a time, and keeps what became of each.

    Args:
        baseline: The room's tests without a mutant.
        cache_path: Where verdicts are kept between runs.
        jobs: Mutants at the same time.
    """

    def __init__(self, baseline: Baseline, cache_path: Path, jobs: int) -> None:
        self.baseline, self.cache_path, self.jobs = baseline, cache_path, jobs
        self.known: dict[str, str] = json.loads(cache_path.read_text()) if cache_path.exists() else {}
        self.outcomes: dict[Mutant, str] = {}
        self.killers: Counter[tuple[str, str]] = Counter()
        self.tried = 0

    def run(self, chosen: list[Mutant], sources: dict[str, str]) -> dict[Mutant, str]:
        """Return the verdict of every chosen mutant."""
        waiting = self._unknown(chosen, sources)
        print(f"{len(self.outcomes)} known or not reached, {len(waiting)} to try", flush=True)
        if not waiting:
            return self.outcomes
        trial.preload(keys=len(waiting) >= MANY)
        _check_harness(waiting[0], self.baseline)
        waiting.sort(key=lambda job: (job.mutant.path, job.mutant.start), reverse=True)
        total, began = len(waiting), time.monotonic()
        running: list[Job] = []
        while waiting or running:
            while waiting and len(running) < self.jobs:
                running.append(self._begin(waiting.pop()))
            time.sleep(0.004)
            for job in list(running):
                if self._settled(job):
                    running.remove(job)
                    self.tried += 1
                    if self.tried % 50 == 0 or self.tried == total:
                        rate = (time.monotonic() - began) / self.tried
                        print(f"{self.tried}/{total}, {rate:.2f} s a mutant", flush=True)
                        _save(self.cache_path, self.known)
        return self.outcomes

    def _unknown(self, chosen: list[Mutant], sources: dict[str, str]) -> list[Job]:
        waiting = []
        for mutant in chosen:
            tests = self.baseline.tests(mutant)
            mutated = mutant.apply(sources[mutant.path])
            key = _key(mutant, mutated, tests)
            if not tests:
                self.outcomes[mutant] = "not reached"
            elif key in self.known:
                self.outcomes[mutant] = self.known[key]
            else:
                waiting.append(Job(mutant, key, mutated, [tests]))
        return waiting

    def _begin(self, job: Job) -> Job:
        job.stages = _staged(job, self.killers)
        _next_stage(job, self.baseline)
        return job

    def _settled(self, job: Job) -> bool:
        """Look at a running job; record its verdict when it has one."""
        verdict = job.running.finished() if job.running else None
        if verdict is None:
            return False
        if verdict == "survived":
            if job.stages:
                _next_stage(job, self.baseline)
                return False
            print(f"survived: {job.mutant.id}", flush=True)
        elif verdict == "timeout":
            print(f"timed out, which counts as killed: {job.mutant.id}", flush=True)
        else:
            self.killers[job.mutant.path, job.stage[0]] += 1
        self.outcomes[job.mutant] = self.known[job.key] = verdict
        return True


def _staged(job: Job, killers: Counter[tuple[str, str]]) -> list[list[str]]:
    """Return the tests in two lots: those most likely to notice, then the rest."""
    tests = sorted(job.stages[0], key=lambda test: -killers[job.mutant.path, test])
    lots = [tests[:FIRST_TESTS], tests[FIRST_TESTS:]]
    return [lot for lot in reversed(lots) if lot]


def _next_stage(job: Job, baseline: Baseline) -> None:
    job.stage = job.stages.pop()
    seconds = sum(baseline.seconds.get(test, 0.0) for test in job.stage)
    job.running = trial.start(job.mutant.path, job.source, job.stage, seconds=seconds)


def _check_harness(job: Job, baseline: Baseline) -> None:
    """Run one mutant's tests without the mutant: they must pass, or every verdict would be "killed"."""
    tests = job.stages[0][:FIRST_TESTS]
    seconds = sum(baseline.seconds.get(test, 0.0) for test in tests)
    running = trial.start(job.mutant.path, None, tests, seconds=seconds)
    while (verdict := running.finished()) is None:
        time.sleep(0.01)
    if verdict != "survived":
        sys.exit("the tests do not pass in a forked child without a mutant")


def _save(path: Path, known: dict[str, str]) -> None:
    path.parent.mkdir(exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(json.dumps(known, indent=0, sort_keys=True))
    written.replace(path)


def _report(options: argparse.Namespace, outcomes: dict[Mutant, str], seconds: float) -> int:
    counted = Counter(outcomes.values())
    alive = sorted(
        mutant.id for mutant, verdict in outcomes.items() if verdict in ("survived", "not reached")
    )
    listed = _listed(options.room)
    new = [name for name in alive if name not in listed]
    silent = [name for name in alive if name in listed and not listed[name].strip()]
    dead = sorted(
        mutant.id for mutant, verdict in outcomes.items() if mutant.id in listed and verdict == "killed"
    )
    score = 100 * (len(outcomes) - len(alive)) / len(outcomes) if outcomes else 0.0
    for name in new:
        print(f"alive, not listed: {name}")
    for name in silent:
        print(f"alive, listed without a reason: {name}")
    for name in dead:
        print(f"listed, but killed: {name}")
    if options.note:
        _note(options.room, new)
    print(
        f"{options.room}: {len(outcomes)} mutants, {counted['killed']} killed,"
        f" {counted['timeout']} timed out, {counted['survived']} survived,"
        f" {counted['not reached']} not reached: {score:.1f} percent in {seconds:.0f} s"
    )
    return 1 if score < options.at_least or new or silent else 0


def _name_stale(room: str, existing: set[str]) -> None:
    for name in _listed(room):
        if name not in existing:
            print(f"listed, but its code is gone: {name}")


def _survivors_path(room: str) -> Path:
    return ROOT / "mutation" / f"survivors-{room}.toml"


def _listed(room: str) -> dict[str, str]:
    path = _survivors_path(room)
    if not path.exists():
        return {}
    return {entry["mutant"]: entry["reason"] for entry in tomllib.loads(path.read_text()).get("survivor", [])}


def _note(room: str, new: list[str]) -> None:
    with _survivors_path(room).open("a") as file:
        file.writelines(f'\n[[survivor]]\nmutant = {json.dumps(name)}\nreason = ""\n' for name in new)


if __name__ == "__main__":
    sys.exit(main())
