"""The book of leases: one row each, changed only by an event, under a hold, from the revision that was read.

Every change appends its log entry in the same transaction, so that neither can exist without the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from assay.errors import LeaseError
from assay.leases import names
from assay.leases.states import Care, Event, Keep, Reason, Standing, State, after
from assay.store import fence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from assay.store import Database, Hold, Reader, Transaction

Fact = str | int | bool | None

INTENDED: Final = "lease.intended"
_CHANGEABLE: Final = frozenset({
    "machine_id", "expires_at", "used_at", "care", "keep", "succeeded", "reason", "settles_at", "attempts",
    "retry_at", "problem",
})  # fmt: skip


class Entries(Protocol):
    """What the book needs of the audit log."""

    def append(
        self,
        tx: Transaction,
        kind: str,
        lease: str,
        facts: Mapping[str, Fact],
        *,
        salted: Mapping[str, bytes] | None = None,
    ) -> int:
        """Append one entry in the caller's transaction and return its index."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One row of the book.

    Attributes:
        id: ``asy-`` and 12 hexadecimal digits; used once, for ever.
        slug: Name for people, unique among live leases.
        state: Where it stands.
        revision: Counts its changes; each change must start from the one that was read.
        provider: Name of the provider.
        machine: Machine kind at the provider.
        platform: Attestation platform, chosen here.
        options: Options of that provider alone.
        owner_key: SubjectPublicKeyInfo DER of the key that the guest serves.
        machine_id: The provider's id; None until it answered.
        created_at: When it was intended, seconds on the database's clock.
        expires_at: When its time to live is over, on the same clock.
        used_at: When it was last used, on the same clock.
        ttl_seconds: Its time to live.
        idle_seconds: Its idle limit.
        care: Who cares for it while no command holds it.
        keep: Whether the machine outlives the workload.
        succeeded: Whether the last workload ended with code 0; None when that is not known.
        reason: Why it is or was released; None before.
        settles_at: From when on an inventory without the machine means that none was created.
        attempts: Failed attempts to destroy the machine.
        retry_at: When the next attempt is due by itself.
        problem: Code and sentence of the last failed attempt.
    """

    id: str
    slug: str
    state: State
    revision: int
    provider: str
    machine: str
    platform: str
    options: Mapping[str, str]
    owner_key: bytes = field(repr=False)
    machine_id: str | None
    created_at: float
    expires_at: float
    used_at: float
    ttl_seconds: int
    idle_seconds: int
    care: Care
    keep: Keep
    succeeded: bool | None
    reason: Reason | None
    settles_at: float | None
    attempts: int
    retry_at: float | None
    problem: str | None

    def standing(self, now: float, *, insist: bool = False) -> Standing:
        """Return what decides what is due.

        Args:
            now: Seconds on the database's clock.
            insist: Try a failed release again before its time.
        """
        return Standing(
            state=self.state,
            care=self.care,
            keep=self.keep,
            succeeded=self.succeeded,
            expired=now >= self.expires_at,
            idle=now >= self.used_at + self.idle_seconds,
            retry=insist or self.retry_at is None or now >= self.retry_at,
        )


_COLUMNS: Final = tuple(item.name for item in fields(Lease))
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM leases"  # noqa: S608 - names of our own fields


def _lease(row: Any) -> Lease:
    found: dict[str, Any] = {name: row[name] for name in _COLUMNS}
    found["state"] = State(found["state"])
    found["options"] = MappingProxyType(json.loads(found["options"]))
    found["care"] = Care(found["care"])
    found["keep"] = Keep(found["keep"])
    found["succeeded"] = None if found["succeeded"] is None else bool(found["succeeded"])
    found["reason"] = None if found["reason"] is None else Reason(found["reason"])
    return Lease(**found)


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be leased.

    Attributes:
        id: The new lease's id.
        provider: Name of the provider.
        machine: Machine kind.
        platform: Attestation platform.
        options: Options of that provider alone.
        owner_key: SubjectPublicKeyInfo DER of the owner's key.
        ttl_seconds: Time to live.
        idle_seconds: Idle limit.
        keep: Whether the machine outlives the workload.
        settle_seconds: How long after the intent a creation may still take effect at the provider.
    """

    id: str
    provider: str
    machine: str
    platform: str
    options: Mapping[str, str]
    owner_key: bytes
    ttl_seconds: int
    idle_seconds: int
    keep: Keep
    settle_seconds: float


def fence_name(lease_id: str) -> str:
    """Return the name under which a lease is held."""
    return f"lease/{lease_id}"


def nothing_at(_point: str) -> None:
    """Do nothing at a fault point; tests pass a function that kills the process."""


