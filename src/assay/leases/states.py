"""The life of a lease as data: states, events, and the one table that says which event may happen where.

    INTENDED ──created──▶ CREATED ──admitted──▶ ADMITTED ──started──▶ RUNNING ──exited──▶ EXITED
        │                    │                  ▲   │                    │                  │ receipt
        │ abandoned          │ refused          │   │ refused            │ receipt missing  │ or missing
        │ create refused     │ released         │   │ kept, released     ▼                  ▼
        ▼                    ▼        admitted  │   ▼                 FINISHED ◀────────────┘
    RELEASING ◀──────────────────────────────── KEPT ◀──── kept ─────────┤
        │ destroyed                                                      │ released
        ▼                                                                ▼
    RELEASED                                                          RELEASING

A running workload leaves through FINISHED alone, so each start is followed by exactly one receipt entry,
issued or missing. A machine that was not admitted can only be released.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from assay.errors import LeaseError


class State(StrEnum):
    """Where a lease stands; each value is durable before the effect that it announces."""

    INTENDED = "intended"
    CREATED = "created"
    ADMITTED = "admitted"
    RUNNING = "running"
    EXITED = "exited"
    FINISHED = "finished"
    KEPT = "kept"
    RELEASING = "releasing"
    RELEASED = "released"


class Event(StrEnum):
    """What can happen to a lease; the value is the kind of the log entry that records it."""

    CREATED = "machine.created"
    CREATE_REFUSED = "machine.refused"
    CREATE_AMBIGUOUS = "machine.ambiguous"
    ADMITTED = "evidence.admitted"
    REFUSED = "evidence.refused"
    UNVERIFIABLE = "evidence.unverifiable"
    SENT = "bundle.sent"
    STARTED = "evidence.started"
    DETACHED = "session.detached"
    ATTACHED = "session.attached"
    EXITED = "workload.exited"
    RECEIPT = "receipt.issued"
    RECEIPT_MISSING = "receipt.missing"
    KEPT = "lease.kept"
    RELEASING = "lease.releasing"
    DESTROY_FAILED = "destroy.failed"
    RELEASED = "lease.released"


_S, _E = State, Event

TRANSITIONS: Final = MappingProxyType(
    {
        (_S.INTENDED, _E.CREATED): _S.CREATED,
        (_S.INTENDED, _E.CREATE_REFUSED): _S.RELEASING,
        (_S.INTENDED, _E.CREATE_AMBIGUOUS): _S.RELEASING,
        (_S.INTENDED, _E.RELEASING): _S.RELEASING,
        (_S.CREATED, _E.ADMITTED): _S.ADMITTED,
        (_S.CREATED, _E.REFUSED): _S.RELEASING,
        (_S.CREATED, _E.UNVERIFIABLE): _S.RELEASING,
        (_S.CREATED, _E.RELEASING): _S.RELEASING,
        (_S.ADMITTED, _E.ADMITTED): _S.ADMITTED,
        (_S.ADMITTED, _E.SENT): _S.ADMITTED,
        (_S.ADMITTED, _E.STARTED): _S.RUNNING,
        (_S.ADMITTED, _E.REFUSED): _S.RELEASING,
        (_S.ADMITTED, _E.UNVERIFIABLE): _S.RELEASING,
        (_S.ADMITTED, _E.KEPT): _S.KEPT,
        (_S.ADMITTED, _E.RELEASING): _S.RELEASING,
        (_S.RUNNING, _E.DETACHED): _S.RUNNING,
        (_S.RUNNING, _E.ATTACHED): _S.RUNNING,
        (_S.RUNNING, _E.EXITED): _S.EXITED,
        (_S.RUNNING, _E.RECEIPT_MISSING): _S.FINISHED,
        (_S.EXITED, _E.RECEIPT): _S.FINISHED,
        (_S.EXITED, _E.RECEIPT_MISSING): _S.FINISHED,
        (_S.FINISHED, _E.KEPT): _S.KEPT,
        (_S.FINISHED, _E.RELEASING): _S.RELEASING,
        (_S.KEPT, _E.ADMITTED): _S.ADMITTED,
        (_S.KEPT, _E.REFUSED): _S.RELEASING,
        (_S.KEPT, _E.UNVERIFIABLE): _S.RELEASING,
        (_S.KEPT, _E.RELEASING): _S.RELEASING,
        (_S.RELEASING, _E.DESTROY_FAILED): _S.RELEASING,
        (_S.RELEASING, _E.RELEASED): _S.RELEASED,
    }
)


class Care(StrEnum):
    """Who cares for a lease while no command holds its lock."""

    CLIENT = "client"
    DETACHED = "detached"


class Keep(StrEnum):
    """Whether the machine outlives the workload."""

    NEVER = "never"
    ON_FAILURE = "on_failure"
    ALWAYS = "always"


class Reason(StrEnum):
    """Why a lease is released."""

    DONE = "done"
    ASKED = "asked"
    REFUSED = "refused"
    EXPIRED = "expired"
    IDLE = "idle"
    ABANDONED = "abandoned"
    FAILED = "failed"
    VANISHED = "vanished"
    NOT_CREATED = "not_created"


def after(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        LeaseError: ``lease.state.transition`` when the event cannot happen in that state.
    """
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise LeaseError(
            "lease.state.transition",
            f"A lease that is {state.value} cannot take {event.value}.",
            state=state.value,
            event=event.value,
        )
    return following


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides what is due for a lease that no living command holds.

    Attributes:
        state: Where it stands.
        care: Who cares for it.
        keep: Whether the machine outlives the workload.
        succeeded: Whether the last workload ended with code 0; None when that is not known.
        expired: Its time to live is over.
        idle: Its idle limit is over.
        retry: A release that failed may be tried again now.
    """

    state: State
    care: Care
    keep: Keep
    succeeded: bool | None
    expired: bool
    idle: bool
    retry: bool


def stays(standing: Standing) -> bool:
    """Return whether a finished workload leaves its machine standing."""
    if standing.expired or standing.keep is Keep.NEVER:
        return False
    return standing.keep is Keep.ALWAYS or standing.succeeded is not True


def due(standing: Standing) -> tuple[Event, Reason] | None:
    """Return the next event that recovery owes a lease, with its reason; None when it owes nothing.

    ``Event.RELEASED`` stands for the attempt to destroy the machine, which may fail.
    """
    event = _event(standing)
    if event is None:
        return None
    if standing.expired:
        return event, Reason.EXPIRED
    return event, Reason.IDLE if standing.state is State.KEPT else Reason.ABANDONED


_OWED: Final = MappingProxyType(
    {
        State.RELEASING: Event.RELEASED,
        State.RUNNING: Event.RECEIPT_MISSING,
        State.EXITED: Event.RECEIPT_MISSING,
    }
)


def _event(standing: Standing) -> Event | None:
    waits = {
        State.RELEASED: True,
        State.RELEASING: not standing.retry,
        State.KEPT: not (standing.expired or standing.idle),
        State.RUNNING: standing.care is Care.DETACHED and not standing.expired,
    }
    if waits.get(standing.state, False):
        return None
    if standing.state is State.FINISHED and stays(standing):
        return Event.KEPT
    return _OWED.get(standing.state, Event.RELEASING)
