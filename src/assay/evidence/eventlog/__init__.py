"""Event logs: parsed within bounds, replayed, and their payloads bound to what was measured."""

from __future__ import annotations

from assay.evidence.eventlog.algorithms import Algorithm
from assay.evidence.eventlog.boot import BootLogClaims, LogOutcome, PcrEvent, verify_boot_log
from assay.evidence.eventlog.boot_checks import LogSpecs
from assay.evidence.eventlog.ccel import CcelClaims, CcelEvent, CcelLog, parse_ccel, verify_ccel
from assay.evidence.eventlog.cel import CelRecord, parse_cel
from assay.evidence.eventlog.cel_json import parse_cel_json
from assay.evidence.eventlog.legacy import parse_boot_log
from assay.evidence.eventlog.payload import Coverage, PayloadBinding, binding
from assay.evidence.eventlog.replay import extend, replay_rtmrs
from assay.evidence.eventlog.result import LogResult
from assay.evidence.eventlog.tcg import TcgEvent, TcgLog, parse

__all__ = [
    "Algorithm",
    "BootLogClaims",
    "CcelClaims",
    "CcelEvent",
    "CcelLog",
    "CelRecord",
    "Coverage",
    "LogOutcome",
    "LogResult",
    "LogSpecs",
    "PayloadBinding",
    "PcrEvent",
    "TcgEvent",
    "TcgLog",
    "binding",
    "extend",
    "parse",
    "parse_boot_log",
    "parse_ccel",
    "parse_cel",
    "parse_cel_json",
    "replay_rtmrs",
    "verify_boot_log",
    "verify_ccel",
]
