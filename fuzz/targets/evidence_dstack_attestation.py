"""dstack's attestations of every platform, in both versions."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.dstack.versioned import looks_versioned, open_attestation
from support.dstack_attested import MAKERS, packed, scale
from support.dstack_encodings import pack, version_0, version_1
from support.dstack_guest import acpi_events, system_events

EVENTS = acpi_events() + system_events()
MADE = [make().found for make in MAKERS.values()]
SEEDS = [
    version_0(b"quote", EVENTS),
    pack(version_1(b"quote", EVENTS)),
    pack(version_1(b"quote", system_events(version=2))),
    *(scale(found) for found in MADE),
    *(packed(found) for found in MADE),
]


def target(data: bytes) -> None:
    """Parse; an attestation of version 0 has one spelling."""
    looks_versioned(data)
    try:
        found = open_attestation(data)
    except AssayError:
        return
    if data[0] == 0 and scale(found) != data:
        raise RuntimeError("a second encoding of one attestation was accepted")
