"""What a Relying Party that is not simulated makes of simulated evidence."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from assay.appraisal import AttestationResult, Context, Policy, appraise
from assay.evidence.dcap import verify_quote
from assay.evidence.eventlog.ccel import verify_ccel
from assay.evidence.facts import FactCache
from assay.evidence.roots import Roots
from assay.evidence.verification import Expected
from assay.simulator.scene import ENCLAVE, FIRMWARE

if TYPE_CHECKING:
    from assay.simulator.scene import Evidence

POLICY = b"""
version = 1
name = "strict-but-simulated"
platforms = ["tdx", "sgx"]
simulated = "only"
accept = ["simulated"]

[tdx]
mr_td = "reference"

[sgx]
mr_enclave = "reference"
"""


def judge(evidence: Evidence, anchor: str) -> AttestationResult:
    """Verify and appraise evidence under its root."""
    result = verify_quote(
        evidence.quote,
        platform=evidence.platform,
        collateral=evidence.collateral,
        roots=Roots.vendor().with_anchor(anchor, evidence.root),
        now=evidence.at,
        binding=Expected(evidence.report_data),
        facts=FactCache(max_entries=16),
    )
    log = None
    if evidence.event_log and result.authentic:
        log = verify_ccel(result, evidence.event_log, registers=frozenset({0, 1, 2}))
    return appraise(
        result,
        Policy.load(POLICY, name="strict-but-simulated"),
        now=evidence.at,
        references={"mr_td": frozenset({FIRMWARE}), "mr_enclave": frozenset({ENCLAVE})},
        context=Context(
            isolation="bubblewrap", installation_roots=frozenset({hashlib.sha256(evidence.root).digest()})
        ),
        workload_log=log,
    )
