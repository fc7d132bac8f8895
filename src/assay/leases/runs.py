"""What was executed on each lease: the runtime register's history, and what a receipt is checked against."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from assay.channel import runtime
from assay.channel.binding import Purpose, SessionBinding

if TYPE_CHECKING:
    from assay.store import Reader, Transaction

_COLUMNS: Final = (
    "lease, sequence, manifest, bundle, isolation, started_at, admission, start, session, outcome, receipt,"
    " problem"
)


@dataclass(frozen=True, slots=True)
class Run:
    """One execution.

    Attributes:
        lease: The lease id.
        sequence: Its number within the lease, from 1.
        manifest: Digest of the manifest, 32 bytes.
        bundle: Digest of the bundle, 32 bytes.
        isolation: Rung of isolation that the start evidence measured.
        started_at: Seconds on the database's clock.
        admission: SHA-256 of the admission evidence.
        start: SHA-256 of the start evidence.
        binding: Binding of the start evidence; that of the admission has ``admission_nonce``.
        admission_nonce: Nonce of the admission, 32 bytes.
        outcome: How it ended, as the guest said: reason, code, signal; None before.
        receipt: SHA-256 of its receipt; None without one.
        problem: Why there is no receipt that verifies; None otherwise.
    """

    lease: str
    sequence: int
    manifest: bytes
    bundle: bytes
    isolation: str
    started_at: float
    admission: bytes
    start: bytes
    binding: SessionBinding
    admission_nonce: bytes
    outcome: dict[str, Any] | None = None
    receipt: bytes | None = None
    problem: str | None = None

    @property
    def admission_binding(self) -> SessionBinding:
        """The binding of the admission evidence of the same session."""
        return replace(self.binding, purpose=Purpose.ADMISSION, nonce=self.admission_nonce)

    def events(self) -> tuple[runtime.RuntimeEvent, ...]:
        """Return what its start extended into the runtime register."""
        return runtime.events_of_start(self.isolation, self.manifest, self.bundle)


def add(tx: Transaction, run: Run) -> None:
    """Record an execution, in the transaction of its start."""
    session = {
        "platform": run.binding.platform,
        "role": run.binding.role,
        "owner_key": run.binding.owner_key.hex(),
        "channel_key": run.binding.channel_key.hex(),
        "receipt_key": run.binding.receipt_key.hex(),
        "nonce": run.binding.nonce.hex(),
        "admission_nonce": run.admission_nonce.hex(),
    }
    tx.execute(
        f"INSERT INTO runs ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL)",  # noqa: S608 - ours
        (
            run.lease,
            run.sequence,
            run.manifest,
            run.bundle,
            run.isolation,
            run.started_at,
            run.admission,
            run.start,
            json.dumps(session, sort_keys=True),
        ),
    )


def ended(tx: Transaction, run: Run, outcome: dict[str, Any]) -> None:
    """Record how an execution ended, in the transaction of that change."""
    tx.execute(
        "UPDATE runs SET outcome = ? WHERE lease = ? AND sequence = ?",
        (json.dumps(outcome, sort_keys=True), run.lease, run.sequence),
    )


def receipted(tx: Transaction, run: Run, receipt: bytes | None, problem: str | None) -> None:
    """Record the receipt of an execution, or why there is none."""
    tx.execute(
        "UPDATE runs SET receipt = ?, problem = ? WHERE lease = ? AND sequence = ?",
        (receipt, problem, run.lease, run.sequence),
    )


def of_lease(view: Reader, lease: str) -> tuple[Run, ...]:
    """Return the executions of a lease, in order."""
    rows = view.execute(f"SELECT {_COLUMNS} FROM runs WHERE lease = ? ORDER BY sequence", (lease,))  # noqa: S608 - ours
    return tuple(_run(row) for row in rows)


def history(runs: tuple[Run, ...]) -> tuple[runtime.RuntimeEvent, ...]:
    """Return every event of the runtime register that those executions caused, in order."""
    return tuple(event for run in runs for event in run.events())


def _run(row: Any) -> Run:
    session = json.loads(row["session"])
    binding = SessionBinding(
        purpose=Purpose.START,
        role=session["role"],
        platform=session["platform"],
        nonce=bytes.fromhex(session["nonce"]),
        lease=row["lease"],
        owner_key=bytes.fromhex(session["owner_key"]),
        channel_key=bytes.fromhex(session["channel_key"]),
        receipt_key=bytes.fromhex(session["receipt_key"]),
        ssh_host_key=b"",
        hpke_key=b"",
        manifest=row["manifest"],
    )
    return Run(
        lease=row["lease"],
        sequence=row["sequence"],
        manifest=row["manifest"],
        bundle=row["bundle"],
        isolation=row["isolation"],
        started_at=row["started_at"],
        admission=row["admission"],
        start=row["start"],
        binding=binding,
        admission_nonce=bytes.fromhex(session["admission_nonce"]),
        outcome=json.loads(row["outcome"]) if row["outcome"] else None,
        receipt=row["receipt"],
        problem=row["problem"],
    )
