"""Requests to the simulated quoting device: the guest may have been taken over."""

from __future__ import annotations

import json

from assay.providers.local.device import QuotingDevice
from assay.simulator.intel import Installation

SEEDS: list[bytes] = [
    b'{"op": "quote", "inblob": "' + b"07" * 64 + b'"}',
    b'{"op": "extend", "index": 3, "digest": "' + b"05" * 48 + b'"}',
]
_DEVICE = QuotingDevice(Installation(bytes(32)).machine("fuzzed").trust_domain())


def target(data: bytes) -> None:
    """Ask; every answer is an object."""
    if not isinstance(json.loads(_DEVICE.answer(data)), dict):
        raise TypeError("an answer that is no object")
