"""Verified dstack event logs made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from assay.evidence.dstack.claims import DstackClaims, ImageStatement
from assay.evidence.dstack.config_id import ConfigForm
from assay.evidence.dstack.key_provider import KeyProvider
from assay.evidence.dstack.system import SystemEvents
from assay.evidence.eventlog.result import LogResult
from assay.evidence.ledger import Check, CheckSpec, Ledger, Outcome

REPLAY = CheckSpec("log.replay", "the log replays", "test")
PROVIDER = KeyProvider("kms", bytes.fromhex("3059"))
IMAGE = ImageStatement(bytes(32), None, None, None, "nothing says it", "dstack-0.5.9", None, None)
SYSTEM = SystemEvents(bytes(20), bytes(32), b"", PROVIDER, b"", None, None, None, (), None, None)
CLAIMS = DstackClaims(
    app_id=bytes.fromhex("0a" * 20),
    compose_hash=bytes.fromhex("0c" * 32),
    instance_id=b"",
    key_provider=PROVIDER,
    config_form=next(iter(ConfigForm)),
    image=replace(IMAGE, os_image_hash=bytes.fromhex("0e" * 32)),
    system=SYSTEM,
    app_events=(),
    mr_system=bytes(32),
    mr_aggregated=bytes(32),
    report_data=bytes(64),
    key_attestation=None,
)


def log(claims: Any = CLAIMS, outcome: Outcome = Outcome.PASSED) -> LogResult[Any]:
    check = REPLAY.passed if outcome is Outcome.PASSED else Check(REPLAY, outcome, "log.broken", "no")
    return LogResult(Ledger((check,)), frozenset(), ("a sentence of the log",), (), claims)
