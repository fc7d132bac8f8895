"""How a visit ends: output counted, receipt checked, outputs fetched, machine kept or given back."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Any, Final

from assay.errors import AssayError, ChannelError, LeaseError
from assay.leases import moments, release, runs
from assay.leases.states import TRANSITIONS, Care, Event, Reason, State, stays
from assay.receipts.receipt import Outcome as ReceiptOutcome
from assay.receipts.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from assay.channel.messages import Exit
    from assay.leases.book import Book, Lease
    from assay.leases.desk import Desk
    from assay.leases.moments import Moment
    from assay.leases.visit import Visit
    from assay.store import Hold
    from assay.workload.bundle import BundleLimits

OVERTIME_SECONDS: Final = 30.0
"""How long after the workload's time limit, or the end of its lease, a guest may take to say how it ended."""


def seconds_left(lease: Lease, now: float) -> float:
    """Return for how long a session may go on at most: past that, the guest ignores the end of its lease.

    Args:
        lease: The lease.
        now: Seconds on the database's clock; where that was set back, the time to live is the most.
    """
    return min(max(lease.expires_at - now, 0.0), lease.ttl_seconds) + OVERTIME_SECONDS


class Received:
    """What this client received of one execution, counted and hashed as it came: the client's own view.

    Args:
        on_output: Given the stream's name and each piece.
        limit: Most bytes of both streams together.
        offsets: Where stdout and stderr begin for this client; a view that begins later has no digest.
    """

    def __init__(
        self, on_output: Callable[[str, bytes], None], limit: int, offsets: tuple[int, int] = (0, 0)
    ) -> None:
        self._on_output = on_output
        self._limit = limit
        self._begun = dict(zip(("stdout", "stderr"), offsets, strict=True))
        self._next = dict(self._begun)
        self._digests = {name: hashlib.sha256() for name in self._next}

    def take(self, stream: str, offset: int, data: bytes) -> None:
        """Take one piece.

        Raises:
            ChannelError: ``lease.output.gap`` when it does not follow the piece before it;
                ``lease.output.limit`` beyond the limit that the manifest sets.
        """
        if offset != self._next[stream]:
            raise ChannelError(
                "lease.output.gap",
                f"The guest sent {stream} from byte {offset} where byte {self._next[stream]} follows.",
            )
        self._next[stream] += len(data)
        if sum(self._next.values()) > self._limit:
            raise ChannelError(
                "lease.output.limit", "The guest sent more output than the manifest lets a workload write."
            )
        self._digests[stream].update(data)
        self._on_output(stream, data)

    @property
    def sizes(self) -> tuple[int, int]:
        """Where stdout and stderr stand."""
        return self._next["stdout"], self._next["stderr"]

    def digest(self, stream: str) -> bytes | None:
        """Return the SHA-256 of a stream, or None when its beginning was not seen."""
        return None if self._begun[stream] else self._digests[stream].digest()

    def agrees(self, receipt: Receipt) -> bool | None:
        """Return whether the receipt names the same output; None when it was not seen whole."""
        seen = [self.digest("stdout"), self.digest("stderr")]
        if None in seen:
            return None
        return seen == [receipt.stdout.sha256, receipt.stderr.sha256]


class Overtime:
    """Hangs up on a guest that goes on after its workload's time limit or its lease. A context manager.

    Whoever waits for a guest holds its lease, and the reconcile loop leaves that alone: so the wait must end.

    Args:
        visit: The dealings with the guest.
        seconds: When it should have come to its end.
    """

    def __init__(self, visit: Visit, seconds: float) -> None:
        self._hang_up = visit.hang_up
        self._fired = False
        self._timer = threading.Timer(seconds, self._fire)
        self._timer.daemon = True

    def _fire(self) -> None:
        self._fired = True
        self._hang_up()

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._fired and isinstance(error, ChannelError):
            raise LeaseError(
                "lease.overtime",
                "The guest did not come to an end: its workload's time limit or its lease was over before.",
            ) from error


