"""The append-only log: tiles, signed checkpoints, export, offline verification."""

from __future__ import annotations

from assay.audit.key import LogKey
from assay.audit.log import Event, Log
from assay.audit.note import Checkpoint, VerifierKey
from assay.audit.schema import MIGRATIONS

__all__ = ["MIGRATIONS", "Checkpoint", "Event", "Log", "LogKey", "VerifierKey"]
