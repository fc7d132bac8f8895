"""CBOR from peers: tokens, signed messages, attestation documents."""

from __future__ import annotations

from assay.evidence.decoding.cbor import CborError, Tag, decode, encode

SEEDS = [
    encode({1: -35}),
    encode({"module_id": "i-1", "pcrs": {0: bytes(48)}, "cabundle": [b"a", b"b"], "nonce": None}),
    encode(Tag(18, [b"\xa1\x01\x26", {}, b"payload", bytes(64)])),
    encode([1, -1, 2**64 - 1, True, False, None, 0.5, 1.1, "text", b"bytes", [], {}]),
    bytes.fromhex("bf616101bf02f6ffff"),
]


def target(data: bytes) -> None:
    """What is read is written again in the same number of bytes, and read as the same value."""
    for indefinite in (False, True):
        try:
            value = decode(data, max_bytes=4096, indefinite_maps=indefinite)
        except CborError:
            continue
        written = encode(value)
        if decode(written, max_bytes=len(written)) != value:
            raise AssertionError("a value changes when it is written and read")
        if not indefinite and len(written) != len(data):
            raise AssertionError("a value has a second encoding")
