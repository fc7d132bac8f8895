"""Nonces: recorded with their expiry before they are sent, and spent once, with what rests on them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from assay.channel.binding import NONCE_BYTES, Purpose
from assay.errors import GateError

if TYPE_CHECKING:
    from assay.store import Database, Transaction

NONCE_SECONDS: Final = 300.0
"""How long evidence may take to answer a nonce, on the database's clock."""


@dataclass(frozen=True, slots=True)
class Nonce:
    """One nonce.

    Attributes:
        value: 32 random bytes.
        lease: The lease that it was drawn for.
        purpose: What evidence it may appear in.
        drawn_at: When it was made, seconds on the database's clock.
    """

    value: bytes = field(repr=False)
    lease: str
    purpose: Purpose
    drawn_at: float


def draw(db: Database, lease: str, purpose: Purpose) -> Nonce:
    """Return a fresh nonce, once its record is durable."""
    with db.transaction() as tx:
        return record(tx, lease, purpose)


def record(tx: Transaction, lease: str, purpose: Purpose) -> Nonce:
    """Return a fresh nonce, recorded in the caller's transaction: it may be sent once that is committed."""
    value, now = secrets.token_bytes(NONCE_BYTES), tx.now()
    tx.execute("DELETE FROM nonces WHERE expires_at < ?", (now - NONCE_SECONDS,))
    tx.execute(
        "INSERT INTO nonces (nonce, lease, purpose, expires_at) VALUES (?, ?, ?, ?)",
        (value, lease, purpose.value, now + NONCE_SECONDS),
    )
    return Nonce(value, lease, purpose, now)


def spend(tx: Transaction, nonce: Nonce) -> None:
    """Use the nonce up, in the transaction that records what its evidence proved.

    Raises:
        GateError: ``gate.nonce.unusable`` when it was spent before, is past its time, or was drawn for
            another lease or purpose.
    """
    now = tx.now()
    cursor = tx.execute(
        "UPDATE nonces SET spent_at = ? WHERE nonce = ? AND lease = ? AND purpose = ? AND spent_at IS NULL"
        " AND expires_at >= ?",
        (now, nonce.value, nonce.lease, nonce.purpose.value, now),
    )
    if cursor.rowcount != 1:
        raise GateError(
            "gate.nonce.unusable",
            "The nonce that this evidence answers was used before or is past its time.",
            action="Run the command again.",
        )
