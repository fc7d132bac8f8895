"""The newest time that verified evidence has shown: a clock that stands before it opens no gate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assay.errors import GateError

if TYPE_CHECKING:
    from assay.store import Reader, Transaction


def newest(view: Reader) -> datetime | None:
    """Return the newest time that was verified here, or None."""
    row = view.one("SELECT newest FROM verified_time")
    return None if row is None else datetime.fromtimestamp(row["newest"], UTC)


def remember(tx: Transaction, when: datetime, source: str) -> None:
    """Keep a verified time, in the transaction of what was accepted, if it is the newest.

    Args:
        tx: The transaction.
        when: A time under a signature that was verified.
        source: What was signed: ``collateral``.
    """
    tx.execute(
        "INSERT INTO verified_time (one, newest, source) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE SET"
        " newest = excluded.newest, source = excluded.source WHERE excluded.newest > newest",
        (when.timestamp(), source),
    )


def check(view: Reader, now: datetime) -> None:
    """Refuse a clock that stands before what was verified already.

    Raises:
        GateError: ``lease.clock.before_evidence``.
    """
    known = newest(view)
    if known is not None and now < known:
        raise GateError(
            "lease.clock.before_evidence",
            f"This computer's clock says {now:%Y-%m-%d %H:%M:%S} UTC, but evidence signed at"
            f" {known:%Y-%m-%d %H:%M:%S} UTC was verified here: expired collateral would pass.",
            action="Set the clock, then run the command again. If it is right now and was ahead then, only a"
            " new state directory (ASSAY_STATE_DIR) forgets that.",
        )
