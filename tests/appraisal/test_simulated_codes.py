"""The check that refuses what no vendor's root vouches for has one name, and a code for each reason."""

from __future__ import annotations

import pytest

from assay.appraisal import Context, Policy
from assay.evidence.verification import Anchor
from support.appraisal_evidence import authentic, judged
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
    context = Context(installation_roots=frozenset(root.fingerprint for root in roots))
    result = judged(authentic("maa", MAA, anchor), by, context=context)
    assert result.ledger["policy.simulated"].code == code
    word = "published-keys" if anchor is PUBLISHED else "simulated"
    assert (word in result.admitted) is (code == "" and anchor is not VENDOR)
