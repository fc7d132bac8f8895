"""IMA logs in binary and in text form, and the policy over what they prove."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.eventlog import Algorithm
from assay.evidence.ima import FilePolicy, ImaSpecs, appraise_files, from_ascii, verify_ima
from assay.simulator.tpm.device import SoftwareTpm
from assay.simulator.tpm.logs import KernelLog, file_data, legacy_data
from support.tpm_scenes import keys

TPM = SoftwareTpm(keys("ak"))
LOG = KernelLog()
LOG.begin(TPM)
LOG.measure(TPM, "ima", legacy_data("/bin/sh", bytes(20)))
LOG.measure(TPM, "ima-sig", file_data("/bin/sh", bytes(32), b"\x03\x02\x04"))
SEEDS = [
    LOG.encode(),
    LOG.encode(Algorithm.SHA256),
    b"10 " + b"00" * 20 + b" ima-sig sha256:" + b"00" * 32 + b" /a b 0302\n",
]
SPECS = ImaSpecs.of("fuzz.ima")
POLICY = FilePolicy({}, frozenset(), refuse_unknown=True)
PCRS = TPM.pcrs(Algorithm.SHA256, range(11))


def target(data: bytes) -> None:
    """Verify as binary and, where it is text, what the text stands for."""
    verify(data)
    try:
        verify(from_ascii(data))
    except AssayError:
        return


def verify(log: bytes) -> None:
    """Verify one log; what is proven is judged."""
    outcome = verify_ima(log, specs=SPECS, bank=Algorithm.SHA256, pcrs=PCRS)
    if outcome.claims:
        appraise_files(outcome.claims, POLICY)
