"""What importing costs, and a whole first verification, against their budgets.

Processor time of whole processes, user and system, the least of many: what else the machine does would only
add to it. All are measured in turn within each round. Modules come compiled, from a folder made for this run.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.simulator.intel import Installation
from table import Row, smoke

if TYPE_CHECKING:
    from collections.abc import Iterable

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
ROUNDS = 41
FIRST = """
import sys
from datetime import UTC, datetime

from assay import Collateral, Expected, Policy, Roots, verify

def part(name):
    with open(f"{sys.argv[1]}/{name}", "rb") as file:
        return file.read()

result = verify(
    part("quote"),
    policy=Policy.shipped("genuine"),
    binding=Expected(bytes(range(64))),
    endorsements=Collateral(**{name: part(name) for name in Collateral.__match_args__}),
    roots=Roots.vendor().with_anchor("bench", part("root")),
    now=datetime(2026, 11, 10, 9, 30, tzinfo=UTC),
)
sys.exit(0 if result.evidence.authentic else 1)
"""
BARE, FLOOR = "python", "python, cryptography.x509 and cbor2"


def _cost(code: str, *words: str, environ: dict[str, str]) -> float:
    """Return the processor seconds that a process took.

    Raises:
        ChildProcessError: It failed.
    """
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code, *words], environ)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise ChildProcessError(f"{code[:40]!r} failed: {status}")
    return usage.ru_utime + usage.ru_stime


def _write(folder: Path) -> None:
    """Write a quote and what vouches for it."""
    installation = Installation(bytes(32))
    collateral = installation.collateral(AT, platform="tdx")
    for each in fields(collateral):
        if each.init:
            (folder / each.name).write_bytes(getattr(collateral, each.name))
    quote = installation.machine("bench").trust_domain().quote(bytes(range(64)))
    (folder / "quote").write_bytes(quote)
    (folder / "root").write_bytes(installation.root_der)


def _least(codes: dict[str, str], folder: str, rounds: int) -> dict[str, float]:
    environ = dict(os.environ) | {"PYTHONPYCACHEPREFIX": f"{folder}/compiled"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    for code in codes.values():
        _cost(code, folder, environ=environ)  # compiles
    found = dict.fromkeys(codes, float("inf"))
    for _ in range(rounds):
        for name, code in codes.items():
            found[name] = min(found[name], _cost(code, folder, environ=environ))
    return found


def rows() -> Iterable[Row]:
    rounds = 3 if smoke() else ROUNDS
    codes = {
        BARE: "pass",
        "python, assay": "import assay",
        FLOOR: "import cryptography.x509, cbor2",
        "python, first verification": FIRST,
    }
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        found = _least(codes, folder, rounds)
    for name, seconds in found.items():
        yield Row(name, seconds, rounds, note="one process, least processor time")
    yield Row(
        "import assay",
        max(0.0, found["python, assay"] - found[BARE]),
        rounds,
        limit=10e-3,
        note="over bare Python",
    )
    yield Row(
        "from assay import verify, and its first call",
        max(0.0, found["python, first verification"] - found[FLOOR]),
        rounds,
        limit=25e-3,
        note="over importing cryptography.x509 and cbor2; nine signatures",
    )