def note_exit(visit: Visit, run: runs.Run, found: Exit, received: Received) -> None:
    """Record how the workload ended, as the guest says it, beside what this client received."""
    outcome: dict[str, Any] = {"reason": found.reason, "code": found.code, "signal": found.signal}
    salted = {
        f"client_{name}": digest
        for name in ("stdout", "stderr")
        if (digest := received.digest(name)) is not None
    }
    visit.lease = visit.desk.book.step(
        visit.lease,
        Event.EXITED,
        visit.hold,
        facts={"sequence": run.sequence, "reason": found.reason, "succeeded": found.exit_code == 0},
        salted=salted,
        also=lambda tx: runs.ended(tx, run, outcome),
        care=Care.CLIENT.value,
        succeeded=int(found.exit_code == 0),
        used_at=visit.desk.db.now(),
    )


def fetch_receipt(
    visit: Visit, run: runs.Run, found: Exit, received: Received | None, report: Callable[[Moment], None]
) -> Path | None:
    """Ask for the receipt, check it against the start evidence, and record it; return where it is kept.

    Args:
        visit: The dealings with the guest.
        run: The execution.
        found: How it ended, as the guest said before.
        received: What this client saw of its output; None when it saw nothing of it.
        report: Told what happens.

    Returns:
        None when there is none that verifies: the log has an entry that says so.
    """
    if visit.session is None:
        raise LeaseError("lease.session.missing", "No session with the machine is open.")
    try:
        data = visit.session.receipt()
        receipt = Receipt.verify(data, key=run.binding.receipt_key)
        receipt.require_session(
            admission=run.admission_binding,
            admission_evidence=visit.desk.vault.get(run.admission),
            start=run.binding,
            start_evidence=visit.desk.vault.get(run.start),
            bundle=run.bundle,
        )
    except AssayError as error:
        miss_receipt(visit, run, error, report)
        return None
    digest = visit.desk.vault.put(data)
    same_end = receipt.outcome == ReceiptOutcome(found.reason, found.code, found.signal)
    agrees = received.agrees(receipt) if received is not None else None
    agrees = agrees if same_end else False
    visit.lease = visit.desk.book.step(
        visit.lease,
        Event.RECEIPT,
        visit.hold,
        facts={
            "receipt": digest.hex(),
            "sequence": run.sequence,
            "isolation": receipt.isolation,
            "client_agrees": agrees,
        },
        also=lambda tx: runs.receipted(tx, run, digest, None),
    )
    path = visit.desk.vault.path(digest)
    report(moments.Receipted(receipt, path))
    if not same_end:
        report(moments.Noted("The receipt says that it ended in another way than the guest said here."))
    elif agrees is False:
        report(moments.Noted("The receipt names other output than what arrived here."))
    if receipt.artefacts.skipped:
        things = "A wanted output was" if receipt.artefacts.skipped == 1 else "Some wanted outputs were"
        report(moments.Noted(f"{things} left out: only files and directories come back, within the limits."))
    return path


def miss_receipt(visit: Visit, run: runs.Run, error: AssayError, report: Callable[[Moment], None]) -> None:
    """Record that an execution has no receipt that verifies."""
    problem = f"{error.code}: {error.message}"[:500]
    visit.lease = visit.desk.book.step(
        visit.lease,
        Event.RECEIPT_MISSING,
        visit.hold,
        facts={"sequence": run.sequence, "code": error.code},
        also=lambda tx: runs.receipted(tx, run, None, problem),
        care=Care.CLIENT.value,
    )
    report(moments.Unreceipted(problem))


