"""Signed manifests, their payloads, measured values and the memory of versions."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ed25519

from assay.errors import ReferenceValueError
from assay.reference.manifest import Manifest, TrustedKey, open_manifest, read_unverified, sign
from assay.reference.memory import Seen, decode_memory, encode_memory
from assay.reference.values import Measured, read_measured, write_measured

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
TRUSTED = [TrustedKey.of(KEY.public_key())]
VALUES = Measured("tdx", {"mr_td": frozenset({b"\1" * 48})}, (), {"a": "b"}, ("note",))
SIGNED = sign(Manifest("name", 1, NOW, NOW + timedelta(days=1), VALUES, "tool"), KEY)
SEEDS = [
    SIGNED,
    base64.b64decode(json.loads(SIGNED)["payload"]),
    write_measured(VALUES),
    encode_memory({"name": Seen(1, bytes(32))}),
]


def target(data: bytes) -> None:
    """Take the input as each of them."""
    payload = {
        "payload": base64.b64encode(data).decode(),
        "payloadType": "application/vnd.assay.reference+json",
        "signatures": [{"keyid": "", "sig": ""}],
    }
    for work in (
        lambda: open_manifest(data, TRUSTED),
        lambda: read_unverified(json.dumps(payload).encode()),
        lambda: read_measured(data),
        lambda: decode_memory(data),
    ):
        try:
            work()
        except ReferenceValueError:
            continue
