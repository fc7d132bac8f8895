"""Canonical event logs, in TLVs and in JSON."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.eventlog import Algorithm, parse_cel, parse_cel_json
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import LauncherLog, SystemLog
from support.tpm_scenes import keys

TPM = SoftwareTpm(keys("ak"))
LOG = LauncherLog()
LOG.measure(TPM, 13, 0, b"registry.example/agent:1")
LOG.measure(TPM, 13, 8, b"")
SYSTEM = SystemLog()
SYSTEM.measure(TPM, 11, "enter-initrd")
SEEDS = [LOG.encode(), SYSTEM.encode()]


def target(data: bytes) -> None:
    """Parse; the records lie behind each other and fill the log."""
    try:
        records = (parse_cel_json if data.startswith(b"\x1e") else parse_cel)(data)
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
