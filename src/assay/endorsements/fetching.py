"""From what is wanted to what is at hand: the cache first, then the publisher, once for all who ask."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from assay.endorsements.record import Basis, Endorsement, whole_seconds
from assay.endorsements.source import older, stale
from assay.errors import AssayError, EndorsementError
from assay.evidence.facts import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from assay.endorsements.cache import Cache
    from assay.endorsements.record import Wanted
    from assay.endorsements.source import Access, Fetched, Source

FRESH_FOR: Final = timedelta(days=1)
"""How long an endorsement that still holds is used without asking again: revocations appear every day."""
AHEAD: Final = timedelta(seconds=5)
"""How far a publisher's clock may be ahead of ours: an answer that begins to hold by then is waited for."""


class Origin(StrEnum):
    """Where an endorsement came from."""

    NETWORK = "network"
    CACHE = "cache"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one thing that was wanted.

    Attributes:
        wanted: The thing.
        endorsement: What is at hand; None when there is nothing.
        origin: Where it came from.
        stale: Whether it does not hold now; it is then for reading, and verification will refuse it.
        error: Why the publisher's answer could not be had or used; None when it was not asked, or answered.
    """

    wanted: Wanted
    endorsement: Endorsement | None
    origin: Origin
    stale: bool
    error: EndorsementError | None

    @property
    def usable(self) -> bool:
        """True when there is an endorsement that holds now."""
        return self.endorsement is not None and not self.stale


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Gets endorsements.

    Attributes:
        sources: By kind.
        access: What they may use.
        cache: Where verified answers are kept.
        offline: Ask nobody.
        fresh_for: How old an entry may be that is used without asking; zero asks for each thing once.
        watch: Entered around each request to a publisher, with what is asked for: for progress.
    """

    sources: Mapping[str, Source]
    access: Access
    cache: Cache
    offline: bool
    fresh_for: timedelta
    watch: Callable[[Wanted], AbstractContextManager[None]]
    _answered: set[Wanted] = field(default_factory=set, init=False, repr=False, compare=False)

    def get_all(self, wanted: Iterable[Wanted]) -> list[Found]:
        """Return what became of each thing and of what it rests on, each once, in the order of wanting."""
        found: dict[Wanted, Found] = {}
        waiting = deque(wanted)
        while waiting:
            each = waiting.popleft()
            if each in found:
                continue
            found[each] = self.get(each)
            endorsement = found[each].endorsement
            if endorsement is not None:
                with suppress(EndorsementError):
                    waiting.extend(self.sources[each.kind].rests_on(each, endorsement.parts))
        return list(found.values())

    def get(self, wanted: Wanted) -> Found:
        """Return what became of one thing; failures of the publisher stand in the result."""
        source = self.sources.get(wanted.kind)
        if source is None:
            error = EndorsementError(
                "endorsements.kind.unknown", f"Nobody publishes {wanted.kind} that is known."
            )
            return Found(wanted, None, Origin.NOWHERE, stale=False, error=error)
        held = self._held(wanted, source)
        if held is not None and self._fresh(held):
            return self._from_cache(wanted, held, None)
        if self.offline:
            return self._from_cache(wanted, held, None if held else _not_at_hand(wanted))
        try:
            with self.cache.flight(wanted):
                held = self._held(wanted, source) or held
                if held is not None and self._fresh(held):
                    return self._from_cache(wanted, held, None)
                return self._settled(self._fetch(wanted, source), held, source)
        except EndorsementError as error:
            return self._from_cache(wanted, held, error)

    def _settled(self, made: Endorsement, held: Endorsement | None, source: Source) -> Found:
        """Keep what was fetched, or what is at hand where that is the newer one."""
        if held is None or not self._older(made, held, source):
            return self._stored(made)
        self._answered.add(made.wanted)
        return self._from_cache(made.wanted, held, _kept(held, self.access.surroundings.now()))

    def _stored(self, made: Endorsement) -> Found:
        """Keep what was fetched; a full disk takes away the copy, not the endorsement."""
        self._answered.add(made.wanted)
        error: EndorsementError | None = None
        try:
            self.cache.put(made)
        except EndorsementError as failed:
            error = failed
        return Found(made.wanted, made, Origin.NETWORK, stale=False, error=error)

    def also(self, wanted: Wanted) -> Endorsement:
        """Return an endorsement on which another one rests.

        Raises:
            EndorsementError: Why there is none that holds.
        """
        found = self.get(wanted)
        if found.endorsement is None or found.stale:
            raise found.error or _not_at_hand(wanted)
        return found.endorsement

    def _fetch(self, wanted: Wanted, source: Source) -> Endorsement:
        """Ask the publisher and verify its answer."""
        with self.watch(wanted):
            answer = source.fetch(wanted, self.access)
        world = self.access.surroundings
        try:
            return self._judged(wanted, source, answer, world.now())
        except EndorsementError as error:
            if error.code != "endorsements.answer.stale":
                raise
        # What is signed when it is asked for is of the future to a clock that is a little behind.
        self._judged(wanted, source, answer, world.now() + AHEAD)
        world.sleep(AHEAD.total_seconds())
        return self._judged(wanted, source, answer, world.now())

    def _judged(self, wanted: Wanted, source: Source, answer: Fetched, now: datetime) -> Endorsement:
        """Verify an answer as of a time."""
        try:
            judged = source.judge(wanted, answer.parts, replace(self.access, also=self.also), now)
        except EndorsementError:
            raise
        except AssayError as error:
            raise EndorsementError(
                "endorsements.answer.malformed", f"The answer cannot be read: {error.message}"
            ) from None
        window = Window(whole_seconds(judged.window.start), whole_seconds(judged.window.end))
        if now not in window:
            raise stale(f"The answer holds from {window.start} to {window.end}.")
        return Endorsement(
            wanted=wanted,
            parts=answer.parts,
            window=window,
            fetched=whole_seconds(now),
            sources=answer.sources,
            basis=judged.basis,
            anchor=judged.anchor,
        )

    def _held(self, wanted: Wanted, source: Source) -> Endorsement | None:
        """Return the entry of the cache, if it was verified under something that this caller trusts."""
        found = self.cache.find(wanted)
        try:
            accepted = found is not None and found.anchor in source.anchors(wanted, self.access)
        except EndorsementError:
            return None
        return found if accepted else None

    def _older(self, made: Endorsement, held: Endorsement, source: Source) -> bool:
        """Tell whether an answer is older than what is at hand, which has not ended and has the same root.

        Whoever can answer for a publisher could otherwise take away what it published since: patches that
        count, keys that were revoked.
        """
        now = self.access.surroundings.now()
        # What a publisher signed is not of the future: it is this clock that went back. A key set bears the
        # time of our own clock when it was fetched.
        early = now < held.window.start and held.basis is Basis.SIGNATURE
        if (held.stale(now) and not early) or held.anchor != made.anchor:
            return False
        try:
            pairs = zip(source.newness(made), source.newness(held), strict=True)
            return any(its < ours for its, ours in pairs)
        except AssayError:
            return False

    def _fresh(self, held: Endorsement) -> bool:
        now = self.access.surroundings.now()
        young = held.wanted in self._answered or timedelta(0) <= now - held.fetched < self.fresh_for
        return young and not held.stale(now)

    def _from_cache(self, wanted: Wanted, held: Endorsement | None, error: EndorsementError | None) -> Found:
        if held is None:
            return Found(wanted, None, Origin.NOWHERE, stale=False, error=error)
        stale_now = held.stale(self.access.surroundings.now())
        return Found(wanted, held, Origin.CACHE, stale=stale_now, error=error)


def _kept(held: Endorsement, now: datetime) -> EndorsementError:
    what = f"The answer is older than what was fetched on {held.fetched:%Y-%m-%d}, which"
    if held.stale(now):
        return older(f"{what} was kept and holds only from {held.window.start:%Y-%m-%d} on: set the clock.")
    return older(f"{what} holds and was kept.")


def _not_at_hand(wanted: Wanted) -> EndorsementError:
    return EndorsementError(
        "endorsements.offline.missing",
        f"{wanted.kind} is not at hand, and nobody may be asked.",
        action="Fetch it on a machine with a network, or bring a bundle.",
    )
