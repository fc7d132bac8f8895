"""CoRIMs, signed and not."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ed25519

from assay.errors import ReferenceValueError
from assay.reference import corim
from assay.reference.manifest import TrustedKey
from assay.reference.values import Measured

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KEY = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
TRUSTED = [TrustedKey.of(KEY.public_key())]
PLAIN = corim.encode(
    Measured("tdx", {"mr_td": frozenset({b"\1" * 48})}), tag_id="tag", vendor="Vendor", model="Model"
)
SEEDS = [PLAIN, corim.sign(PLAIN, KEY, signer="Vendor")]


def target(data: bytes) -> None:
    """Take the input as either."""
    for work in (
        lambda: corim.values(corim.decode(data), platform="tdx", now=NOW),
        lambda: corim.verify(data, TRUSTED, now=NOW),
    ):
        try:
            work()
        except ReferenceValueError:
            continue
