"""Bounds of Nitro documents that a mutation run found untested."""

from __future__ import annotations

import pytest

from assay.evidence.ledger import Outcome
from assay.evidence.nitro import checks
from support.nitro_scenes import draft, judge


@pytest.mark.parametrize(
    ("milliseconds", "outcome"),
    [(1, Outcome.PASSED), (253_402_300_799_999, Outcome.PASSED), (253_402_300_800_000, Outcome.FAILED)],
)
def test_the_last_millisecond_of_the_calendar(milliseconds, outcome):
    found = draft()
    found.members["timestamp"] = milliseconds
    result = judge(found.encode())
    assert result.ledger[checks.NITRO_TIMESTAMP.id].outcome is outcome
