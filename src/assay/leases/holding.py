"""Holding a lease while a command works on it: taken, prolonged by a heartbeat, given back."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Self

from assay.errors import AssayError, LeaseError
from assay.leases.book import fence_name
from assay.leases.holder import Holder, is_dead, this_process
from assay.store import fence

if TYPE_CHECKING:
    from types import TracebackType

    from assay.store import Database, Hold

HOLD_SECONDS: Final = 60.0
"""How long a hold lasts without a heartbeat: what a command on another machine waits for a dead one."""
BEAT_SECONDS: Final = 15.0


def take(db: Database, lease_id: str, *, seconds: float = HOLD_SECONDS) -> Hold | None:
    """Return the hold on a lease, or None while a living process has it.

    A hold whose holder this kernel knows to be dead is taken over at once.
    """
    name = fence_name(lease_id)
    with db.transaction() as tx:
        holder = fence.holder_of(tx, name)
        known = Holder.decode(holder) if holder else None
        if known is not None and is_dead(known):
            fence.forget(tx, name)
        return fence.acquire(tx, name, holder=this_process().encode(), seconds=seconds)


def take_or_refuse(db: Database, lease_id: str, slug: str) -> Hold:
    """Return the hold on a lease.

    Raises:
        LeaseError: ``lease.held`` while another command works on it.
    """
    hold = take(db, lease_id)
    if hold is None:
        raise LeaseError(
            "lease.held",
            f"Another command is working on the lease {slug}.",
            action="Wait until it is done, or end it.",
        )
    return hold


def give_back(db: Database, hold: Hold) -> None:
    """Give a hold back; nothing happens when it was taken over."""
    with db.transaction() as tx:
        fence.release(tx, hold)


class Heartbeat:
    """Prolongs a hold in a thread until the ``with`` block ends.

    A lost hold is noticed at the next guarded change; the thread then just ends.
    """

    def __init__(self, db: Database, hold: Hold) -> None:
        self._db = db
        self._hold = hold
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_SECONDS):
            try:
                with self._db.transaction() as tx:
                    fence.heartbeat(tx, self._hold, seconds=HOLD_SECONDS)
            except AssayError as error:
                if error.code == "store.fence.lost":
                    return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
