"""What leases cost as they grow: the loop that every command runs first, and copying files to the spool."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from assay.leases.spool import Spool
from assay.leases.states import Keep
from assay.leases.sync import Source, Wanted, collect
from support.lease_desk import Client, open_desk
from support.provider_hostile import Cloud
from table import Row, median_of, smoke

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW, MANY = 10, 100_000
FILES = 10_000


def _copy_rows(desk, lease: str, count: int) -> None:
    """Fill the book with released leases that look like ``lease``."""
    with desk.db.transaction() as tx:
        names = [row["name"] for row in tx.execute("PRAGMA table_info(leases)") if row["name"] != "id"]
        listed = ", ".join(names)
        tx.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
            f" INSERT INTO leases (id, {listed}) SELECT 'asy-' || printf('%012x', i), {listed}"
            " FROM n, leases WHERE id = ?",
            (count, lease),
        )


def _sweeps() -> Iterator[Row]:
    few = ""
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder, open_desk(Path(folder) / "state", Cloud()) as desk:
            client = Client(desk)
            client.whole()
            _copy_rows(desk, client.lease.id, count)
            seconds, samples = median_of(desk.reconciler().sweep, inner=20)
        name = f"recovery loop, nothing due, {count} leases released"
        yield Row(name, seconds, samples, against=few, at_most=3.0 if few else None, note="one query")
        few = name
    with tempfile.TemporaryDirectory() as folder, open_desk(Path(folder) / "state", Cloud()) as desk:
        for _ in range(100):
            Client(desk).whole(Keep.ALWAYS)
        seconds, samples = median_of(desk.reconciler().sweep, inner=20)
    yield Row("recovery loop, nothing due, 100 leases kept", seconds, samples)


def rows() -> Iterator[Row]:
    """Yield the rows of recovery and of the spool."""
    yield from _sweeps()
    count = 200 if smoke() else FILES
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        for number in range(count):
            place = root / f"d{number % 100}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"f{number}").write_bytes(b"x" * 1000)
        wanted = Wanted(root, root, (), (), 1_000_000, 1 << 30)

        def copy() -> None:
            with Spool(Path(folder)) as spool:
                collect(Source(root=root, tracked=False, cwd=""), wanted, spool, {})

        seconds, samples = median_of(copy, rounds=5)
    yield Row(f"spool of {count} files", seconds, samples, note=f"{seconds / count * 1e6:.0f} us a file")
