"""Replay of measurement registers from the digests of a log."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RTMR_COUNT = 4
DIGEST_BYTES = 48


def extend(value: bytes, digest: bytes) -> bytes:
    """Return the RTMR after one extension: SHA-384 of old value and digest, 48 bytes each."""
    return hashlib.sha384(value + digest).digest()


def replay_rtmrs(extensions: Iterable[tuple[int, bytes]]) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the four RTMRs after extending zeros in the order of the log.

    Args:
        extensions: Register (0 to 3) and 48-byte digest of each event that was extended.

    Source: Intel TDX module base specification, TDG.MR.RTMR.EXTEND.
    """
    values = [bytes(DIGEST_BYTES)] * RTMR_COUNT
    sha384 = hashlib.sha384
    for register, digest in extensions:
        values[register] = sha384(values[register] + digest).digest()
    return values[0], values[1], values[2], values[3]
