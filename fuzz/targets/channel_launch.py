"""The measured launch configuration."""

from __future__ import annotations

from assay.channel.launch import LaunchConfig
from assay.errors import AssayError

SEEDS = [
    LaunchConfig("lease-1", b"owner", 60, 5).encode(),
    LaunchConfig("x", b"", 0, 0).encode(),
]


def target(data: bytes) -> None:
    """Decode; what decodes encodes to the same bytes."""
    try:
        found = LaunchConfig.decode(data)
    except AssayError:
        return
    if found.encode() != data:
        raise RuntimeError("a second encoding of one launch configuration was accepted")
