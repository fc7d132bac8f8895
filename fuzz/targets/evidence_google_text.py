"""The text form of a Google VM's attestation: read into the binary form, or refused."""

from __future__ import annotations

from assay.errors import AssayError
from assay.evidence.google_vm import read_container
from assay.evidence.google_vm.textproto import looks_like_text, to_binary

PCRS = b'pcrs { hash: SHA256 pcrs: { key: 0 value: "\\000" } }'
QUOTE = b'quotes: { quote: "\\xffTCG\\200\\030" raw_sig: "" ' + PCRS + b" }"
SNP = (
    b"sev_snp_attestation { report { version: 3 policy: 196608 } product { machine_stepping { value: 1 } } }"
)
TD = b'tdx_attestation { header { version: 4 tee_type: 129 } td_quote_body { rtmrs: "" rtmrs: "" } }'
SEEDS: list[bytes] = [
    b'ak_pub: "\\000\\001"\n' + QUOTE,
    b'ak_pub: "\\x00" instance_info { zone: "a", project_number: 7; instance_id: 18446744073709551615 }',
    b'ak_pub: "\\u00e9" ' + SNP,
    b'ak_pub: "" ' + TD,
    b'ak_pub: "" ak_cert: "\\a\\b\\f\\n\\r\\t\\v\\\\\\"" intermediate_certs: "x" intermediate_certs: "y"',
]


def target(data: bytes) -> None:
    """Read text into a container; what is read is as long as its text at most."""
    if not looks_like_text(data):
        return
    try:
        found = to_binary(data)
        if len(found) > len(data):
            raise AssertionError("more bytes than the text has")
        read_container(found)
    except AssayError:
        pass
