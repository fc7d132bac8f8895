"""The phases of a guest, and what leads from one to the next: data, with no other way through."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from assay.errors import GuestError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Phase(StrEnum):
    """Where a guest is in its life."""

    WAITING = "waiting"
    BUNDLE = "bundle"
    STARTED = "started"
    RUNNING = "running"
    EXITED = "exited"
    RELEASED = "released"


class Event(StrEnum):
    """What happens to a guest."""

    BUNDLE_BEGUN = "bundle_begun"
    START_PROVEN = "start_proven"
    LAUNCHED = "launched"
    ENDED = "ended"
    ABANDONED = "abandoned"
    RELEASED = "released"


TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    (Phase.WAITING, Event.BUNDLE_BEGUN): Phase.BUNDLE,
    (Phase.WAITING, Event.RELEASED): Phase.RELEASED,
    (Phase.BUNDLE, Event.START_PROVEN): Phase.STARTED,
    (Phase.BUNDLE, Event.ABANDONED): Phase.WAITING,
    (Phase.BUNDLE, Event.RELEASED): Phase.RELEASED,
    (Phase.STARTED, Event.LAUNCHED): Phase.RUNNING,
    (Phase.STARTED, Event.ABANDONED): Phase.WAITING,
    (Phase.STARTED, Event.RELEASED): Phase.RELEASED,
    (Phase.RUNNING, Event.ENDED): Phase.EXITED,
    (Phase.RUNNING, Event.RELEASED): Phase.RELEASED,
    (Phase.EXITED, Event.BUNDLE_BEGUN): Phase.BUNDLE,
    (Phase.EXITED, Event.RELEASED): Phase.RELEASED,
}


def after(phase: Phase, event: Event) -> Phase:
    """Return the phase that ``event`` leads to.

    Raises:
        GuestError: ``guest.phase.refused`` when it has no place in ``phase``.
    """
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise GuestError(
            "guest.phase.refused", f"The guest is in the phase '{phase}', where this cannot be done."
        ) from None
