"""The whole text of a draft for each platform, and for what its evidence may leave out.

``REWRITE_DRAFTS=1`` writes them anew, for a person to compare.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assay.appraisal import Policy, appraise
from assay.appraisal.draft import draft
from assay.appraisal.drafted import DRAFTS
from assay.appraisal.rules.subject import Context
from assay.errors import EvidenceError
from assay.evidence.ledger import Ledger
from assay.evidence.snp.products import Product
from assay.evidence.verification import Anchor, EvidenceResult
from support import appraisal_nitro as nitro
from support import appraisal_nvidia as nvidia
from support.appraisal_evidence import BINDING, NOW, SIGNATURE
from support.appraisal_ima import measured
from support.appraisal_snp import SNP, snp
from support.appraisal_tokens import GOOD as TOKENS
from support.appraisal_tokens import MAA, PUBLISHED, SPACE, TRUST, changed
from support.appraisal_vtpm import GOOD as VTPM
from support.appraisal_vtpm import QUOTE, TPM

GOLDEN = Path(__file__).parent / "drafts"
VENDOR = Anchor(bytes(32), "a vendor's root", simulated=False)
NITRO = {0: b"\xa0" * 48, 1: b"\xa1" * 48, 3: bytes(48), 4: b"\xa4" * 48, 7: b"\xa7" * 48, 9: b"\xa9" * 48}
FILES = (("/usr/bin/agent", b"the agent"), ("/usr/bin/agent", b"a newer agent"), ("/etc/x", b"x"))


def changed_quote(pcrs: dict[int, bytes]) -> Any:
    return changed(QUOTE, pcrs=pcrs, selection=tuple(pcrs))


def changed_tpm(**how: Any) -> Any:
    return changed(TPM, **how)


WHOLE: dict[str, tuple[str, Any]] = {
    **{platform: (platform, claims) for platform, claims in (VTPM | TOKENS).items()},
    "snp": ("snp", SNP),
    "nitro": ("nitro", nitro.CLAIMS),
    "nvidia-gpu": ("nvidia-gpu", nvidia.CLAIMS),
    "snp-milan": (
        "snp",
        snp(product=Product.MILAN, forgeable=True, signing_key="vlek", vmpl=2, id_key_digest=bytes(48)),
    ),
    "nitro-tpm": ("nitro-tpm", replace(nitro.CLAIMS, module_id="i-0123456789abcdef0-tpm0123456789abcdef")),
    "nitro-open": (
        "nitro",
        replace(nitro.CLAIMS, pcrs=NITRO),
    ),
    "vtpm-bare": ("gcp-vtpm", replace(VTPM["gcp-vtpm"], tpm=changed_quote({4: b"\4" * 32, 8: bytes(32)}))),
    "tpm-bare": ("tpm", changed_tpm(ima=None)),
    "tpm-two-builds": ("tpm", changed_tpm(ima=measured(*FILES))),
    "tpm-unlisted": ("tpm", changed_tpm(ima=measured(*FILES, violated=("/etc/x", "/var/y")))),
    "confidential-space-open": (
        "confidential-space",
        changed(SPACE, gce=changed(SPACE.gce, project_id=""), service_accounts=()),
    ),
    "maa-open": ("maa", changed(MAA, measurement=None, policy_hash="")),
    "trust-authority-sgx": (
        "trust-authority",
        changed(TRUST, attester="SGX", measurements={"mrenclave": b"e" * 32, "mrsigner": b"s" * 32}),
    ),
    "nvidia-switch": ("nvidia-gpu", changed(nvidia.CLAIMS, devices=(nvidia.SWITCH,))),
}


def evidence(platform: str, claims: Any) -> EvidenceResult[Any]:
    anchor = PUBLISHED if platform in TOKENS else VENDOR
    checks = Ledger((SIGNATURE.passed, BINDING.passed))
    return EvidenceResult(platform, checks, BINDING.id, anchor, bytes(32), (), (), {}, claims)


@pytest.mark.parametrize("name", WHOLE)
def test_drafts_read_as_they_always_did(name: str) -> None:
    made = evidence(*WHOLE[name])
    text = draft(made, name="a draft", source="a test", now=NOW, context=Context(), workload_log=None)
    path = GOLDEN / f"{name}.toml"
    if os.environ.get("REWRITE_DRAFTS"):
        path.write_text(text)
    assert text == path.read_text()
    by = Policy.load(text.encode(), name="draft")
    result = appraise(made, by, now=NOW, references={}, context=Context(), workload_log=None)
    assert result.accepted, [check.code for check in result.ledger.failed()]


def test_each_platform_has_a_draft_that_is_compared() -> None:
    assert {platform for platform, _ in WHOLE.values()} == set(DRAFTS)


def test_a_draft_admits_no_weakness_that_one_of_its_lines_removes() -> None:
    """Regression: drafts stated smallest TCB versions and admitted unjudged ones as well."""
    made = evidence("snp", SNP)
    text = draft(made, name="d", source="x", now=NOW, context=Context(), workload_log=None)
    assert "[snp.min_tcb.genoa]" in text
    assert "accept = []" in text


def test_evidence_that_is_not_authentic_has_no_draft() -> None:
    made = replace(evidence("snp", SNP), anchor=None)
    with pytest.raises(EvidenceError) as found:
        draft(made, name="d", source="x", now=NOW, context=Context(), workload_log=None)
    assert found.value.code == "evidence.claims.unauthenticated"
