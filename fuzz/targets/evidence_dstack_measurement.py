"""The measurement document of an image, its checksum file and its hand-off block witness."""

from __future__ import annotations

import base64
import hashlib

from assay.errors import AssayError
from assay.evidence.dstack.config_id import ConfigForm, check_committed, value_v3
from assay.evidence.dstack.os_image import MEASUREMENT_FILE, parse_checksums, parse_document
from assay.evidence.dstack.system import read_system_events
from assay.evidence.dstack.td_hob import td_hob_digest
from support.dstack_guest import WITNESS, checksums, measurement, system_events

SYSTEM = read_system_events(system_events())
SEEDS = [
    measurement(),
    WITNESS,
    checksums(measurement_tdx_cbor=b"x", metadata_json=b"{}"),
    b'{"compose_hash":"00","key_provider":"kms","init_script_hashes":[]}',
]


def target(data: bytes) -> None:
    """Take the input as each of them."""
    listed = f"{hashlib.sha256(data).hexdigest()}  {MEASUREMENT_FILE}\n".encode()
    document = {
        "checksum_file": base64.b64encode(listed).decode(),
        "measurement": base64.b64encode(data).decode(),
    }
    for work in (
        lambda: parse_document(document).rtmr0(2 << 30, (bytes(48),) * 3),
        lambda: parse_checksums(data),
        lambda: td_hob_digest(data, 2 << 30),
        lambda: check_committed(value_v3(data), ConfigForm.V3, SYSTEM, data),
    ):
        try:
            work()
        except AssayError:
            continue
