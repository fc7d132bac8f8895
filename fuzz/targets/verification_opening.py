"""Files that a person calls evidence, or an event log."""

from __future__ import annotations

from assay.errors import AssayError
from assay.verification.opening import open_event_log, open_evidence

SEEDS: list[bytes] = [
    bytes.fromhex("0400020081000000") + bytes(640),
    b'{"quote":"04000200","event_log":"[]","vm_config":"{}"}',
    b'{"app_cert":"","tcb_info":"{}"}',
    b"[]",
    b"0400020081000000",
]


def target(data: bytes) -> None:
    """Open the bytes as evidence and as a log."""
    for opened in (open_evidence, lambda log: open_event_log(log, b"")):
        try:
            opened(data)
        except AssayError:
            continue
