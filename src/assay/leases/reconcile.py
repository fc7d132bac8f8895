"""The reconcile loop: what an interrupted command owes is paid by the next one.

One query finds the leases that are not released. For each that no living command holds and that has something
due, the loop takes the hold, reads the row afresh, and applies one event after the other, each guarded by the
hold. Two loops at once do each step once. One lease that fails never stops the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assay.errors import AssayError, GoneError, ProviderError
from assay.leases import holding, release
from assay.leases.states import Care, Event, Reason, State, due
from assay.providers.interface import MachineState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from assay.leases.book import Book, Lease
    from assay.leases.keys import Keyring
    from assay.providers.interface import Provider
    from assay.store import Hold


@dataclass(frozen=True, slots=True)
class Action:
    """What the loop did, or would do, about one lease.

    Attributes:
        lease: Its id.
        slug: Its slug.
        before: State in which it was found.
        after: State in which it was left; as before in a dry run.
        reason: Why something was due.
        problem: Code and sentence of what failed; empty when nothing did.
        retry_at: When the next attempt is due by itself, seconds on the database's clock; None when none is.
    """

    lease: str
    slug: str
    before: State
    after: State
    reason: str
    problem: str = ""
    retry_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the action as JSON-ready values."""
        return {
            "lease": self.lease,
            "slug": self.slug,
            "before": self.before.value,
            "after": self.after.value,
            "reason": self.reason,
            "problem": self.problem or None,
            "retry_at": self.retry_at,
        }


