"""Signed messages from peers."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.evidence.cose.algorithms import Algorithm
from assay.evidence.cose.sign1 import CoseError, Sign1
from assay.evidence.decoding.cbor import Tag, encode

KEY = Ed25519PrivateKey.from_private_bytes(b"\x0f" * 32)


def _message(headers: dict[int, object], unprotected: dict[int, object]) -> bytes:
    protected = encode(headers)
    signature = KEY.sign(encode(["Signature1", protected, b"", b"payload"]))
    return encode(Tag(18, [protected, unprotected, b"payload", signature]))


SEEDS = [
    _message({1: -8}, {4: b"key"}),
    _message({1: -8, 2: [100], 100: b"x"}, {}),
    encode([encode({1: -8}), {}, None, bytes(64)]),
]


def target(data: bytes) -> None:
    """A message that verifies holds the one payload that was signed, and its signature is of that message."""
    try:
        message = Sign1.parse(data, max_bytes=4096)
        message.verify(KEY.public_key(), algorithms=tuple(Algorithm), understood={100})
    except CoseError:
        return
    if message.payload != b"payload" or KEY.sign(message.signed()) != message.signature:
        raise AssertionError("a message verifies that was never signed")
