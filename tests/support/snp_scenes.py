"""Simulated SEV-SNP evidence with one defect each, signed all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.snp import Product, verify_snp
from assay.evidence.verification import Expected
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.amd.scene import SnpEvidence, SnpScene

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)
REPORT_DATA = bytes(range(64))
# One for each worker: its keys are made at their first use. Real ones have 4,096 bits, which take seconds.
AMD = SimulatedAmd(b"\x07" * 32, bits=2048)
STRANGER = SimulatedAmd(b"\x08" * 32, bits=2048)
KINDS = ((Product.MILAN, 3, "vcek"), (Product.GENOA, 5, "vlek"), (Product.TURIN, 5, "vcek"))

Spoil = Callable[[SnpScene], None]


def scene(product=Product.GENOA, version: int = 3, kind="vcek", *, at: datetime = NOW) -> SnpScene:
    """Return a scene in which nothing is wrong."""
    return SnpScene(AMD, product, version, kind, at, REPORT_DATA)


def roots_of(evidence: SnpEvidence) -> Roots:
    """Return the vendors' roots and the simulated one of this evidence."""
    return Roots.vendor().with_anchor("simulated AMD", evidence.root, vendor="amd")


def judge(
    evidence: SnpEvidence, *, binding=None, facts=None, roots=None, at=None, endorsements=..., report=None
):
    """Verify evidence; what is given replaces what belongs to it."""
    return verify_snp(
        evidence.report if report is None else report,
        endorsements=evidence.endorsements if endorsements is ... else endorsements,
        roots=roots or roots_of(evidence),
        now=at or evidence.at,
        binding=binding or Expected(evidence.report_data),
        facts=facts or FactCache(),
    )


def spoilt(spoil: Spoil, product=Product.GENOA, version: int = 3, kind="vcek"):
    """Verify a scene with one defect."""
    stage = scene(product, version, kind)
    spoil(stage)
    return judge(stage.finish())


def changed(data: bytes, at: int, value: bytes) -> bytes:
    """Return bytes with some of them overwritten."""
    return data[:at] + value + data[at + len(value) :]


def patch(stage: SnpScene, at: int, value: bytes) -> None:
    """Overwrite bytes of the signed report."""
    stage.after_report = lambda report: changed(report, at, value)


def lacking(stage: SnpScene, **fields) -> None:
    """Replace endorsements after they were signed."""
    stage.after_endorsements = lambda given: replace(given, **fields)
