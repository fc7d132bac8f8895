"""Canonical event logs."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.eventlog import Algorithm, parse_cel
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import LauncherLog
from support.tpm_scenes import keys

TPM = SoftwareTpm(keys("ak"))
LOG = LauncherLog()
LOG.measure(TPM, 13, 0, b"registry.example/agent:1")
LOG.measure(TPM, 13, 8, b"")
SEEDS = [LOG.encode()]


def target(data: bytes) -> None:
    """Parse; the records lie behind each other and fill the log."""
    try:
        records = parse_cel(data)
    except AssayError:
        return
    at = 0
    for record in records:
        if record.start != at:
            raise RuntimeError("records do not lie behind each other")
        at = record.end
        record.contradicts(Algorithm.SHA256)
        try:
            record.nested()
        except AssayError:
            continue
    if at != len(data):
        raise RuntimeError("bytes of the log belong to no record")
