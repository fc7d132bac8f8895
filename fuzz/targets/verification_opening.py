"""Files that a person calls evidence, or an event log."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.dstack.certificate import Extension
from assay.evidence.eat.cmw import Collection, Record, encode_cbor, encode_json
from assay.verification.opening import open_bundle, open_event_log
from support.dstack_attested import MAKERS, packed, scale
from support.dstack_encodings import certificate

QUOTE = bytes.fromhex("0400020081000000") + bytes(640)
WRAPPED = Collection(
    {"a": Record("application/x", QUOTE, 4), "b": Collection({"c": Record(30001, QUOTE)})},
    "tag:example.com,2026:a",
)
ENCLAVE = MAKERS["nitro-enclave"]().found
SEEDS: list[bytes] = [
    QUOTE,
    scale(ENCLAVE),
    packed(ENCLAVE),
    certificate({Extension.ATTESTATION: scale(ENCLAVE)}),
    encode_json(WRAPPED),
    encode_cbor(WRAPPED),
    encode_cbor(Record(30001, QUOTE), tagged=True),
    b'{"token":"[]","tdx":{"quote_b64":"BAAC"}}',
    b'{"quote":"04000200","event_log":"[]","vm_config":"{}"}',
    b'{"app_cert":"","tcb_info":"{}"}',
    b"[]",
    b"0400020081000000",
]


def target(data: bytes) -> None:
    """Open the bytes as evidence, as a container of some, and as a log."""
    for opened in (open_bundle, lambda log: open_event_log(log, b"")):
        try:
            opened(data)
        except AssayError:
            continue