def download(
    visit: Visit,
    target: Path,
    outputs: tuple[str, ...],
    limits: BundleLimits,
    receipt: Path | None,
    report: Callable[[Moment], None],
) -> None:
    """Fetch the wanted outputs into the new directory ``target`` and compare them with the receipt.

    Args:
        visit: The dealings with the guest.
        target: The new directory.
        outputs: What was wanted, to say what of it is not there.
        limits: Bounds of what is taken back.
        receipt: Where the receipt is; None without one.
        report: Told what happens.

    Raises:
        ChannelError: The guest refused, or the connection failed.
        WorkloadError: ``workload.bundle.*``: nothing is left then.
        LeaseError: ``lease.download.differs`` when the receipt names other outputs.
    """
    if visit.session is None:
        raise LeaseError("lease.session.missing", "No session with the machine is open.")
    listing = visit.session.download(target, limits)
    report(moments.Downloaded(target, len(listing.entries), listing.total_bytes()))
    came = {entry.path for entry in listing.entries}
    for name in outputs:
        path = name.rstrip("/").encode("utf-8", "surrogateescape")
        if path not in came and not any(found.startswith(path + b"/") for found in came):
            report(moments.Noted(f"The workload left no {name}: nothing of that name came back."))
    if receipt is not None:
        named = Receipt.unverified(receipt.read_bytes()).artefacts.sha256
        if named != listing.digest():
            raise LeaseError(
                "lease.download.differs",
                f"The receipt names other outputs than those that arrived in {target}.",
                action="Treat the directory as not proven.",
            )


def keep_or_release(
    visit: Visit, report: Callable[[Moment], None], *, insist: bool, reason: Reason = Reason.DONE
) -> None:
    """Keep the machine if that was asked for, else have the guest wipe itself and give the machine back."""
    book = visit.desk.book
    now = visit.desk.db.now()
    if not insist and stays(visit.lease.standing(now)) and visit.session is not None:
        visit.close()
        visit.lease = book.step(visit.lease, Event.KEPT, visit.hold, used_at=now, care=Care.CLIENT.value)
        report(moments.Kept(visit.lease))
        return
    if visit.session is not None:
        try:
            visit.session.release()
        except ChannelError as error:
            report(moments.Noted(f"The guest did not confirm that it wiped itself: {error.message}"))
    visit.close()
    visit.lease = give_back(visit.desk, visit.lease, visit.hold, reason, report)


def give_back(
    desk: Desk, lease: Lease, hold: Hold, reason: Reason, report: Callable[[Moment], None]
) -> Lease:
    """Destroy the machine and record it; on failure leave and report a recovery record."""
    report(moments.Releasing(lease))
    lease = settle(desk, lease, hold, reason)
    if lease.state is State.RELEASED:
        report(moments.Released(lease))
    else:
        report(moments.Stuck(lease, lease.problem or ""))
    return lease


def settle(desk: Desk, lease: Lease, hold: Hold, reason: Reason) -> Lease:
    """Take a lease, wherever it stands, to ``released``; or leave it ``releasing`` with a recovery record."""
    lease = release.begin(desk.book, lease, hold, reason)
    try:
        provider = desk.provider(lease.provider)
    except AssayError as error:
        return release.failed(desk.book, lease, hold, error)
    return release.finish(desk.book, desk.keys, provider, lease, hold)


def refuse(book: Book, lease: Lease, hold: Hold, error: AssayError, evidence: bytes) -> Lease:
    """Record that a machine was refused; it can only be released from here.

    Args:
        book: Where it stands.
        lease: The lease as it is.
        hold: This process's hold.
        error: Why.
        evidence: SHA-256 of the evidence that was refused; empty when there was none.
    """
    event = Event.UNVERIFIABLE if error.code == "gate.unverifiable" else Event.REFUSED
    if (lease.state, event) not in TRANSITIONS:
        return lease
    cause = error.detail.get("cause")
    facts = {
        "code": error.code,
        "cause": cause if isinstance(cause, str) else None,
        "evidence": evidence.hex() or None,
    }
    return book.step(lease, event, hold, facts=facts, reason=Reason.REFUSED.value)
