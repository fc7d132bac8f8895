"""Containers, HCL reports and lone quotes of Azure VMs, from outside, with all that vouches for them."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from functools import cache

from assay.evidence.azure import read_bincode_quote, verify_azure
from assay.evidence.azure.forms import AzureEvidence, VtpmQuote
from assay.evidence.azure.hcl import AzureError, AzurePlatform
from assay.evidence.azure.runtime import parse_runtime
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected, Unchecked
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.azure import AzureScenario, AzureScene, SimulatedAzure
from assay.simulator.intel import Installation

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NONCE = bytes(range(32))
FACTS = FactCache(max_entries=64)
FORMS: tuple[tuple[AzurePlatform, str], ...] = (
    ("azure-snp", "v0"),
    ("azure-snp", "v2"),
    ("azure-tdx", "v1"),
    ("azure-tdx", "bundle"),
)


@cache
def _azure() -> SimulatedAzure:
    return SimulatedAzure(SimulatedAmd(b"\x0f" * 32, bits=2048), Installation(b"\x0f" * 32))


@cache
def _scenarios() -> dict[tuple[str, str], AzureScenario]:
    found: dict[tuple[str, str], AzureScenario] = {}
    for platform, form in FORMS:
        stage = AzureScene(_azure(), platform, NOW, NONCE, form=form)
        stage.certify()
        if form == "bundle":
            stage.log = stage.boot()
        found[platform, form] = stage.finish()
    return found


@cache
def _roots() -> Roots:
    roots = Roots.vendor()
    for scenario in _scenarios().values():
        for family, der in scenario.anchors:
            roots = roots.with_anchor(f"simulated {family}", der, vendor=family)
    return roots


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return containers of every form, an HCL report, runtime claims and a quote in bincode."""
    scenarios = list(_scenarios().values())
    parts = scenarios[0].parts
    quote = parts.quote
    lone = b"".join(
        [
            len(quote.signature).to_bytes(8, "little"),
            quote.signature,
            len(quote.message).to_bytes(8, "little"),
            quote.message,
            len(quote.pcrs).to_bytes(8, "little"),
            *quote.pcrs,
        ]
    )
    return [*(one.container for one in scenarios), parts.hcl, parts.hcl[1236:].rstrip(b"\0"), lone]


def target(data: bytes) -> None:
    """Verify a container and a report for both platforms; nothing may be raised, and all can be shown."""
    with contextlib.suppress(AzureError):
        parse_runtime(data)
    quote = VtpmQuote(b"", b"", ())
    with contextlib.suppress(AzureError):
        quote = read_bincode_quote(data)
    for platform, form in FORMS[1::2]:
        genuine = _scenarios()[platform, form]
        own = genuine.parts
        alone = AzureEvidence(data, own.quote, td_quote=own.td_quote, vcek=own.vcek, ak_certificate=data)
        quoted = AzureEvidence(own.hcl, quote, td_quote=own.td_quote, vcek=own.vcek)
        for evidence in (data, alone, quoted):
            result = verify_azure(
                evidence,
                platform=platform,
                endorsements=genuine.endorsements,
                roots=_roots(),
                now=NOW,
                binding=Expected(NONCE),
                user_data=Unchecked("none was asked for"),
                facts=FACTS,
            )
            for check in result.ledger:
                if not check.reason.isprintable() or len(check.reason) > 400:
                    raise AssertionError("a reason that a terminal would obey")
            dict(result.decoded)
            for region in result.unsigned:
                if evidence is data and not 0 <= region.start <= region.end <= len(data):
                    raise AssertionError("an unsigned region outside the input")
