"""Attestation containers of Google Cloud VMs and instance extensions, from outside."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Literal

from assay.evidence.decoding.der import DerError
from assay.evidence.facts import FactCache
from assay.evidence.google_vm import verify_google_vm
from assay.evidence.google_vm.ak import read_instance
from assay.evidence.google_vm.protobuf import ProtobufError
from assay.evidence.google_vm.snp_report import snp_part
from assay.evidence.google_vm.td_quote import td_quote
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.google_vm import GoogleVmScenario, GoogleVmScene, SimulatedGoogle, protobuf
from assay.simulator.google_vm.scene import EXPLAINED, INSTANCE, instance_extension
from assay.simulator.intel import Installation

if TYPE_CHECKING:
    from assay.evidence.google_vm.verify import Tee

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NONCE = bytes(range(32))
FACTS = FactCache(max_entries=64)


REPORT_DATA = bytes(64)


@cache
def _scenario(kind: Literal["tdx", "snp"] = "tdx") -> GoogleVmScenario:
    google = SimulatedGoogle(SimulatedAmd(b"\x0f" * 32, bits=2048), Installation(b"\x0f" * 32))
    return GoogleVmScene(google, NOW, NONCE, REPORT_DATA, kind).finish()


@cache
def _roots() -> Roots:
    roots = Roots.vendor()
    for family, der in dict([*_scenario().anchors, *_scenario("snp").anchors]).items():
        roots = roots.with_anchor(f"simulated {family}", der, vendor=family)
    return roots


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return containers of every kind, a TD quote and an SNP report alone, and an instance extension."""
    found = _scenario()
    parts, guest = found.parts, _scenario("snp")
    alone = protobuf.encode(replace(parts, td_quote=None, event_log=b"", canonical_log=b""))
    return [
        found.container,
        guest.container,
        alone,
        protobuf.td_quote(parts.td_quote or b""),
        *([protobuf.snp_attestation(guest.parts.snp)] if guest.parts.snp is not None else []),
        instance_extension(INSTANCE),
    ]


def target(data: bytes) -> None:
    """Verify a container; nothing may be raised, and everything can be shown."""
    with contextlib.suppress(DerError):
        read_instance(data)
    with contextlib.suppress(ProtobufError):
        td_quote(data)
    with contextlib.suppress(ProtobufError):
        snp_part(data)
    for tee in ("none", "tdx", "snp"):
        _verify(data, tee)


def _verify(data: bytes, tee: Tee) -> None:
    result = verify_google_vm(
        data,
        tee=tee,
        endorsements=_scenario("snp" if tee == "snp" else "tdx").endorsements,
        roots=_roots(),
        now=NOW,
        binding=Expected(NONCE),
        report_data=Expected(REPORT_DATA),
        explained=EXPLAINED,
        facts=FACTS,
    )
    for check in result.ledger:
        if not check.reason.isprintable() or len(check.reason) > 400:
            raise AssertionError("a reason that a terminal would obey")
    dict(result.decoded)
    for region in result.unsigned:
        if not 0 <= region.start <= region.end <= len(data):
            raise AssertionError("an unsigned region outside the input")
