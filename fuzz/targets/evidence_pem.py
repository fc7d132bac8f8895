"""Chains of certificates as text from outside."""

from __future__ import annotations

from assay.evidence.decoding.pem import PemError, certificates, encode
from assay.simulator.intel import Installation


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return chains of one to three, with the ends that real ones have."""
    intel = Installation(b"\x0f" * 32)
    chain = intel.machine("fuzzed").pck.pem() + intel.platform_ca.pem() + intel.root.pem()
    return [intel.root.pem(), intel.platform_ca.pem() + intel.root.pem(), chain + b"\0", chain.rstrip()]


def target(data: bytes) -> None:
    """Read one to three certificates; what was read has one spelling, apart from line ends."""
    for count in (1, 2, 3):
        try:
            found = certificates(data, count=count)
        except PemError:
            continue
        if certificates(encode(*found), count=count) != found:
            raise AssertionError("certificates change when they are written and read")
        plain = b"".join(data.split()).rstrip(b"\0")
        if b"".join(encode(*found).split()) != plain:
            raise AssertionError("the text carried something beside its certificates")
