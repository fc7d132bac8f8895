"""Both keys that relax a policy are told as such: what it admits, and what another one no longer does."""

from __future__ import annotations

import pytest

from assay.appraisal import Policy
from assay.appraisal.explanation import Difference, differences, explain
from assay.appraisal.vocabulary import WEAKNESSES

DEBUG = Difference("accept: debug", None, "admitted")
MILAN = Difference("accept_forgeable: milan", None, "admitted")


def policy(accept: str = "", forgeable: str = "") -> Policy:
    lines = ["version = 1", 'platforms = ["snp"]', accept, forgeable]
    return Policy.load("\n".join(lines).encode(), name="test")


LAX = policy('accept = ["unjudged-tcb", "debug"]', 'accept_forgeable = ["milan"]')
PLAIN = policy('accept = ["unjudged-tcb"]')


def test_hardware_that_anybody_can_forge_is_among_what_is_admitted() -> None:
    assert explain(LAX).admits == tuple(
        f"{word}: {WEAKNESSES[word].meaning}" for word in ("unjudged-tcb", "debug", "milan")
    )
    assert explain(PLAIN).admits == (f"unjudged-tcb: {WEAKNESSES['unjudged-tcb'].meaning}",)


def test_to_admit_more_is_laxer_and_to_admit_less_is_stricter() -> None:
    """Regression: a policy that began to admit Milan was shown as the stricter one."""
    more = differences(PLAIN.document, LAX.document)
    assert more == (DEBUG, MILAN)
    assert [found.effect for found in more] == ["laxer", "laxer"]
    less = differences(LAX.document, PLAIN.document)
    assert [found.effect for found in less] == ["stricter", "stricter"]


@pytest.mark.parametrize("path", ["accepted: x", "acceptance", "accepts", "tcb.accepted_advisories"])
def test_other_keys_only_refuse_more(path: str) -> None:
    assert Difference(path, None, "x").effect == "stricter"
    assert Difference(path, "x", None).effect == "laxer"
