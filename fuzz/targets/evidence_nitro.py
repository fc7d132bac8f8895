"""Nitro attestation documents: what a stranger sends, and payloads that are signed whatever they hold."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.evidence.decoding.cbor import encode
from assay.evidence.facts import FactCache
from assay.evidence.nitro.verify import verify_nitro
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.intel import Installation
from assay.simulator.nitro.hypervisor import SimulatedAws

NOW = datetime(2026, 11, 10, 9, 30, tzinfo=UTC)
BINDING = bytes(range(64))
AWS = SimulatedAws(Installation(b"\x0f" * 32))
ROOTS = AWS.trusted_by(Roots.vendor())
MODULE = AWS.instance("fuzzed").enclave({0: b"\1" * 48}, started=NOW)
FACTS = FactCache()


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return documents of both platforms, and their payloads alone."""
    drafts = [
        module.draft(NOW, user_data=BINDING)
        for module in (MODULE, AWS.instance("fuzzed").tpm({4: b"\2" * 48}))
    ]
    return [found.encode() for found in drafts] + [found.payload() for found in drafts]


def target(data: bytes) -> None:
    """Verify the input as a document, and as a payload: no exception, and no claims without a signature."""
    payload = encode([encode({1: -35}), {}, data, bytes(96)])
    for document in (data, payload):
        for platform in ("nitro", "nitro-tpm"):
            result = verify_nitro(
                document,
                platform=platform,
                endorsements=None,
                roots=ROOTS,
                now=NOW,
                binding=Expected(BINDING),
                facts=FACTS,
            )
            if result.authentic and document is payload:
                raise AssertionError("a document verifies that nobody signed")
            dict(result.decoded)
