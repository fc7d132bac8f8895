"""Giving a machine back: destroyed for certain, key removed, and only then recorded as released."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from assay.errors import AmbiguousError, AssayError, GoneError, LeaseError, ProviderError
from assay.leases.states import Event, Reason, State

if TYPE_CHECKING:
    from assay.leases.book import Book, Lease
    from assay.leases.keys import Keyring
    from assay.providers.interface import Provider
    from assay.store import Hold

DESTROY_SECONDS: Final = 30.0
_FIRST_RETRY_SECONDS: Final = 5.0
_LAST_RETRY_SECONDS: Final = 300.0


def _check_ours(provider: Provider, lease: Lease, machine_id: str) -> None:
    """Refuse to touch a machine of which the provider says that it is not this lease's.

    Raises:
        LeaseError: ``lease.machine.foreign``.
    """
    try:
        machine = provider.describe(machine_id, timeout=DESTROY_SECONDS)
    except GoneError:
        return
    if machine.lease != lease.id or machine.id != machine_id:
        raise LeaseError(
            "lease.machine.foreign",
            f"The provider says that the machine {machine_id[:80]!r} is not that of lease {lease.slug}; it"
            " was not touched.",
            action="Look at it with the provider's own tools.",
        )


def _destroy(provider: Provider, lease: Lease, now: float) -> None:
    machines = {item.id for item in provider.inventory(timeout=DESTROY_SECONDS) if item.lease == lease.id}
    named = lease.machine_id
    if named is not None and named not in machines:
        _check_ours(provider, lease, named)
        machines.add(named)  # destroying one that is gone succeeds; an inventory alone proves no absence
    for machine_id in sorted(machines):
        provider.destroy(machine_id, timeout=DESTROY_SECONDS)
    if not machines and lease.settles_at is not None and now < lease.settles_at:
        raise AmbiguousError(
            "lease.create.unsettled",
            "The creation was never answered and may still take effect:"
            f" the inventory proves nothing for another {math.ceil(lease.settles_at - now)} s.",
        )


def begin(book: Book, lease: Lease, hold: Hold, reason: Reason) -> Lease:
    """Take a lease to ``releasing``, through the states that owe a receipt entry.

    Args:
        book: Where it stands.
        lease: The lease as it was read.
        hold: This process's hold on it.
        reason: Why it is released.
    """
    if lease.state in (State.RUNNING, State.EXITED):
        lease = book.step(lease, Event.RECEIPT_MISSING, hold, facts={"reason": reason.value})
    if lease.state is not State.RELEASING:
        lease = book.step(lease, Event.RELEASING, hold, facts={"reason": reason.value}, reason=reason.value)
    return lease


def finish(book: Book, keys: Keyring, provider: Provider, lease: Lease, hold: Hold) -> Lease:
    """Destroy the machine of a ``releasing`` lease; on failure leave a record and the time of a retry.

    Returns:
        The lease, ``released`` or still ``releasing`` with ``problem`` set.
    """
    now = book.db.now()
    book.at("destroy.before")
    try:
        _destroy(provider, lease, now)
        book.at("destroy.after")
        keys.remove(lease.id)
    except (ProviderError, LeaseError) as error:
        return failed(book, lease, hold, error)
    book.at("key.removed")
    reason = lease.reason or Reason.DONE
    return book.step(lease, Event.RELEASED, hold, facts={"reason": reason.value}, problem=None)


def failed(book: Book, lease: Lease, hold: Hold, error: AssayError) -> Lease:
    """Record a failed release with the time of its next attempt, which comes later each time."""
    now = book.db.now()
    wait = min(_FIRST_RETRY_SECONDS * 2 ** min(lease.attempts, 10), _LAST_RETRY_SECONDS)
    if error.code == "lease.create.unsettled" and lease.settles_at is not None:
        wait = lease.settles_at - now
    return book.step(
        lease,
        Event.DESTROY_FAILED,
        hold,
        facts={"code": error.code, "attempt": lease.attempts + 1},
        attempts=lease.attempts + 1,
        retry_at=now + wait,
        problem=f"{error.code}: {error.message}"[:500],
    )
