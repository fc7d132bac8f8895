"""Logs of files that a kernel measured, proven by a simulated TPM."""

from __future__ import annotations

import struct
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from assay.evidence.eventlog import Algorithm
from assay.evidence.ima import ImaClaims, ImaSpecs, verify_ima
from assay.simulator.tpm.device import SoftwareTpm, spki
from assay.simulator.tpm.logs import KernelLog, file_data
from support.tpm_scenes import keys

SHA256 = Algorithm.SHA256
_SPECS = ImaSpecs.of("test.ima")
_SIGNATURE = struct.Struct(">BBBIH")


def measured(
    *files: tuple[str, bytes], violated: tuple[str, ...] = (), signed: tuple[str, ...] = (), raw: bytes = b""
) -> ImaClaims:
    """Return the Claims of a log.

    Args:
        files: Path and content of each file, in order.
        violated: Paths that could change while they were measured.
        signed: Those of the files that carry a signature of ``signer()``.
        raw: Template data of one more entry.
    """
    device, log = SoftwareTpm(keys("ak"), banks=(SHA256,)), KernelLog()
    log.begin(device)
    for path, content in files:
        signature = _signature(content) if path in signed else b""
        log.measure(device, "ima-sig", file_data(path, SHA256.digest(content), signature))
    for path in violated:
        log.measure(device, "ima-ng", file_data(path, bytes(32)), violation=True)
    if raw:
        log.measure(device, "ima-ng", raw)
    found = verify_ima(log.encode(), specs=_SPECS, bank=SHA256, pcrs=device.pcrs(SHA256, range(11)))
    if found.claims is None:
        raise AssertionError(found.checks)
    return found.claims


def line(path: str, content: bytes) -> str:
    """Return a file as a policy lists it."""
    return f"sha256:{SHA256.digest(content).hex()} {path}"


def signer() -> str:
    """Return the key that signs files, as a policy names it."""
    return f"key:{spki(keys('signer')).hex()}"


@cache
def _signature(content: bytes) -> bytes:
    made = keys("signer").sign(SHA256.digest(content), ec.ECDSA(Prehashed(hashes.SHA256())))
    return _SIGNATURE.pack(3, 2, 4, 0xC0FFEE, len(made)) + made
