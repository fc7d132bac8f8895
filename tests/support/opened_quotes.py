"""Simulated quotes that some form wraps, and what is made of them once they are opened."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from assay import Expected, Policy, verify
from assay.evidence.roots import Roots
from assay.verification.materials import Materials
from support.dcap_scenes import INTEL, NOW, REPORT_DATA, scene

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.verification.opened import Opened

POLICY = Policy.load(b'version = 1\nplatforms = ["sgx", "tdx"]\n', name="t")
SIMULATED = Roots.vendor().with_anchor("simulated", INTEL.root_der)


@cache
def made(platform: str) -> Any:
    """Return a finished scene of a platform: its quote with the session's report data, and its collateral."""
    return scene(platform, {"sgx": 3, "tdx": 4}[platform]).finish()


def judged(
    found: Opened,
    files: Mapping[str, bytes] | None = None,
    *,
    binding: Any = None,
    roots: Roots = SIMULATED,
    now: Any = NOW,
) -> Any:
    """Verify an opened quote with what came beside it, and with files of the caller's."""
    return verify(
        found.evidence,
        policy=POLICY,
        binding=binding or Expected(REPORT_DATA),
        roots=roots,
        now=now,
        materials=Materials.of(files or {}).with_evidence(found.beside),
        platform=found.platform,
    ).evidence
