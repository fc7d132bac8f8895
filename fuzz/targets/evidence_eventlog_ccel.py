"""CCEL logs."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.eventlog import Coverage, parse_ccel
from assay.evidence.eventlog.algorithms import Algorithm
from support.eventlog_writer import event, header, write_log

SEEDS = [
    write_log([(1, 4, bytes(4)), (2, 0x80000007, b"text"), (3, 0xD, b"grub_cmd: x\0")], padding=b"\xff" * 64),
    write_log([(0, 3, b"SP800-155 Event3"), (1, 0x80000002, bytes(34))], padding=bytes(64)),
    header((Algorithm.SHA256, Algorithm.SHA384)) + event(4, 1, b"x", (Algorithm.SHA256, Algorithm.SHA384)),
]


def target(data: bytes) -> None:
    """Parse and replay; what is called bound hashes to its digest."""
    try:
        log = parse_ccel(data)
    except AssayError:
        return
    log.replay()
    for found in log.events:
        bound = found.binding.coverage in (Coverage.WHOLE, Coverage.PART)
        if bound and Algorithm.SHA384.digest(found.bound) != found.digest:
            raise RuntimeError("a payload is called bound that its digest is not the hash of")
