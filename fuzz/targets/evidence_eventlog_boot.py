"""Logs of a TPM's boot in either format, against PCRs."""

from __future__ import annotations

from assay.evidence.eventlog import Algorithm, LogSpecs, verify_boot_log
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import FirmwareLog
from support.tpm_scenes import keys

TPM = SoftwareTpm(keys("ak"))
LOG = FirmwareLog(TPM.banks)
LOG.boot(TPM)
SEEDS = [LOG.encode(), LOG.encode_legacy(), LOG.encode() + bytes(64)]
SPECS = LogSpecs.of("fuzz.log")


def target(data: bytes) -> None:
    """Verify in two banks; regions that nothing proves lie within the log, one behind the other."""
    for bank in (Algorithm.SHA1, Algorithm.SHA256):
        pcrs = TPM.pcrs(bank, range(10))
        outcome = verify_boot_log(data, b"", specs=SPECS, bank=bank, pcrs=pcrs, explained=frozenset(pcrs))
        at = 0
        for region in outcome.unsigned:
            if not at <= region.start <= region.end <= len(data):
                raise RuntimeError("an unsigned region is out of place")
            at = region.end
