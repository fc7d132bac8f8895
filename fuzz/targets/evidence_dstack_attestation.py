"""dstack's attestations of both versions."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.dstack.attestation import parse_attestation
from support.dstack_encodings import pack, version_0, version_1
from support.dstack_guest import acpi_events, system_events

EVENTS = acpi_events() + system_events()
SEEDS = [
    version_0(b"quote", EVENTS),
    pack(version_1(b"quote", EVENTS)),
    pack(version_1(b"quote", system_events(version=2))),
]


def target(data: bytes) -> None:
    """Parse; an attestation of version 0 has one spelling."""
    try:
        found = parse_attestation(data)
    except AssayError:
        return
    if data[0] == 0:
        again = version_0(found.quote, list(found.events), report_data=found.report_data, config=found.config)
        if again != data:
            raise RuntimeError("a second encoding of one attestation was accepted")
