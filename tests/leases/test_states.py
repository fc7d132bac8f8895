from __future__ import annotations

from itertools import product

import pytest

from assay.errors import LeaseError
from assay.leases.states import TRANSITIONS, Care, Event, Keep, Reason, Standing, State, after, due, stays

LIVE = [state for state in State if state is not State.RELEASED]
# Written out again by hand: what each state allows. A transition added to the table by accident fails here.
ALLOWED = {
    State.INTENDED: "CREATED CREATE_REFUSED CREATE_AMBIGUOUS RELEASING",
    State.CREATED: "ADMITTED REFUSED UNVERIFIABLE RELEASING",
    State.ADMITTED: "ADMITTED SENT STARTED REFUSED UNVERIFIABLE KEPT RELEASING",
    State.RUNNING: "DETACHED ATTACHED EXITED RECEIPT_MISSING",
    State.EXITED: "RECEIPT RECEIPT_MISSING",
    State.FINISHED: "KEPT RELEASING",
    State.KEPT: "ADMITTED REFUSED UNVERIFIABLE RELEASING",
    State.RELEASING: "DESTROY_FAILED RELEASED",
    State.RELEASED: "",
}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_event_in_every_state(state, event):
    if event.name in ALLOWED[state].split():
        assert after(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(LeaseError) as caught:
            after(state, event)
        assert caught.value.code == "lease.state.transition"


def test_every_event_can_happen_and_every_state_can_be_released():
    assert {event for _, event in TRANSITIONS} == set(Event)
    for start in LIVE:
        reached, frontier = {start}, [start]
        while frontier:
            here = frontier.pop()
            for (state, _), following in TRANSITIONS.items():
                if state is here and following not in reached:
                    reached.add(following)
                    frontier.append(following)
        assert State.RELEASED in reached


def test_nothing_leaves_released():
    assert not [pair for pair in TRANSITIONS if pair[0] is State.RELEASED]


def test_a_machine_that_was_not_admitted_is_never_kept():
    for (state, event), following in TRANSITIONS.items():
        if following is State.KEPT and state is not State.KEPT:
            assert state in (State.ADMITTED, State.FINISHED)
            assert event is Event.KEPT
        if following is State.ADMITTED and state is not State.ADMITTED:
            assert event is Event.ADMITTED


def test_a_start_is_followed_by_exactly_one_receipt_entry():
    receipts = {Event.RECEIPT, Event.RECEIPT_MISSING}
    for (state, event), following in TRANSITIONS.items():
        if following is State.FINISHED:
            assert event in receipts
        if event in receipts:
            assert following is State.FINISHED
        if state in (State.RUNNING, State.EXITED):
            assert following in (State.RUNNING, State.EXITED, State.FINISHED)


def standings():
    for state, care, keep, succeeded, expired, idle, retry in product(
        State, Care, Keep, (None, True, False), *[(False, True)] * 3
    ):
        yield Standing(state, care, keep, succeeded, expired, idle, retry)


def test_what_is_due_is_always_possible_and_always_ends():
    for standing in standings():
        owed = due(standing)
        steps = 0
        state = standing.state
        while owed is not None:
            state = after(state, owed[0])
            owed = due(Standing(state, *[getattr(standing, name) for name in STANDING_FIELDS]))
            steps += 1
            assert steps < 5
        assert state in (State.RELEASED, State.KEPT, State.RUNNING, State.RELEASING)
        if state is State.RELEASING:
            assert not standing.retry
        if state is State.RUNNING:
            assert standing.care is Care.DETACHED
            assert not standing.expired
        if standing.expired and standing.retry:
            assert state is State.RELEASED


STANDING_FIELDS = ("care", "keep", "succeeded", "expired", "idle", "retry")


def test_keeping_is_about_the_workload():
    base = {"state": State.FINISHED, "care": Care.CLIENT, "expired": False, "idle": False, "retry": True}
    kept = {
        (keep, succeeded): stays(Standing(keep=keep, succeeded=succeeded, **base))
        for keep in Keep
        for succeeded in (None, True, False)
    }
    assert [pair for pair, stay in kept.items() if stay] == [
        (Keep.ON_FAILURE, None),
        (Keep.ON_FAILURE, False),
        (Keep.ALWAYS, None),
        (Keep.ALWAYS, True),
        (Keep.ALWAYS, False),
    ]
    assert not stays(Standing(keep=Keep.ALWAYS, succeeded=True, **{**base, "expired": True}))


@pytest.mark.parametrize("state", [State.INTENDED, State.CREATED, State.ADMITTED])
def test_an_abandoned_machine_is_released_even_with_keep(state):
    owed = due(Standing(state, Care.CLIENT, Keep.ALWAYS, None, expired=False, idle=False, retry=True))
    assert owed == (Event.RELEASING, Reason.ABANDONED)
