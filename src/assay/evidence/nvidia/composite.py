"""The nonce that ties GPUs to the confidential machine they serve.

A GPU's report says nothing of the CPU beside it. What binds them is one nonce in both: the relying party
computes it from what the CPU's evidence commits to, and compares. These are the shapes that exist:

* ``carrier``: the nonce is SHA-256 of the carrier's name ``gpu``, length-prefixed, and the encoding of the
  session's binding, whose SHA-512 the CPU's report data hold. One session, one value, two carriers.
* ``report_data_head``: the first 32 bytes of the CPU's report data are the nonce itself and the rest is zero;
  found in bundles of dstack guests, and in what Trustee's guests send.
* ``report_data_tail``: the last 32 bytes of the CPU's report data are the nonce itself, behind what commits
  to a key; found in the attestation reports of inference services. The report data alone do not show it: a
  nonce may as well come first and a key last. The relying party has to know.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from assay.evidence.ledger import Check, CheckSpec, Outcome
from assay.evidence.nvidia.spdm import NONCE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

REPORT_DATA_BYTES: Final = 64
_CARRIER: Final = b"gpu"

GPU_NONCE = CheckSpec(
    "nvidia.composite.nonce",
    "every device answered to the nonce that the CPU's evidence commits to",
    "RFC 9334 section 3.3: composite devices; SPDM 10.11, nonce",
)


class NonceShape(StrEnum):
    """How a GPU's nonce follows from what the CPU's evidence holds."""

    CARRIER = "carrier"
    REPORT_DATA_HEAD = "report_data_head"
    REPORT_DATA_TAIL = "report_data_tail"


def carried_nonce(encoding: bytes) -> bytes:
    """Return the nonce for the encoding of a session's binding, 32 bytes."""
    return hashlib.sha256(struct.pack(">I", len(_CARRIER)) + _CARRIER + encoding).digest()


def head_nonce(report_data: bytes) -> bytes | None:
    """Return the nonce that 64 bytes of report data begin with; None when zeros do not follow it."""
    if len(report_data) != REPORT_DATA_BYTES or any(report_data[NONCE_BYTES:]):
        return None
    return report_data[:NONCE_BYTES]


def check_gpu_nonce(
    nonces: Iterable[bytes], shape: NonceShape, *, report_data: bytes, encoding: bytes | None
) -> Check:
    """Compare the nonces of devices with what the CPU's evidence commits to.

    Args:
        nonces: The authenticated nonce of each device.
        shape: How nonce and report data go together; the relying party's choice.
        report_data: The CPU's authenticated report data, 64 bytes.
        encoding: The encoding of the session's binding as the relying party computes it; it must be the one
            that the report data hold. For ``carrier`` only.

    Returns:
        The outcome of ``GPU_NONCE``.
    """
    if shape is NonceShape.CARRIER:
        if encoding is None or not hmac.compare_digest(hashlib.sha512(encoding).digest(), report_data):
            return _failed("unbound", "The CPU's report data do not commit to this session's binding.")
        expected = carried_nonce(encoding)
    elif shape is NonceShape.REPORT_DATA_TAIL:
        if len(report_data) != REPORT_DATA_BYTES or not any(report_data[-NONCE_BYTES:]):
            return _failed("shape", "The CPU's report data do not end with a nonce.")
        expected = report_data[-NONCE_BYTES:]
    else:
        head = head_nonce(report_data)
        if head is None:
            return _failed("shape", "The CPU's report data are no nonce with zeros behind it.")
        expected = head
    found = tuple(nonces)
    if not found:
        return _failed("missing", "There is no device whose nonce could be compared.")
    if not all(hmac.compare_digest(nonce, expected) for nonce in found):
        return _failed("mismatch", "A device answered to another nonce than the CPU's evidence commits to.")
    return GPU_NONCE.passed


def _failed(what: str, reason: str) -> Check:
    return Check(GPU_NONCE, Outcome.FAILED, f"nvidia.composite.nonce.{what}", reason)
