"""Files that a person calls evidence, or an event log."""

from __future__ import annotations

import json
from base64 import b64encode
from gzip import compress

from assay.errors import AssayError
from assay.evidence.decoding import cbor
from assay.evidence.dstack.certificate import Extension
from assay.evidence.eat.cmw import Collection, Record, encode_cbor, encode_json
from assay.evidence.google_vm.protobuf import encode_bytes
from assay.evidence.snp.table import ASK, encode_table
from assay.verification.opening import open_bundle, open_event_log
from support.dstack_attested import MAKERS, packed, scale
from support.dstack_encodings import certificate

QUOTE = bytes.fromhex("0400020081000000") + bytes(640)
WRAPPED = Collection(
    {"a": Record("application/x", QUOTE, 4), "b": Collection({"c": Record(30001, QUOTE)})},
    "tag:example.com,2026:a",
)
REPORT = {
    "intel_quote": QUOTE.hex(),
    "nvidia_payload": '{"nonce":"00","evidence_list":[],"arch":"HOPPER"}',
    "event_log": "[]",
    "info": {"app_id": "00", "tcb_info": {"rtmr0": "00", "app_compose": "{}"}, "vm_config": "{}"},
    "signing_address": "0x00",
    "request_nonce": "00",
}
BROKERED = {"primary_evidence": {"quote": b64encode(QUOTE).decode()}, "additional_evidence": '{"nvidia":{}}'}
WRITTEN = b64encode(json.dumps(BROKERED).encode()).decode()
VAPOR = {
    "nonce": "00",
    "pcrs": {"sha256": {"0": "00"}},
    "ak_pubkeys": {"ecc_p256": {"x": "01", "y": "02"}},
    "attestation": {
        "tpm": {"ecc_p256": {"attest_data": "ff544347", "signature": "3006020101020101"}},
        "gcp": {"ak_cert_chain": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
    },
}
ENCLAVE = MAKERS["nitro-enclave"]().found
OAK = encode_bytes(1, b"\x08\x02" + encode_bytes(2, QUOTE.ljust(1024, b"\0"))) + encode_bytes(4, b"log")
PCS = {
    "quote": QUOTE,
    "tcb": {
        "certs": b"PEM",
        "tcb_info": {"tcb_info": b"{}", "signature": "00"},
        "qe_id": {"enclave_identity": b"{}", "signature": "00"},
    },
}
BORSH = b"".join(len(part).to_bytes(4, "little") + part for part in (QUOTE, *[b"a part"] * 9)) + b"\0"
ATTEST = bytes.fromhex("ff54434780180000000000000000000000000000000000000000000000000000")
REGISTERS = (
    (b"\1\0\0\0\x0b\0\3\1\0\0\0\0").ljust(132, b"\0")
    + b"\1\0\0\0"
    + (b"\1\0\0\0\x20\0" + bytes(range(32))).ljust(532, b"\0")
)
KEYLIME = b"r" + b":".join(b64encode(part) for part in (ATTEST, b"\0\x14\0\x0b\0\1s", REGISTERS))
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
    json.dumps(REPORT).encode(),
    json.dumps({"gateway_attestation": None, "model_attestations": [REPORT]}).encode(),
    json.dumps({"platform": "tdx", "evidence": {"quote": QUOTE.hex(), "cc_eventlog": "AAAA"}}).encode(),
    json.dumps(
        {"format": "https://tinfoil.sh/predicate/", "body": b64encode(compress(QUOTE)).decode()}
    ).encode(),
    json.dumps(
        {
            "format": "https://tinfoil.sh/predicate/",
            "cpu": {"platform": "tdx", "report": QUOTE.hex()},
            "gpu": {},
        }
    ).encode(),
    json.dumps({"SnpReport": b64encode(QUOTE).decode(), "VcekCertChain": ""}).encode(),
    json.dumps({"report": b64encode(b'{"evidence":"BAAC","endorsements":""}').decode()}).encode(),
    json.dumps({"attestation": {"evidence": "BAAC", "endorsements": ""}, "wrappingKey": ""}).encode(),
    json.dumps({"quotes": [{"raw": b64encode(QUOTE).decode(), "endorsements": "", "node_id": ""}]}).encode(),
    json.dumps({"attestation_document": "d28444a1013822"}).encode(),
    json.dumps({"attestation_report": b64encode(QUOTE).decode(), "cert_chain": {"vcek": "AA=="}}).encode(),
    json.dumps({"runtime-data": {}, "tee-evidence": BROKERED}).encode(),
    json.dumps(
        {
            "verification_requests": [
                {"tee": "tdx", "evidence": b64encode(json.dumps(BROKERED).encode()).decode()}
            ]
        }
    ).encode(),
    json.dumps(
        {"tdx": {"quote": QUOTE.hex()}, "nvgpu": {"gpu_nonce": "", "arch": "", "evidence_list": []}}
    ).encode(),
    json.dumps({"token": "eyJ.e30.AA"}).encode(),
    json.dumps(VAPOR).encode(),
    json.dumps(
        {
            "evidence": {"tpmQuote": "AAFtABQACwABcw==", "hclReport": "SENMQQ==", "pcrs": {"0": "AA=="}},
            "platformCertificates": VAPOR["attestation"]["gcp"]["ak_cert_chain"],
        }
    ).encode(),
    json.dumps({"attestation": {"tpm": {}, "nitro": {"document": "d28444a1013822"}}}).encode(),
    b64encode(b'{"quote":"04000200"}'),
    json.dumps(list(QUOTE[:64])).encode(),
    b"\xef\xbb\xbf" + QUOTE[:64].hex().encode(),
    bytes.fromhex("0100000002000000") + len(QUOTE).to_bytes(8, "little") + QUOTE,
    OAK,
    cbor.encode(PCS),
    cbor.encode({"v": 1, "quote": {"pcs": PCS}, "height": 1, "signature": bytes(64)}),
    BORSH,
    KEYLIME,
    b"".join(
        (len(part) // size).to_bytes(8, "little") + part
        for part, size in ((bytes(8), 1), (ATTEST, 1), (bytes(64), 32))
    ),
    encode_table({ASK: b"PEM"}),
    b"# VCEK\n" + VAPOR["attestation"]["gcp"]["ak_cert_chain"].encode(),
    cbor.encode(cbor.Tag(399, {44234: b"", 44241: b""})),
    cbor.encode(cbor.Tag(18, [b"", {}, cbor.encode({265: "http://arm.com/psa/2.0.0"}), b""])),
    b"eyJ9.eyJlYXIudmVyaWZpZXItaWQiOjB9.AA",
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
