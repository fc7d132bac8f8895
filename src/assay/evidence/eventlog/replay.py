"""Replay of measurement registers from the digests of a log."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.evidence.eventlog.algorithms import Algorithm

RTMR_COUNT = 4
DIGEST_BYTES = 48
DYNAMIC_PCRS = range(17, 23)
"""PCRs that hold all ones until a dynamic launch resets them to zeros."""
LOCALITIES = (0, 3, 4)
"""Localities at which TPM2_Startup can happen; 4 stands for an H-CRTM."""


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


def replay_pcrs(
    extensions: Iterable[tuple[int, bytes]], bank: Algorithm, *, locality: int = 0
) -> dict[int, bytes]:
    """Return the value of every PCR that is extended, after the extensions in their order.

    Args:
        extensions: PCR and digest of each event.
        bank: The bank.
        locality: Where TPM2_Startup happened: PCR 0 begins with it.

    Dynamic PCRs begin with zeros: what is extended into them follows a dynamic launch, which resets them.
    """
    zero = bytes(bank.size)
    values: dict[int, bytes] = {0: zero[1:] + bytes([locality])}
    touched = set()
    digest = bank.digest
    for register, extension in extensions:
        touched.add(register)
        values[register] = digest(values.get(register, zero) + extension)
    return {register: values[register] for register in touched}


def initial(register: int, value: bytes) -> bool:
    """Tell whether a PCR has a value that it can have without any extension."""
    if register in DYNAMIC_PCRS and value == b"\xff" * len(value):
        return True
    rest = value[:-1] if register == 0 else value
    return not any(rest) and (register != 0 or value[-1] in LOCALITIES)
