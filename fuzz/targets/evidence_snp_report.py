"""SEV-SNP reports, alone and with a certificate table, from outside, with and without endorsements."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.snp import Product, verify_snp
from assay.evidence.snp.table import ARK, ASK, CRL, VCEK, VLEK, encode_table
from assay.evidence.verification import Expected
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.amd.scene import SnpEvidence, SnpScene

NOW = datetime(2026, 11, 21, tzinfo=UTC)
AMD = SimulatedAmd(b"\x0f" * 32, bits=2048)
FACTS = FactCache(max_entries=64)


@cache
def _evidence() -> tuple[SnpEvidence, ...]:
    kinds = ((Product.MILAN, 2, "vcek"), (Product.GENOA, 3, "vlek"), (Product.TURIN, 5, "vcek"))
    return tuple(
        SnpScene(AMD, product, version, "vcek" if kind == "vcek" else "vlek", NOW, bytes(64)).finish()
        for product, version, kind in kinds
    )


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return reports of three products and versions, bare and with their tables."""
    found = []
    for guid, evidence in zip((VCEK, VLEK, VCEK), _evidence(), strict=True):
        own = evidence.endorsements
        parts = {ARK: own.root, ASK: own.authority, guid: own.vek, CRL: own.crl}
        table = encode_table({name: part for name, part in parts.items() if part is not None})
        found += [evidence.report, evidence.report + table]
    return found


@cache
def _roots() -> Roots:
    roots = Roots.vendor()
    for number, evidence in enumerate(_evidence()):
        roots = roots.with_anchor(f"simulated {number}", evidence.root, vendor="amd")
    return roots


def target(data: bytes) -> None:
    """Verify a report with each set of endorsements; nothing may be raised, and everything can be shown."""
    for endorsements in (None, *(evidence.endorsements for evidence in _evidence())):
        result = verify_snp(
            data,
            endorsements=endorsements,
            roots=_roots(),
            now=NOW,
            binding=Expected(bytes(64)),
            facts=FACTS,
        )
        if result.authentic and data[:672] not in {evidence.report[:672] for evidence in _evidence()}:
            raise AssertionError("an authentic report that nobody signed")
        for check in result.ledger:
            if not check.reason.isprintable() or len(check.reason) > 400:
                raise AssertionError("a reason that a terminal would obey")
        dict(result.decoded)
        for region in result.unsigned:
            if not 0 <= region.start < max(region.end, 1) <= max(len(data), 1):
                raise AssertionError("an unsigned region outside the input")
