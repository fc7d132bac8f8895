"""A first verification imports what its format needs, and nothing of other formats."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from assay.simulator.intel import Installation

if TYPE_CHECKING:
    from pathlib import Path

AT = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
CHILD = """
import sys
from datetime import datetime
from pathlib import Path
before = set(sys.modules)
from assay import Collateral, Expected, Policy, Roots, verify
folder, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
part = lambda name: (folder / name).read_bytes()
result = verify(part("quote"), policy=Policy.shipped("genuine"), binding=Expected(bytes(64)), now=now,
                endorsements=Collateral(**{name: part(name) for name in Collateral.__match_args__}),
                roots=Roots.vendor().with_anchor("test", part("root")))
assert result.evidence.authentic and result.evidence.bound
print(*sorted(set(sys.modules) - before))
"""
FORMATS = frozenset({"assay.evidence.dcap", "assay.evidence.sgx", "assay.evidence.tdx"})
SHARED = frozenset(
    f"assay.evidence.{name}"
    for name in ("decoding", "facts", "ledger", "pinned", "records", "roots", "shown", "verification", "x509")
)
RULES = frozenset({"context", "dstack", "hardware", "registers", "subject", "tcb", "tdx"})


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    folder = tmp_path_factory.mktemp("first")
    _write(folder)
    command = [sys.executable, "-c", CHILD, str(folder), AT.isoformat()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return frozenset(done.stdout.split())


def _write(folder: Path) -> None:
    installation = Installation(bytes(32))
    collateral = installation.collateral(AT, platform="tdx")
    for part in (each.name for each in fields(collateral) if each.init):
        (folder / part).write_bytes(getattr(collateral, part))
    (folder / "quote").write_bytes(installation.machine("first").trust_domain().quote(bytes(64)))
    (folder / "root").write_bytes(installation.root_der)


def test_no_other_format_is_imported(imported: frozenset[str]) -> None:
    packages = {".".join(name.split(".")[:3]) for name in imported if name.startswith("assay.evidence.")}
    assert packages == FORMATS | SHARED
    formats = {name for name in imported if name.startswith("assay.verification.formats.")}
    assert formats == {"assay.verification.formats.dcap"}


def test_no_other_platform_is_appraised(imported: frozenset[str]) -> None:
    rules = {name.split(".")[3] for name in imported if name.startswith("assay.appraisal.rules.")}
    assert rules <= RULES
    assert not {name for name in imported if name.startswith("assay.appraisal.tables.")}


def test_no_room_above_appraisal_is_imported(imported: frozenset[str]) -> None:
    rooms = {name.split(".")[1] for name in imported if name.startswith("assay.")}
    assert rooms == {"appraisal", "errors", "evidence", "verification"}


def test_what_costs_much_and_is_not_needed_is_not_imported(imported: frozenset[str]) -> None:
    assert not imported & {"dataclasses", "inspect", "difflib", "cbor2", "asyncio", "ssl"}
