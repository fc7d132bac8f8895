"""dstack: the identity of an application in a guest, from its events and its platform's evidence."""

from __future__ import annotations

from assay.evidence.dstack.claims import AppEvent, DstackClaims, Expectations, ImageStatement
from assay.evidence.dstack.config_id import ConfigForm
from assay.evidence.dstack.eventjson import parse_event_log
from assay.evidence.dstack.events import DstackEvent
from assay.evidence.dstack.guest import GuestClaims, verify_guest
from assay.evidence.dstack.identity import verify_identity
from assay.evidence.dstack.key_provider import KeyProvider, ProviderKind
from assay.evidence.dstack.presented import (
    Presented,
    from_attestation,
    from_certificate,
    from_get_quote,
    from_info,
    from_tcb_info,
)
from assay.evidence.dstack.report_data import Tag, key_attestation, tagged
from assay.evidence.dstack.system import SystemEvents
from assay.evidence.dstack.versioned import Attestation, open_attestation

__all__ = [
    "AppEvent",
    "Attestation",
    "ConfigForm",
    "DstackClaims",
    "DstackEvent",
    "Expectations",
    "GuestClaims",
    "ImageStatement",
    "KeyProvider",
    "Presented",
    "ProviderKind",
    "SystemEvents",
    "Tag",
    "from_attestation",
    "from_certificate",
    "from_get_quote",
    "from_info",
    "from_tcb_info",
    "key_attestation",
    "open_attestation",
    "parse_event_log",
    "tagged",
    "verify_guest",
    "verify_identity",
]
