"""dstack attestations around Nitro documents: what is read, what is refused, what agrees with them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.dstack.nitro import (
    NITRO_IMAGE,
    NITRO_REPORT_DATA,
    NitroAttestation,
    compare,
    os_image_hash,
    parse_nitro_attestation,
)
from assay.evidence.dstack.report_data import Tag, tagged
from assay.evidence.ledger import Outcome
from support.dstack_encodings import compact, pack, vector
from support.nitro_scenes import BINDING, NOW, PCRS, judge, module

IMAGE_HASH = hashlib.sha256(PCRS[0] + PCRS[1] + PCRS[2]).digest()
CONFIG = json.dumps({"os_image_hash": IMAGE_HASH.hex()})
EVENTS = (("app-id", b"\1" * 20), ("instance-id", b""))
VARIANTS = {"nitro": 2, "nitro-tpm": 4}
KINDS = {"nitro": ("nitro-enclave", "nsm_quote"), "nitro-tpm": ("aws-nitro-tpm", "attestation_doc")}


def old(platform: str, document: bytes, *, report_data: bytes = BINDING, config: str = CONFIG) -> bytes:
    """Write version 0: SCALE."""
    events = b"".join(vector(name.encode()) + vector(payload) for name, payload in EVENTS)
    head = bytes([0, VARIANTS[platform]]) + vector(document) + compact(len(EVENTS))
    return head + events + report_data + vector(config.encode())


def new(of: str, document: bytes, **changes: Any) -> dict[str, Any]:
    """Return version 1 before it is packed."""
    kind, name = KINDS[of]
    return {
        "version": 1,
        "platform": {"kind": kind, "data": {name: list(document)}},
        "stack": {
            "kind": "dstack",
            "data": {
                "report_data": list(BINDING),
                "runtime_events": [{"event": name, "payload": payload} for name, payload in EVENTS],
                "config": CONFIG,
            },
        },
    } | changes


def code(data: bytes) -> str:
    with pytest.raises(EvidenceError) as error:
        parse_nitro_attestation(data)
    return error.value.code


@pytest.mark.parametrize("platform", ["nitro", "nitro-tpm"])
def test_both_versions_hold_the_document(platform):
    document = module(platform).attest(NOW, user_data=BINDING)
    expected = NitroAttestation(platform, document, EVENTS, BINDING, CONFIG)
    for data in (old(platform, document), pack(new(platform, document))):
        found = parse_nitro_attestation(data)
        assert found == expected
        result = judge(found.document, platform)
        assert result.bound
        ledger = compare(found, result.claims)
        assert not ledger.unmet()
        image = Outcome.PASSED if platform == "nitro" else Outcome.NOT_APPLICABLE
        assert ledger[NITRO_IMAGE.id].outcome is image


def test_the_image_is_named_by_the_first_three_registers():
    claims = judge(module().attest(NOW, user_data=BINDING)).claims
    assert os_image_hash(claims) == IMAGE_HASH


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"report_data": bytes(64)}, "dstack.nitro.report_data"),
        ({"config": "{}"}, "dstack.nitro.image"),
        ({"config": "not json"}, "dstack.nitro.image"),
        ({"config": json.dumps({"os_image_hash": "00" * 32})}, "dstack.nitro.image"),
        ({"config": '{"os_image_hash": 7}'}, "dstack.nitro.image"),
        (
            {"config": CONFIG.replace("{", '{"os_image_hash": "00", ')},
            "dstack.nitro.image",
        ),
    ],
)
def test_what_disagrees_with_the_document_is_refused(changes, refused):
    document = module().attest(NOW, user_data=BINDING)
    found = parse_nitro_attestation(old("nitro", document, **changes))
    failed = compare(found, judge(document).claims).failed()
    assert [check.code for check in failed] == [refused]
    assert refused in (NITRO_REPORT_DATA.id, NITRO_IMAGE.id)


def test_malformed_attestations_are_refused_by_their_defect():
    whole = old("nitro", b"document")
    for size in range(len(whole)):
        assert code(whole[:size]) in ("dstack.scale", "dstack.attestation.version")
    assert code(whole + b"\0") == "dstack.scale"
    assert code(b"\2" + whole[1:]) == "dstack.attestation.version"
    assert code(bytes(1 << 21)) == "dstack.attestation.size"
    for variant in (0, 1, 3, 5):
        assert code(bytes([0, variant]) + whole[2:]) == "dstack.attestation.variant"
    assert code(old("nitro", b"", config="x" * 65537)) == "dstack.attestation.size"
    assert code(bytes([0, 2]) + vector(b"") + compact(1 << 20) + bytes(99)) == "dstack.log.events"


def packed(**changes: Any) -> bytes:
    return pack(new("nitro", b"document", **changes))


def test_malformed_attestations_of_version_1_are_refused_by_their_defect():
    assert parse_nitro_attestation(packed()).document == b"document"
    stack = new("nitro", b"")["stack"]["data"]
    kind, name = KINDS["nitro"]
    assert code(packed(version=2)) == "dstack.attestation.version"
    assert code(packed(version=True)) == "dstack.attestation.version"
    for wrong in ("tdx", "unknown", 7, None):
        assert code(packed(platform={"kind": wrong, "data": {name: [1]}})) == "dstack.attestation.variant"
    assert code(packed(platform={"kind": kind, "data": {}})) == "dstack.attestation.member"
    assert code(packed(platform={"kind": kind, "data": {name: [256]}})) == "dstack.attestation.member"
    assert code(packed(stack={"kind": "other", "data": stack})) == "dstack.attestation.stack"
    short = stack | {"report_data": [1] * 63}
    assert code(packed(stack={"kind": "dstack", "data": short})) == "dstack.attestation.report_data"
    assert code(packed(extra=1)) == "dstack.attestation.member"
    assert code(packed()[:-1]) == "dstack.msgpack"


def test_the_payload_of_a_pod_must_be_what_the_report_data_hash():
    stack = new("nitro", b"")["stack"]["data"]
    payload = '{"session": 1}'
    right = stack | {
        "report_data": list(tagged(Tag.APP_DATA, payload.encode())),
        "report_data_payload": payload,
    }
    assert (
        parse_nitro_attestation(packed(stack={"kind": "dstack-pod", "data": right})).document == b"document"
    )
    wrong = right | {"report_data_payload": payload + " "}
    assert code(packed(stack={"kind": "dstack-pod", "data": wrong})) == "dstack.attestation.report_data"


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_refused(data):
    for attempt in (data, b"\0\2" + data, b"\x83" + data):
        try:
            parse_nitro_attestation(attempt)
        except EvidenceError:
            continue
