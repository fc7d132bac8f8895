from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import GuestError
from assay.guest.phases import TRANSITIONS, Event, Phase, after

TABLE = """
              bundle_begun  start_proven  launched  ended   abandoned  released
    waiting   bundle        -             -         -       -          released
    bundle    -             started       -         -       waiting    released
    started   -             -             running   -       waiting    released
    running   -             -             -         exited  -          released
    exited    bundle        -             -         -       -          released
    released  -             -             -         -       -          -
"""


def test_every_phase_and_event_does_what_the_table_says():
    header, *rows = [line.split() for line in TABLE.strip().splitlines()]
    assert header == [event.value for event in Event]
    assert [row[0] for row in rows] == [phase.value for phase in Phase]
    for (phase, *cells), event in ((row, event) for row in rows for event in Event):
        to = cells[header.index(event)]
        if to == "-":
            with pytest.raises(GuestError) as found:
                after(Phase(phase), event)
            assert found.value.code == "guest.phase.refused"
        else:
            assert after(Phase(phase), event) is Phase(to)


def test_nothing_stands_in_the_table_twice_or_outside_of_it():
    assert set(TRANSITIONS) <= set(product(Phase, Event))


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_nothing_runs_that_was_not_proven_and_nothing_follows_a_release(events):
    phase, proven = Phase.WAITING, False
    for event in events:
        try:
            phase_after = after(phase, event)
        except GuestError:
            continue
        assert phase is not Phase.RELEASED
        if event is Event.BUNDLE_BEGUN:
            proven = False
        if event is Event.START_PROVEN:
            proven = True
        if phase_after is Phase.RUNNING:
            assert proven
            assert event is Event.LAUNCHED
        phase = phase_after
