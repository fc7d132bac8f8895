"""Endorsements gathered for files of evidence, and what a person is told of it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from assay.cli.output import escape, style
from assay.cli.patience import said_when_slow
from assay.endorsements.bundle import Bundle
from assay.endorsements.cache import Cache
from assay.endorsements.fetching import FRESH_FOR, Fetcher, Origin
from assay.endorsements.gathering import gather
from assay.endorsements.http import Client, tls_context
from assay.endorsements.needs import by_kind
from assay.endorsements.record import Basis
from assay.endorsements.services import Services, proxy_address
from assay.endorsements.source import Access
from assay.endorsements.turns import Turns
from assay.errors import AssayError
from assay.evidence.facts import FactCache
from assay.evidence.roots import VENDOR_ROOTS
from assay.evidence.verification import Unchecked
from assay.verification.formats import format_of, nothing
from assay.verification.materials import Materials
from assay.verification.opening import open_bundle
from assay.verification.terms import Given, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from assay.endorsements.fetching import Found
    from assay.endorsements.gathering import Gathered
    from assay.endorsements.needs import Choices
    from assay.endorsements.record import Endorsement, Wanted
    from assay.endorsements.surroundings import Surroundings
    from assay.evidence.ledger import Check
    from assay.evidence.roots import Roots
    from assay.evidence.verification import EvidenceResult, Need
    from assay.verification.opened import Opened

_NOTHING_AT_HAND: Final = Materials({})
_UNSAID: Final = "the evidence does not say what it needs"


@dataclass(frozen=True, slots=True)
class Errand:
    """What was gathered for files of evidence.

    Attributes:
        outcomes: By file: what was gathered, or why the file is no evidence.
        now: When that was.
    """

    outcomes: tuple[tuple[Path, Gathered | AssayError], ...]
    now: datetime

    @property
    def complete(self) -> bool:
        """True when no file lacks anything that somebody publishes, as far as it says what it needs."""
        return all(
            not isinstance(outcome, AssayError)
            and not outcome.open
            and not outcome.unasked
            and _mute(outcome) is None
            for _, outcome in self.outcomes
        )

    def bundle(self) -> Bundle:
        """Return everything usable, once."""
        usable = {
            each.wanted: each
            for _, outcome in self.outcomes
            if not isinstance(outcome, AssayError)
            for each in outcome.usable
        }
        return Bundle.of(usable.values(), created=self.now)

    def lines(self) -> Iterator[str]:
        """Return what became of each file, line by line, escaped."""
        for path, outcome in self.outcomes:
            name = escape(str(path), limit=300)
            if isinstance(outcome, AssayError):
                yield f"{name}: {escape(outcome.message)} [{outcome.code}]"
                continue
            yield f"{name}: {outcome.result.platform}"
            for each in outcome.found:
                yield from _told(each, self.now)
            for need, error in outcome.unasked:
                yield f"  missing   {need.kind}: {escape(error.message)} [{error.code}]"
            for need in outcome.open:
                yield f"  missing   {_need(need)}"
            mute = _mute(outcome)
            if mute is not None:
                yield f"  missing   {_UNSAID}: {escape(mute.reason)} [{mute.code}]"
            elif not outcome.open and not outcome.unasked:
                yield "  nothing is missing that somebody publishes"

    def to_json(self) -> list[dict[str, Any]]:
        """Return the same, JSON-ready."""
        return [
            {"file": str(path), "error": outcome.to_json()}
            if isinstance(outcome, AssayError)
            else {
                "file": str(path),
                "platform": outcome.result.platform,
                "endorsements": [_found_json(each) for each in outcome.found],
                "missing": [
                    *({"kind": need.kind, "error": error.to_json()} for need, error in outcome.unasked),
                    *({"kind": need.kind, "reason": need.reason} for need in outcome.open),
                    *(
                        {"kind": "evidence", "reason": f"{_UNSAID}: {mute.reason}"}
                        for mute in (_mute(outcome),)
                        if mute is not None
                    ),
                ],
            }
            for path, outcome in self.outcomes
        ]


def run_errand(
    files: Iterable[tuple[Path, bytes]],
    *,
    state: Path,
    roots: Roots,
    choices: Choices,
    services: Iterable[str],
    authorities: bytes | None,
    proxy: str,
    fresh: bool,
    offline: bool,
    surroundings: Surroundings,
    materials: Materials = _NOTHING_AT_HAND,
) -> Errand:
    """Gather what files need.

    Args:
        files: Names and contents.
        state: The directory of the cache.
        roots: The roots in which signatures may end.
        choices: What the caller decides where evidence leaves it open.
        services: ``NAME=URL`` for services at another address.
        authorities: Certificate authorities of TLS, PEM; None for the public ones.
        proxy: ``http://HOST:PORT`` to go through; empty for none.
        fresh: Ask even for what is at hand and holds.
        offline: Ask nobody.
        surroundings: Time and randomness; what holds is what holds at their time.
        materials: What the caller has at hand, such as certificates that evidence does not bring itself. What
            it meets is not gathered.

    Raises:
        EndorsementError: ``endorsements.service.*``, ``endorsements.cache.*``,
            ``endorsements.http.authorities``.
    """
    cache = Cache(state, surroundings)
    access = Access(
        client=Client(
            tls_context(authorities),
            surroundings,
            Turns(surroundings, state / "hosts"),
            proxy=proxy and proxy_address(proxy),
        ),
        services=Services.published(services),
        roots=roots,
        authorities="" if authorities is None else hashlib.sha256(authorities).hexdigest(),
        surroundings=surroundings,
    )
    fetcher = Fetcher(
        sources=by_kind(),
        access=access,
        cache=cache,
        offline=offline,
        fresh_for=timedelta(0) if fresh else FRESH_FOR,
        watch=_watch,
    )
    now = surroundings.now()
    outcomes: list[tuple[Path, Gathered | AssayError]] = []
    for path, data in files:
        try:
            for opened in open_bundle(data).parts:
                facts = FactCache(max_entries=32)
                verify = partial(_verified, opened, materials=materials, roots=roots, now=now, facts=facts)
                outcomes.append((path, gather(verify, fetcher, choices)))
        except AssayError as error:
            outcomes.append((path, error))
    return Errand(tuple(outcomes), now)


def _mute(outcome: Gathered) -> Check | None:
    """Return the check at which evidence failed before it said what it needs; None where it said so."""
    result = outcome.result
    asked = outcome.found or outcome.open or outcome.unasked
    if asked or result.authentic or format_of(result.platform).endorse is nothing:
        return None
    return next(iter(result.ledger.failed()), None)


def _verified(
    opened: Opened,
    bundle: Bundle | None,
    *,
    materials: Materials,
    roots: Roots,
    now: datetime,
    facts: FactCache,
) -> EvidenceResult[Any]:
    """Verify evidence with what fits it of what is at hand, and of a bundle."""
    form = format_of(opened.platform)
    given = Given(roots, now, Unchecked("only its endorsements are looked for"), facts, Terms())
    first = form.verify(opened.evidence, None, given)
    if bundle is not None:
        materials = Materials({**bundle.files(), **materials.files}, (*materials.bundles, bundle))
    if not materials or not first.needs:
        return first
    fitting = form.endorse(materials, first, given)
    return first if fitting is None else form.verify(opened.evidence, fitting, given)


def _watch(wanted: Wanted) -> AbstractContextManager[None]:
    return said_when_slow(f"waiting for {escape(str(wanted))} ...")


def _told(found: Found, now: datetime) -> Iterator[str]:
    """Return what to say of one thing that was wanted."""
    about = escape(str(found.wanted))
    if found.endorsement is not None:
        where = "fetched" if found.origin is Origin.NETWORK else "at hand"
        mark = f"{'stale' if found.stale else where:<9}"
        shown = style(mark, "warn", sys.stdout) if found.stale else mark
        yield f"  {shown} {about}, {_until(found.endorsement, now)}"
    if found.error is not None:
        mark = "absent" if found.error.code == "endorsements.offline.missing" else "failed"
        yield f"  {mark:<9} {about}: {escape(found.error.message)} [{found.error.code}]"


def _need(need: Need) -> str:
    named = ", ".join(f"{name} {escape(value, limit=24)}" for name, value in need.key.items() if value)
    return f"{need.kind} ({named}): {escape(need.reason)}" if named else f"{need.kind}: {escape(need.reason)}"


def _found_json(found: Found) -> dict[str, Any]:
    return {
        "kind": found.wanted.kind,
        "key": dict(found.wanted.key),
        "origin": found.origin.value,
        "stale": found.stale,
        "endorsement": None if found.endorsement is None else found.endorsement.record(),
        "error": None if found.error is None else found.error.to_json(),
    }


def row(endorsement: Endorsement, now: datetime) -> tuple[str, str, str]:
    """Return what a list says of an endorsement: about what, until when, on what it rests."""
    return str(endorsement.wanted), _until(endorsement, now), _rests_on(endorsement)


def _until(endorsement: Endorsement, now: datetime) -> str:
    end = endorsement.window.end
    text = f"{end.astimezone(UTC):%Y-%m-%d %H:%M}"
    if endorsement.stale(now):
        return f"{text} (expired)" if now > end else f"from {endorsement.window.start:%Y-%m-%d} (not yet)"
    days = (end - now).days
    return f"{text} ({days} days)" if days != 1 else f"{text} (1 day)"


def _rests_on(endorsement: Endorsement) -> str:
    """Return the root, by name where it is pinned; what no signature covers is called by its host."""
    if endorsement.basis is Basis.TLS:
        return f"TLS of {endorsement.anchor.partition('#')[0]}"
    pinned = next(
        (root.name for mark, root in VENDOR_ROOTS.items() if mark.hex() == endorsement.anchor), None
    )
    return pinned or f"simulated root {endorsement.anchor[:16]}"
