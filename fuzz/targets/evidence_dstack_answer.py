"""The JSON answers of a dstack guest, and the VM configuration in them."""

from __future__ import annotations

import json

from assay.errors import AssayError
from assay.evidence.decoding import pem
from assay.evidence.dstack import Expectations, from_get_quote, from_info, from_tcb_info, verify_identity
from assay.evidence.dstack.certificate import Extension
from assay.evidence.dstack.os_image import parse_document
from assay.evidence.dstack.vm_config import parse_vm_config
from support.dstack_encodings import certificate, version_0
from support.dstack_guest import acpi_events, image_config, log_json, system_events
from support.dstack_quotes import taken_as_verified

EVENTS = acpi_events() + system_events()
OPEN = Expectations.nothing("fuzzing")


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return one answer of each kind."""
    log = log_json(EVENTS).decode()
    tcb = json.dumps({"event_log": json.loads(log), "app_compose": "{}"})
    leaf = pem.encode(certificate({Extension.QUOTE: b"quote"})).decode()
    config = image_config()
    return [
        json.dumps({"quote": "00", "event_log": log, "vm_config": config.decode()}).encode(),
        json.dumps({"attestation": version_0(b"quote", EVENTS).hex()}).encode(),
        json.dumps({"tcb_info": tcb, "app_cert": leaf, "app_id": "00"}).encode(),
        config,
    ]


def target(data: bytes) -> None:
    """Take the input as every kind of answer, and judge what comes out."""
    for work in (from_get_quote, from_info, lambda found: from_tcb_info(found, b"")):
        try:
            presented = work(data)
        except AssayError:
            continue
        verify_identity(taken_as_verified(), presented, expected=OPEN)
    try:
        parse_document(parse_vm_config(data).measurement)
    except AssayError:
        return
