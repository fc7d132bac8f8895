"""The check that refuses what no vendor's root vouches for has one name, and a code for each reason."""

from __future__ import annotations

import pytest

from assay.appraisal import Context, Policy, appraise
from assay.evidence.ledger import Ledger
from assay.evidence.verification import Anchor, EvidenceResult
from support.appraisal_evidence import BINDING, NOW, SIGNATURE
from support.appraisal_tokens import MAA, PUBLISHED

OWN = Anchor(b"\xaa" * 32, "a root of the caller's", simulated=True)
VENDOR = Anchor(bytes(32), "a vendor's root", simulated=False)
ONLY = 'simulated = "only"\naccept = ["simulated"]'
PUBLISHED_KEYS = 'accept = ["published-keys"]'


@pytest.mark.parametrize(
    ("anchor", "said", "roots", "code"),
    [
        (VENDOR, "", (), ""),
        (PUBLISHED, PUBLISHED_KEYS, (), ""),
        (PUBLISHED, "", (), "policy.simulated.published_keys"),
        (OWN, "", (OWN,), "policy.simulated.refused"),
        (OWN, PUBLISHED_KEYS, (OWN,), "policy.simulated.refused"),
        (OWN, ONLY, (OWN,), ""),
        (OWN, ONLY, (), "policy.simulated.no_root"),
        (OWN, ONLY, (VENDOR,), "policy.simulated.foreign_root"),
        (VENDOR, ONLY, (OWN,), "policy.simulated.hardware"),
    ],
)
def test_why_an_anchor_is_refused(anchor: Anchor, said: str, roots: tuple[Anchor, ...], code: str) -> None:
    by = Policy.load(f'version = 1\nplatforms = ["maa"]\n{said}\n'.encode(), name="test")
    checks = Ledger((SIGNATURE.passed, BINDING.passed))
    made = EvidenceResult("maa", checks, BINDING.id, anchor, bytes(32), (), (), {}, MAA)
    context = Context(installation_roots=frozenset(root.fingerprint for root in roots))
    result = appraise(made, by, now=NOW, references={}, context=context, workload_log=None)
    assert result.ledger["policy.simulated"].code == code
    word = "published-keys" if anchor is PUBLISHED else "simulated"
    assert (word in result.admitted) is (code == "" and anchor is not VENDOR)
