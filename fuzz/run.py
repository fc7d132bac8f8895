"""Fuzz every parser: ``python fuzz/run.py --seconds 3600 --jobs 2``.

Each target (a module in ``fuzz/targets`` with ``target(data: bytes) -> None`` and ``SEEDS``) runs in a
process of its own under atheris, with coverage of the whole package, and keeps its corpus in
``fuzz-corpus/<target>/``. ``--seconds`` is the length of the whole run; the targets share it. An input that
raises anything outside the tree of ``AssayError``, takes longer than ``--timeout`` or more memory than
``--megabytes`` fails the run; it is kept in ``fuzz-corpus/<target>.crashes/`` and its path is printed.
Where atheris cannot be installed, a simple mutator without coverage takes its place, and says so.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ROOT / "fuzz" / "targets"
WORKER = ROOT / "fuzz" / "worker.py"
CRASH_NAMES = ("crash-*", "timeout-*", "oom-*", "slow-unit-*")
GRACE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one target's process did."""

    name: str
    executed: int
    seconds: float
    corpus: int
    crashes: tuple[Path, ...]
    failure: str
    output: str


def main() -> int:
    """Fuzz the chosen targets and return 1 when one of them failed, else 0."""
    options = _options()
    names = options.target or sorted(path.stem for path in TARGETS.glob("*.py"))
    if not names:
        print("there are no fuzz targets")
        return 1
    engine = "atheris" if find_spec("atheris") and not options.simple else "simple"
    if engine == "simple":
        print("atheris is not used: inputs are mutated without coverage, which finds much less")
    each = options.each or max(1, int(options.seconds * options.jobs / len(names)))
    print(f"{len(names)} targets, {each} s each, {options.jobs} at a time, engine {engine}", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda name: _fuzz(name, each, engine, options), names))
    _print_table(outcomes)
    failed = [outcome for outcome in outcomes if outcome.failure]
    for outcome in failed:
        print(f"\n{outcome.name}: {outcome.failure}")
        print(outcome.output)
        for path in outcome.crashes:
            print(f"kept: {path.relative_to(ROOT)}")
            print(f"again: {shlex.join(_command(outcome.name, engine, options))} {path.relative_to(ROOT)}")
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz every parser.")
    parser.add_argument("--seconds", type=int, default=60, help="length of the whole run (default 60)")
    parser.add_argument("--each", type=int, default=0, help="seconds for each target, in place of --seconds")
    parser.add_argument("--jobs", type=int, default=2, help="targets at the same time (default 2)")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--timeout", type=int, default=10, help="seconds one input may take (default 10)")
    parser.add_argument("--megabytes", type=int, default=1024, help="memory of one process (default 1024)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutations; 0 takes the clock's")
    parser.add_argument("--simple", action="store_true", help="do without atheris")
    return parser.parse_args()


def _command(name: str, engine: str, options: argparse.Namespace) -> list[str]:
    return [
        sys.executable,
        str(WORKER.relative_to(ROOT)),
        name,
        f"--engine={engine}",
        f"--timeout={options.timeout}",
        f"--megabytes={options.megabytes}",
    ]


def _fuzz(name: str, seconds: int, engine: str, options: argparse.Namespace) -> Outcome:
    crashes = ROOT / "fuzz-corpus" / f"{name}.crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    known = set(_inputs(crashes))
    began = time.monotonic()
    try:
        process = subprocess.run(
            [*_command(name, engine, options), f"--seconds={seconds}", f"--seed={options.seed}"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}", "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=seconds + GRACE_SECONDS,
            check=False,
        )
        text, code = process.stdout.decode(errors="replace"), process.returncode
    except subprocess.TimeoutExpired as error:
        text, code = (error.stdout or b"").decode(errors="replace"), -1
    found = tuple(path for path in _inputs(crashes) if path not in known)
    units = re.findall(r"stat::number_of_executed_units:\s+(\d+)", text)
    executed = int(units[-1]) if units else 0
    took = re.findall(r"stat::fuzzing_seconds:\s+([\d.]+)|^Done \d+ runs in (\d+) second", text, re.MULTILINE)
    seconds_spent = float("".join(took[-1])) if took else time.monotonic() - began
    failure = _why(code, found, executed)
    rate = executed / seconds_spent if seconds_spent else 0.0
    print(f"{name}: {executed} inputs, {rate:.0f} a second{f', {failure}' if failure else ''}", flush=True)
    corpus = sum(1 for _ in (ROOT / "fuzz-corpus" / name).glob("*"))
    return Outcome(name, executed, seconds_spent, corpus, found, failure, text[-6000:] if failure else "")


def _why(code: int, crashes: tuple[Path, ...], executed: int) -> str:
    if code == -1:
        return "the process did not end"
    if crashes:
        return f"{len(crashes)} input(s) outside the error tree, or over time or memory"
    if code:
        return f"the process ended with code {code}"
    return "" if executed else "no input was executed"


def _inputs(folder: Path) -> list[Path]:
    return sorted(path for pattern in CRASH_NAMES for path in folder.glob(pattern))


def _print_table(outcomes: list[Outcome]) -> None:
    width = max(len(outcome.name) for outcome in outcomes)
    print(f"\n{'target':{width}}  {'inputs':>12}  {'per second':>10}  {'corpus':>7}  outcome")
    for found in outcomes:
        rate = found.executed / found.seconds if found.seconds else 0.0
        state = "FAILED" if found.failure else "ok"
        print(f"{found.name:{width}}  {found.executed:12d}  {rate:10.0f}  {found.corpus:7d}  {state}")
    total = sum(found.executed for found in outcomes)
    busy = sum(found.seconds for found in outcomes)
    print(f"{'all':{width}}  {total:12d}  {total / busy if busy else 0.0:10.0f}")


if __name__ == "__main__":
    sys.exit(main())
