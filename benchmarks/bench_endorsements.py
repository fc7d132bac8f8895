"""What keeping endorsements costs: one look-up, one storing, one bundle, and how each grows with a fleet."""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assay.endorsements.bundle import Bundle
from assay.endorsements.cache import Cache
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.endorsements.surroundings import Surroundings
from assay.evidence.facts import Window
from assay.simulator.intel import Installation
from table import Row, median_of, smoke

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 21, tzinfo=UTC)
COLLATERAL = Installation(b"\x0f" * 32).collateral(NOW, platform="tdx").to_bundle_json()


def _endorsement(number: int) -> Endorsement:
    """The certificate of one chip: a part of its own; collateral of a family is ten times as long."""
    return Endorsement(
        wanted=Wanted.of("amd-vek", chip_id=f"{number:0128x}", product="Genoa"),
        parts={"vek.der": number.to_bytes(4, "big") * 330},
        window=Window(NOW, NOW.replace(year=2033)),
        fetched=NOW,
        sources=("https://kdsintf.amd.com/vcek/v1/Genoa/x",),
        basis=Basis.SIGNATURE,
        anchor="ab" * 32,
    )


def _growth(folder: Path, count: int, against: str) -> Iterator[Row]:
    cache = Cache(folder / str(count), Surroundings.real())
    for number in range(count):
        cache.put(_endorsement(number))
    asked = itertools.cycle(_endorsement(number).wanted for number in range(0, count, 7))
    seconds, samples = median_of(lambda: cache.find(next(asked)), rounds=9, inner=100)
    yield Row(
        f"find among {count}",
        seconds,
        samples,
        against=against.format("find among"),
        at_most=3.0 if against else None,
    )
    again = itertools.cycle(_endorsement(number) for number in range(min(count, 50)))
    seconds, samples = median_of(lambda: cache.put(next(again)), rounds=9, inner=5)
    yield Row(f"store among {count}", seconds, samples, against=against.format("store among"), note="durable")


def rows() -> Iterator[Row]:
    """Yield the rows of cache and bundle."""
    few, many = (10, 30) if smoke() else (50, 1000)
    with tempfile.TemporaryDirectory() as name:
        yield from _growth(Path(name), few, "")
        yield from _growth(Path(name), many, f"{{}} {few}")
    one = replace(_endorsement(0), parts={"collateral.json": COLLATERAL})
    bundle = Bundle.of([one, *(_endorsement(number) for number in range(1, many))], created=NOW)
    data = bundle.encode()
    note = f"{many} endorsements, {len(data) >> 10} KiB"
    seconds, samples = median_of(bundle.encode, rounds=5)
    yield Row("write a bundle", seconds, samples, note=note)
    seconds, samples = median_of(lambda: Bundle.decode(data), rounds=5)
    yield Row(
        "read a bundle", seconds, samples, against="write a bundle", note="bytes compared with its one form"
    )
