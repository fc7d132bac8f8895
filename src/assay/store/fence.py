"""Fencing: who may act on a thing, on the database's clock.

The pattern of a reconcile loop: ``acquire`` in one transaction; work outside of any; ``heartbeat`` now and
then; ``guard`` first in the transaction that records the outcome. A hold whose time ran out may be taken
over; the former holder then fails in ``guard``, because each acquisition draws a new token: safety rests on
the token, and on the clock only how soon a dead holder is replaced. A clock that was set back makes a
deadline lie further ahead than any hold may last; such a hold counts as run out.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.store.database import Reader, Transaction

LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Hold:
    """The right to act on one thing.

    Attributes:
        name: What is held: ``lease/3f2a``.
        holder: Who holds it, for people: ``pid 4711``.
        token: Drawn at this acquisition; nobody else's.
        generation: How often this thing was acquired, this time included.
        until: When it runs out, seconds on the database's clock.
    """

    name: str
    holder: str
    token: str = field(repr=False)
    generation: int
    until: float


def acquire(
    tx: Transaction,
    name: str,
    *,
    holder: str,
    seconds: float,
    draw: Callable[[], str] = lambda: secrets.token_hex(16),
) -> Hold | None:
    """Take the hold on ``name`` for ``seconds`` (at most an hour), or return None while another has it."""
    until = _deadline(tx, seconds)
    row = tx.one("SELECT token, generation, until FROM fences WHERE name = ?", (name,))
    if row is not None and row["token"] is not None and _runs(tx, row["until"]):
        return None
    hold = Hold(name, holder, draw(), 1 if row is None else row["generation"] + 1, until)
    tx.execute(
        "INSERT INTO fences (name, token, holder, generation, until) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET token = excluded.token, holder = excluded.holder,"
        " generation = excluded.generation, until = excluded.until",
        (hold.name, hold.token, hold.holder, hold.generation, hold.until),
    )
    return hold


def guard(tx: Reader, hold: Hold) -> None:
    """Check, inside the transaction that applies an outcome, that the hold was not taken over.

    Raises:
        StoreError: ``store.fence.lost``: discard the outcome; the new holder looks at the thing afresh.
    """
    row = tx.one("SELECT token, holder FROM fences WHERE name = ?", (hold.name,))
    if row is None or row["token"] != hold.token:
        raise StoreError(
            "store.fence.lost",
            f"{hold.name!r} was taken over while this process worked on it; its outcome is discarded.",
            action="Nothing: the process that took it over carries on.",
            name=hold.name,
        )


def heartbeat(tx: Transaction, hold: Hold, *, seconds: float) -> Hold:
    """Return the hold prolonged to ``seconds`` from now. Raises as ``guard``."""
    guard(tx, hold)
    until = _deadline(tx, seconds)
    tx.execute("UPDATE fences SET until = ? WHERE name = ?", (until, hold.name))
    return Hold(hold.name, hold.holder, hold.token, hold.generation, until)


def release(tx: Transaction, hold: Hold) -> None:
    """Give the hold back; nothing happens when it was taken over already."""
    tx.execute("UPDATE fences SET token = NULL WHERE name = ? AND token = ?", (hold.name, hold.token))


def holder_of(view: Reader, name: str) -> str | None:
    """Return who holds ``name`` now, or None."""
    row = view.one("SELECT token, holder, until FROM fences WHERE name = ?", (name,))
    if row is None or row["token"] is None or not _runs(view, row["until"]):
        return None
    return str(row["holder"])


def forget(tx: Transaction, name: str) -> None:
    """Remove the record of ``name``, once the thing itself is gone for good."""
    tx.execute("DELETE FROM fences WHERE name = ?", (name,))


def _deadline(tx: Reader, seconds: float) -> float:
    if not 0 < seconds <= LONGEST_SECONDS:
        raise StoreError(
            "store.fence.duration", f"A hold lasts up to {LONGEST_SECONDS:.0f} s, not {seconds} s."
        )
    return tx.now() + seconds


def _runs(tx: Reader, until: float) -> bool:
    return 0 < until - tx.now() <= LONGEST_SECONDS