@dataclass(frozen=True, slots=True)
class Cleaning:
    """What a whole cleaning did, or would do.

    Attributes:
        actions: About leases.
        keys: Leases whose left key was removed.
        machines: Machines of leases that were released already, destroyed again.
        foreign: Machines with our tag that this book never held: not touched.
        problems: What could not be looked at, one sentence each.
    """

    actions: tuple[Action, ...]
    keys: tuple[str, ...]
    machines: tuple[str, ...]
    foreign: tuple[str, ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the cleaning as JSON-ready values."""
        return {
            "leases": [action.to_json() for action in self.actions],
            "keys": list(self.keys),
            "machines": list(self.machines),
            "foreign": list(self.foreign),
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Finishes what was interrupted and releases what is past its time.

    Attributes:
        book: The leases.
        keys: Their owner keys.
        provider: Returns a provider by name; raises ``ProviderError`` for one that is not there.
    """

    book: Book
    keys: Keyring
    provider: Callable[[str], Provider]

    def sweep(self, *, insist: bool = False, dry_run: bool = False) -> tuple[Action, ...]:
        """Do what is due for every lease that no living command holds.

        Args:
            insist: Try failed releases again before their time.
            dry_run: Only say what is due.
        """
        leases = self.book.live()
        if not leases:
            return ()
        now = self.book.db.now()
        actions = []
        for lease in leases:
            owed = due(lease.standing(now, insist=insist))
            if owed is None:
                continue
            if dry_run:
                actions.append(_action(lease, lease, owed[1], lease.problem or ""))
                continue
            action = self._settle(lease, insist=insist)
            if action is not None:
                actions.append(action)
        return tuple(actions)

    def clean(self, names: Iterable[str], *, dry_run: bool = False) -> Cleaning:
        """Do all that ``sweep`` does, insisting, and look for what no lease accounts for.

        A machine whose lease this book released is destroyed again; one whose lease it never held is somebody
        else's, whatever its tag says.

        Args:
            names: Providers whose inventories are looked at.
            dry_run: Only say what would be done.
        """
        actions = list(self.sweep(insist=True, dry_run=dry_run))
        machines: list[str] = []
        foreign: list[str] = []
        problems: list[str] = []
        for name in names:
            try:
                self._sweep_machines(name, machines, foreign, dry_run=dry_run)
            except AssayError as error:
                problems.append(f"{name}: {error.message} [{error.code}]")
        actions += self._sweep_vanished(problems, dry_run=dry_run)
        keys = self.sweep_keys(dry_run=dry_run)
        return Cleaning(tuple(actions), keys, tuple(machines), tuple(foreign), tuple(problems))

    def _sweep_vanished(self, problems: list[str], *, dry_run: bool) -> list[Action]:
        """Release leases whose machine ended by itself, at its own deadline or when it was idle."""
        actions = []
        for lease in self.book.live():
            try:
                action = self._vanished(lease, dry_run=dry_run)
            except AssayError as error:
                problems.append(f"{lease.slug}: {error.message} [{error.code}]")
            else:
                actions += [action] if action is not None else []
        return actions

    def _vanished(self, lease: Lease, *, dry_run: bool) -> Action | None:
        waits = lease.state is State.KEPT or lease.care is Care.DETACHED
        if not waits or not self._has_ended(lease):
            return None
        return _action(lease, lease, Reason.VANISHED, "") if dry_run else self._bury(lease)

    def _has_ended(self, lease: Lease) -> bool:
        if lease.machine_id is None:
            return False
        try:
            machine = self.provider(lease.provider).describe(
                lease.machine_id, timeout=release.DESTROY_SECONDS
            )
        except GoneError:
            return True
        return machine.state is MachineState.STOPPED

    def _bury(self, seen: Lease) -> Action | None:
        hold = holding.take(self.book.db, seen.id)
        if hold is None:
            return None
        try:
            lease = self.book.reload(seen.id)
            if lease.revision != seen.revision:
                return None
            lease = self._release(release.begin(self.book, lease, hold, Reason.VANISHED), hold)
        finally:
            holding.give_back(self.book.db, hold)
        return _action(seen, lease, Reason.VANISHED, lease.problem or "")

    def _sweep_machines(self, name: str, again: list[str], foreign: list[str], *, dry_run: bool) -> None:
        provider = self.provider(name)
        machines = provider.inventory(timeout=release.DESTROY_SECONDS)
        live = {
            lease.id for lease in self.book.live()
        }  # after the inventory: a lease that begins now is live
        known = self.book.known(machine.lease for machine in machines)
        for machine in machines:
            if machine.lease not in known:
                foreign.append(f"{name} {machine.id}")
            elif machine.lease not in live:
                if not dry_run:
                    provider.destroy(machine.id, timeout=release.DESTROY_SECONDS)
                again.append(f"{name} {machine.id}")

    def sweep_keys(self, *, dry_run: bool = False) -> tuple[str, ...]:
        """Remove the keys of released leases that a crash left, and return their lease ids."""
        held = self.keys.held()  # before the book: a lease that begins now is in neither
        live = {lease.id for lease in self.book.live()}
        left = sorted(self.book.known(held - live))
        for lease_id in left if not dry_run else ():
            self.keys.remove(lease_id)
        return tuple(left)

    def _settle(self, seen: Lease, *, insist: bool) -> Action | None:
        hold = holding.take(self.book.db, seen.id)
        if hold is None:
            return None
        try:
            with holding.Heartbeat(self.book.db, hold):
                lease, reason = self._advance(self.book.reload(seen.id), hold, insist=insist)
        except AssayError as error:
            return _action(seen, seen, Reason.FAILED, f"{error.code}: {error.message}")
        finally:
            holding.give_back(self.book.db, hold)
        return _action(seen, lease, reason, lease.problem or "") if reason else None

    def _advance(self, lease: Lease, hold: Hold, *, insist: bool) -> tuple[Lease, Reason | None]:
        first: Reason | None = None
        while True:
            owed = due(lease.standing(self.book.db.now(), insist=insist))
            if owed is None:
                return lease, first
            event, reason = owed
            first = first or reason
            if event is Event.RELEASED:
                lease = self._release(lease, hold)
                if lease.state is not State.RELEASED:
                    return lease, first
            elif event is Event.RELEASING:
                lease = self.book.step(
                    lease, event, hold, facts={"reason": reason.value}, reason=reason.value
                )
            else:
                lease = self.book.step(lease, event, hold, facts={"reason": reason.value})

    def _release(self, lease: Lease, hold: Hold) -> Lease:
        try:
            provider = self.provider(lease.provider)
        except ProviderError as error:
            return release.failed(self.book, lease, hold, error)
        return release.finish(self.book, self.keys, provider, lease, hold)


def _action(before: Lease, after: Lease, reason: Reason, problem: str) -> Action:
    return Action(
        lease=before.id,
        slug=before.slug,
        before=before.state,
        after=after.state,
        reason=(after.reason or reason).value,
        problem=problem,
        retry_at=after.retry_at if after.state is State.RELEASING else None,
    )
