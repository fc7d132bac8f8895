"""Run the benchmarks and print one table: ``python benchmarks/run.py [--smoke] [--only NAME] [--json FILE]``.

Each ``bench_*.py`` runs in a process of its own, one after the other. A ratio is always to another row of the
same run; a row over its bound fails the run, except in a smoke run, which only shows that they work.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from table import Row

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CHILD = (
    "import dataclasses, importlib, json, sys; sys.path[:0] = sys.argv[2:];"
    "rows = importlib.import_module(sys.argv[1]).rows();"
    "print('ROWS ' + json.dumps([dataclasses.asdict(row) for row in rows]))"
)


def main() -> int:
    """Run the chosen benchmarks; 1 when one fails or a row is over its bound."""
    options = _options()
    names = sorted(path.stem for path in HERE.glob("bench_*.py"))
    names = [name for name in names if not options.only or options.only in name]
    if options.smoke:
        os.environ["BENCHMARK_SMOKE"] = "1"
    facts = _machine()
    print("\n".join(f"{key}: {value}" for key, value in facts.items()), flush=True)
    rows: list[tuple[str, Row]] = []
    broken = []
    for name in names:
        began = time.monotonic()
        found = measured(name)
        if found is None:
            broken.append(name)
            continue
        rows += [(name, row) for row in found]
        print(f"ran {name} in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    over = _print_table(rows)
    if options.json:
        results = [{"benchmark": name, **asdict(row)} for name, row in rows]
        options.json.write_text(json.dumps({"machine": facts, "rows": results}, indent=2) + "\n")
    for name in broken:
        print(f"{name} failed")
    if options.smoke:
        return 1 if broken or not rows else 0
    return 1 if broken or over or not rows else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("--smoke", action="store_true", help="few rounds, no bounds: do they work?")
    parser.add_argument("--only", default="", help="only benchmarks whose name holds this text")
    parser.add_argument("--json", type=Path, help="also write machine and rows to this file")
    return parser.parse_args()


def _machine() -> dict[str, str]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else model
    from cryptography.hazmat.backends.openssl.backend import backend

    return {
        "processor": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "load": ", ".join(f"{value:.1f}" for value in os.getloadavg()),
        "python": platform.python_version(),
        "cryptography": f"{importlib.metadata.version('cryptography')}, {backend.openssl_version_text()}",
    }


def measured(name: str) -> list[Row] | None:
    """Run one benchmark in a process of its own and return its rows; None when it fails."""
    paths = [str(HERE), str(ROOT / "tests")]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, name, *paths],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
    )
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or not lines or not lines[-1].startswith("ROWS "):
        print("\n".join(lines[-20:]))
        return None
    return [Row(**values) for values in json.loads(lines[-1].removeprefix("ROWS "))]


def _print_table(rows: list[tuple[str, Row]]) -> int:
    medians = {row.name: row.seconds for _, row in rows}
    width = max((len(row.name) for _, row in rows), default=4)
    print(f"\n{'what':{width}}  {'median':>10}  {'a second':>10}  {'ratio':>7}  {'bound':>9}  note")
    over = 0
    for _, row in rows:
        floor = medians.get(row.against)
        ratio = row.seconds / floor if floor else None
        exceeded = _exceeded(row, ratio)
        over += exceeded
        note = f"against {row.against}; {row.note}".rstrip("; ") if row.against else row.note
        print(
            f"{row.name:{width}}  {_time(row.seconds):>10}  {_rate(row.seconds):>10}"
            f"  {'' if ratio is None else f'{ratio:.2f}':>7}  {_bound(row):>9}"
            f"  {'OVER ITS BOUND; ' if exceeded else ''}{note}"
        )
    return over


def _exceeded(row: Row, ratio: float | None) -> bool:
    if row.against and ratio is None:
        return True
    return bool(
        (row.limit is not None and row.seconds > row.limit)
        or (ratio is not None and row.at_most is not None and ratio > row.at_most)
        or (ratio is not None and row.at_least is not None and ratio * row.at_least > 1)
    )


def _bound(row: Row) -> str:
    if row.at_most is not None:
        return f"<= {row.at_most:g}"
    if row.at_least is not None:
        return f"1/{row.at_least:g}"
    return f"<= {_time(row.limit)}" if row.limit is not None else ""


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _rate(seconds: float) -> str:
    return f"{1 / seconds:,.0f}" if 0 < seconds < 0.5 else ""


if __name__ == "__main__":
    sys.exit(main())
