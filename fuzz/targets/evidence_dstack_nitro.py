"""dstack's attestations around Nitro documents, of both versions."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.dstack.nitro import parse_nitro_attestation
from support.dstack_encodings import compact, pack, vector

STACK = {"report_data": [7] * 64, "runtime_events": [{"event": "app-id", "payload": b"\1"}], "config": "{}"}
SEEDS = [
    bytes([0, 2])
    + vector(b"document")
    + compact(1)
    + vector(b"app-id")
    + vector(b"\1")
    + bytes(64)
    + vector(b"{}"),
    pack(
        {
            "version": 1,
            "platform": {"kind": "aws-nitro-tpm", "data": {"attestation_doc": [1, 2]}},
            "stack": {"kind": "dstack", "data": STACK},
        }
    ),
]


def target(data: bytes) -> None:
    """Parse; an attestation of version 0 has one spelling."""
    try:
        found = parse_nitro_attestation(data)
    except AssayError:
        return
    if data[0] == 0:
        variant = 2 if found.platform == "nitro" else 4
        events = b"".join(vector(name.encode()) + vector(payload) for name, payload in found.events)
        again = bytes([0, variant]) + vector(found.document) + compact(len(found.events)) + events
        if again + found.report_data + vector(found.config.encode()) != data:
            raise RuntimeError("a second encoding of one attestation was accepted")
