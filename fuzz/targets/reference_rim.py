"""Reference integrity manifests from outside: XML, its canonical form, signature and values."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from assay.evidence.facts import FactCache
from assay.evidence.ocsp import HoldPolicy
from assay.evidence.roots import Roots
from assay.reference.rim import verify_rim
from assay.reference.rim.xml import XmlError, canonical, parse
from assay.simulator.nvidia import Scene, SimulatedNvidia

if TYPE_CHECKING:
    from assay.simulator.nvidia.scene import Evidence

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NVIDIA = SimulatedNvidia(b"\x0f" * 32)
FACTS = FactCache(max_entries=64)


@cache
def _evidence() -> Evidence:
    return Scene(NVIDIA, NOW, bytes(32)).finish()


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return manifests, and small documents for the parser alone."""
    return [
        _evidence().drivers[0].document,
        _evidence().firmware[0].document,
        b'<a xmlns="u" xmlns:p="v" p:b="&#9;&lt;"><p:c>&amp;&#13;</p:c><d xmlns=""/></a>',
        b'<?xml version="1.0" encoding="UTF-8"?>\n<a><!-- --><?x?><![CDATA[x]]></a>',
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    ]


@cache
def _roots() -> Roots:
    found = Roots.vendor()
    for name, der, vendor in NVIDIA.anchors:
        found = found.with_anchor(name, der, vendor=vendor)
    return found


def target(data: bytes) -> None:
    """Verify a manifest; nothing may be raised, and what verifies says what the genuine one says."""
    genuine = _evidence().drivers[0]
    found = verify_rim(data, ocsp=genuine.ocsp, roots=_roots(), now=NOW, hold=HoldPolicy.REFUSE, facts=FACTS)
    for check in found.ledger:
        if not check.reason.isprintable() or len(check.reason) > 400:
            raise AssertionError("a reason that a terminal would obey")
    if found.verified and found.golden.version not in ("590.12", "96.00.A5.00.01"):
        raise AssertionError("values that nobody signed")
    with contextlib.suppress(XmlError):
        form = canonical(parse(data))
        if canonical(parse(form)) != form:
            raise AssertionError("the canonical form has another canonical form")