class Book:
    """The leases of one state directory.

    Args:
        db: The state database.
        log: The audit log.
        at: Called with the name of each point between two instructions that a crash could separate.

    Attributes:
        told: By lease, the first and the last index of the log entries that this object appended.
    """

    def __init__(self, db: Database, log: Entries, *, at: Callable[[str], None] = nothing_at) -> None:
        self.db = db
        self.log = log
        self.at = at
        self.told: dict[str, tuple[int, int]] = {}

    def intend(self, intent: Intent, hold_as: str, hold_seconds: float) -> tuple[Lease, Hold]:
        """Make the intent durable, before any effect, and return the lease with the hold on it.

        Args:
            intent: What is about to be created.
            hold_as: Who holds it, as ``Holder.encode`` writes it.
            hold_seconds: How long, unless prolonged.
        """
        self.at("intend.before")
        with self.db.transaction() as tx:
            now = tx.now()
            slug = names.new_slug(lambda word: _live_slug(tx, word) is not None)
            tx.execute(
                "INSERT INTO leases (id, slug, state, revision, provider, machine, platform, options,"
                " owner_key, created_at, expires_at, used_at, ttl_seconds, idle_seconds, care, keep,"
                " settles_at)"
                " VALUES (?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    intent.id,
                    slug,
                    State.INTENDED.value,
                    intent.provider,
                    intent.machine,
                    intent.platform,
                    json.dumps(dict(intent.options), sort_keys=True),
                    intent.owner_key,
                    now,
                    now + intent.ttl_seconds,
                    now,
                    intent.ttl_seconds,
                    intent.idle_seconds,
                    Care.CLIENT.value,
                    intent.keep.value,
                    now + intent.settle_seconds,
                ),
            )
            hold = fence.acquire(tx, fence_name(intent.id), holder=hold_as, seconds=hold_seconds)
            if hold is None:
                raise LeaseError("lease.id.taken", f"The id {intent.id} is in use.")
            facts: dict[str, Fact] = {
                "provider": intent.provider,
                "machine": intent.machine,
                "platform": intent.platform,
                "ttl_seconds": intent.ttl_seconds,
                "idle_seconds": intent.idle_seconds,
            }
            index = self.log.append(tx, INTENDED, intent.id, facts)
            tx.after_commit(lambda: self._tell(intent.id, index))
            lease = _read(tx, intent.id)
            self.at("intend.inside")
        self.at("intend.after")
        return lease, hold

    def step(
        self,
        lease: Lease,
        event: Event,
        hold: Hold,
        *,
        facts: Mapping[str, Fact] = MappingProxyType({}),
        salted: Mapping[str, bytes] | None = None,
        also: Callable[[Transaction], None] | None = None,
        **changes: Any,
    ) -> Lease:
        """Apply one event: row, log entry and whatever belongs to them, all or nothing.

        Args:
            lease: The lease as it was read; its revision must still hold.
            event: What happened.
            hold: The hold of this process.
            facts: What the log entry says besides; digests and small values, never a secret.
            salted: Guessable values of the log entry, which holds their salted digests.
            also: Further statements of the same transaction.
            **changes: Columns that change with it.

        Raises:
            LeaseError: ``lease.state.transition``; ``lease.revision.changed`` when another command changed
                it.
            StoreError: ``store.fence.lost`` when another process took the lease over.
        """
        following = after(lease.state, event)
        unknown = set(changes) - _CHANGEABLE
        if unknown:
            raise TypeError(f"not changeable: {sorted(unknown)}")
        self.at(f"{event.value}.before")
        with self.db.transaction() as tx:
            fence.guard(tx, hold)
            values = {"state": following.value, "revision": lease.revision + 1, **changes}
            assignments = ", ".join(f"{name} = :{name}" for name in values)
            cursor = tx.execute(
                f"UPDATE leases SET {assignments} WHERE id = :this AND revision = :read",  # noqa: S608 - our names
                {**values, "this": lease.id, "read": lease.revision},
            )
            if cursor.rowcount != 1:
                raise LeaseError(
                    "lease.revision.changed",
                    f"The lease {lease.slug} was changed by another command meanwhile.",
                    action="Run the command again.",
                )
            if also is not None:
                also(tx)
            index = self.log.append(tx, event.value, lease.id, facts, salted=salted)
            tx.after_commit(lambda: self._tell(lease.id, index))
            if following is State.RELEASED:
                tx.execute("DELETE FROM nonces WHERE lease = ?", (lease.id,))
                fence.forget(tx, hold.name)
            found = _read(tx, lease.id)
            self.at(f"{event.value}.inside")
        self.at(f"{event.value}.after")
        return found

    def _tell(self, lease_id: str, index: int) -> None:
        first, _ = self.told.get(lease_id, (index, index))
        self.told[lease_id] = (first, index)

    def live(self) -> tuple[Lease, ...]:
        """Return every lease that is not released, oldest first: one query."""
        with self.db.read() as view:
            return tuple(
                _lease(row)
                for row in view.execute(f"{_SELECT} WHERE state != 'released' ORDER BY created_at, id")
            )

    def history(self, limit: int) -> tuple[Lease, ...]:
        """Return the newest leases, released ones included."""
        with self.db.read() as view:
            rows = view.execute(f"{_SELECT} ORDER BY created_at DESC, id LIMIT ?", (limit,))
            return tuple(_lease(row) for row in rows)

    def reload(self, lease_id: str) -> Lease:
        """Return the row as it is now."""
        with self.db.read() as view:
            return _read(view, lease_id)

    def known(self, lease_ids: Iterable[str]) -> frozenset[str]:
        """Return those of the ids that this book has ever held."""
        with self.db.read() as view:
            return frozenset(
                one for one in lease_ids if view.one("SELECT 1 FROM leases WHERE id = ?", (one,)) is not None
            )

    def find(self, name: str) -> Lease:
        """Return the lease with that id, or the live one with that slug, or the newest released one with it.

        Raises:
            LeaseError: ``lease.unknown``.
        """
        with self.db.read() as view:
            row = view.one(
                f"{_SELECT} WHERE id = ? OR slug = ? ORDER BY (id = ?) DESC, (state = 'released'),"
                " created_at DESC LIMIT 1",
                (name, name, name),
            )
        if row is None:
            raise LeaseError(
                "lease.unknown",
                f"No lease here has the id or the slug {name[:80]!r}.",
                action="assay lease list --all",
            )
        return _lease(row)


def _read(view: Reader, lease_id: str) -> Lease:
    row = view.one(f"{_SELECT} WHERE id = ?", (lease_id,))
    if row is None:
        raise LeaseError("lease.unknown", f"No lease here has the id {lease_id}.")
    return _lease(row)


def _live_slug(view: Reader, slug: str) -> Any:
    return view.one("SELECT 1 FROM leases WHERE slug = ? AND state != 'released'", (slug,))
