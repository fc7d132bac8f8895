"""TCB info, QE identity and answers of the provisioning service: JSON from outside."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

from assay.errors import AssayError
from assay.evidence.dcap.collateral import signed_member
from assay.evidence.dcap.documents import parse_qe_identity, parse_tcb_info
from assay.evidence.decoding.strictjson import parse, raw_members
from assay.simulator.intel import Installation


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return documents of both kinds and versions, and a whole answer."""
    intel, now = Installation(b"\x0f" * 32), datetime(2026, 11, 21, tzinfo=UTC)
    tdx, sgx = intel.collateral(now, platform="tdx"), intel.collateral(now, platform="sgx", version=2)
    answer = b'{"tcbInfo":' + sgx.tcb_info + b',"signature":"' + sgx.tcb_info_signature.hex().encode() + b'"}'
    return [tdx.tcb_info, tdx.qe_identity, sgx.tcb_info, answer]


def target(data: bytes) -> None:
    """Decode the data in every way, and compare raw slices with the values they stand for."""
    for decode in (parse_tcb_info, parse_qe_identity):
        try:
            decode(data)
        except AssayError:
            continue
    with contextlib.suppress(AssayError):
        signed_member(data, "tcbInfo")
    try:
        members = raw_members(data, max_bytes=1 << 20)
    except AssayError:
        return
    whole = parse(data, max_bytes=1 << 20)
    if {name: parse(raw, max_bytes=1 << 20) for name, raw in members.items()} != whole:
        raise AssertionError("a slice does not say what the member says")
    if json.loads(data) != whole or any(raw not in data for raw in members.values()):
        raise AssertionError("a slice is not of the input")
