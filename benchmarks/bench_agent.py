"""What it costs to load the agent, to admit an owner, and to run nothing."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from assay.workload.bundle import BundleLimits, Entry, Kind, Listing
from support.guest_process import GuestProcess
from table import Row, median_of

if TYPE_CHECKING:
    from collections.abc import Iterable

IMPORT_LIMIT = 0.150
ENTRIES = 10_000


def rows() -> Iterable[Row]:
    seconds = sorted(_import_seconds() for _ in range(7))
    yield Row("agent import", seconds[3], 7, limit=IMPORT_LIMIT)
    with GuestProcess() as guest:
        manifest = guest.manifest(["true"], b"b" * 32)
        seconds, samples = median_of(lambda: guest.open(manifest).close())
        yield Row("session opened", seconds, samples, note="no appraisal")
    for isolation in ("none", "bubblewrap"):
        with tempfile.TemporaryDirectory() as place, GuestProcess(isolation=isolation) as guest:
            files = Path(place)
            (files / "a").write_bytes(b"1")
            seconds, samples = median_of(lambda guest=guest, files=files: _run(guest, files), rounds=7)
            yield Row(f"session with /bin/true, {isolation}", seconds, samples)
    entries = [Entry(b"f%06d" % number, Kind.FILE, 0o644, 1, bytes(32)) for number in range(ENTRIES)]
    listing = Listing.of(entries)
    data = listing.encode()
    seconds, samples = median_of(lambda: Listing.decode(data, BundleLimits()), rounds=5)
    yield Row("listing decoded", seconds, samples, note=f"{ENTRIES} entries")


def _run(guest: GuestProcess, files: Path) -> None:
    session, _ = guest.started(["true"], files)
    with session:
        session.run({}, on_output=lambda *_: None, stdin=None, control=None)
        session.receipt()


def _import_seconds() -> float:
    code = "import assay.guest.__main__"
    command = [sys.executable, "-I", "-X", "importtime", "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    (found,) = re.findall(r"\|\s*(\d+) \| assay\.guest\.__main__", said)
    return int(found) / 1e6
