"""Coming back to a lease: attach, logs, wait, keep, stop. Each is a new session with a new admission.

A machine that cannot prove itself again is destroyed and refused, whatever it was kept for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.channel.client import Signal
from assay.errors import AssayError, GateError, GoneError, LeaseError
from assay.leases import ending, holding, moments, runs, terms
from assay.leases.creation import FIND_SECONDS, request_of
from assay.leases.gate import gate_for
from assay.leases.signals import SignalledError
from assay.leases.states import Care, Event, Keep, Reason, State
from assay.leases.visit import NO_MANIFEST, Visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.channel.client import OwnerSession
    from assay.leases.book import Lease
    from assay.leases.desk import Desk
    from assay.leases.gate import Gate
    from assay.leases.job import Outcome, Ports
    from assay.settings.resolve import Settings
    from assay.store import Hold

STOP_SECONDS: Final = 10.0
_NO_LIMIT: Final = 1 << 53


@dataclass(slots=True)
class Attendance:
    """One command's attendance on a lease.

    Attributes:
        desk: What the command works with.
        settings: The settings: policy, required checks, budget of the gate.
        ports: Streams and signals.
        lease: The lease as it is.
        hold: This process's hold on it.
    """

    desk: Desk
    settings: Settings
    ports: Ports
    lease: Lease
    hold: Hold
    visit: Visit | None = None

    def open(self) -> OwnerSession:
        """Have the machine prove itself again and return the session.

        Raises:
            GateError: When it does not.
            LeaseError: ``lease.machine.gone``.
        """
        desk, lease = self.desk, self.lease
        provider = desk.provider(lease.provider)
        if lease.machine_id is None:
            raise LeaseError("lease.machine.gone", f"The lease {lease.slug} has no machine.")
        owner = desk.keys.load(lease.id)
        request = request_of(lease, owner.spki)
        policy = terms.policy(self.settings, provider.name)

        def judge() -> Gate:
            required = self.settings.names("require.checks")
            return gate_for(provider.trust(request), request, policy=policy, required=required)

        machine = provider.describe(lease.machine_id, timeout=FIND_SECONDS)
        self.visit = Visit(
            desk,
            lease,
            self.hold,
            provider=provider,
            machine=machine,
            judge=judge(),
            renew=judge,
            owner=owner,
            report=self.ports.report,
        )
        last = self.last_run()
        manifest = NO_MANIFEST if last is None else last.manifest
        try:
            return self.visit.admit(manifest, self.settings.number("gate.budget"))
        finally:
            self.lease = self.visit.lease

    def last_run(self) -> runs.Run | None:
        """Return the last execution on the lease, or None."""
        with self.desk.db.read() as view:
            known = runs.of_lease(view, self.lease.id)
        return known[-1] if known else None

    def refuse(self, error: AssayError) -> None:
        """Destroy a machine that did not prove itself."""
        evidence = self.visit.refused if self.visit is not None else b""
        lease = ending.refuse(self.desk.book, self.lease, self.hold, error, evidence)
        self.lease = ending.give_back(self.desk, lease, self.hold, Reason.REFUSED, self.ports.report)

    def release(self, reason: Reason) -> None:
        """Give back a machine that ended by itself, or that does not end when its lease does."""
        self.ports.relay.hold()
        if self.visit is not None:
            self.visit.close()
        self.lease = ending.give_back(self.desk, self.lease, self.hold, reason, self.ports.report)

    def bounded(self, visit: Visit) -> ending.Overtime:
        """Return what hangs up on a guest that ignores the end of its lease."""
        return ending.Overtime(visit, ending.seconds_left(visit.lease, self.desk.db.now()))


def attended(
    desk: Desk, settings: Settings, ports: Ports, name: str, work: Callable[[Attendance], None]
) -> Lease:
    """Do some work on a lease under its hold; a machine that is refused is destroyed.

    Raises:
        LeaseError: ``lease.unknown``, ``lease.held``, and what the work raises.
        GateError: When the machine did not prove itself; it is released then.
    """
    seen = desk.book.find(name)
    hold = holding.take_or_refuse(desk.db, seen.id, seen.slug)
    attendance = Attendance(desk, settings, ports, desk.book.reload(seen.id), hold)
    try:
        with holding.Heartbeat(desk.db, hold):
            try:
                ports.relay.arm()
                work(attendance)
            except GateError as error:
                ports.relay.hold()
                attendance.lease = desk.book.reload(seen.id)
                if error.code != "lease.clock.before_evidence":
                    attendance.refuse(error)
                raise
            except AssayError as error:
                attendance.lease = desk.book.reload(seen.id)
                if isinstance(error, GoneError) or error.code == "lease.machine.gone":
                    attendance.release(Reason.VANISHED)
                elif error.code == "lease.overtime":
                    attendance.release(Reason.EXPIRED)
                raise
            finally:
                if attendance.visit is not None:
                    attendance.visit.close()
                attendance.lease = desk.book.reload(seen.id)
    finally:
        holding.give_back(desk.db, hold)
    return attendance.lease


def _require(lease: Lease, *states: State) -> None:
    if lease.state not in states:
        raise LeaseError(
            "lease.state.unsuitable",
            f"The lease {lease.slug} is {lease.state.value};"
            f" this needs it {' or '.join(state.value for state in states)}.",
            action=f"assay lease show {lease.slug}",
        )


def attach(attendance: Attendance, outcome: Outcome) -> None:
    """Join the running workload until it ends, then conclude it."""
    _require(attendance.lease, State.RUNNING)
    session = attendance.open()
    ports = attendance.ports
    visit, run = _running(attendance)
    received = ending.Received(ports.on_output, _NO_LIMIT)
    outcome.started = True
    ports.relay.hang_up, ports.relay.urge = visit.hang_up, session.urge
    ports.relay.leaves = True
    ports.relay.forward()
    with attendance.bounded(visit):
        found = session.attach((0, 0), on_output=received.take, stdin=ports.stdin, control=ports.relay)
    ports.relay.hold()
    if found is None:
        ports.report(moments.Detached(visit.lease))
        return
    outcome.exit = found
    ending.note_exit(visit, run, found, received)
    ports.report(moments.Exited(found))
    outcome.receipt = ending.fetch_receipt(visit, run, found, received, ports.report)
    ending.keep_or_release(visit, ports.report, insist=ports.relay.release)


def wait(attendance: Attendance, outcome: Outcome) -> None:
    """Wait until the workload ends, without its output, then conclude it."""
    _require(attendance.lease, State.RUNNING)
    session = attendance.open()
    visit, run = _running(attendance)
    outcome.started = True
    with attendance.bounded(visit):
        found = session.wait()
    attendance.ports.relay.hold()
    outcome.exit = found
    ending.note_exit(visit, run, found, ending.Received(attendance.ports.on_output, _NO_LIMIT, (1, 1)))
    attendance.ports.report(moments.Exited(found))
    outcome.receipt = ending.fetch_receipt(visit, run, found, None, attendance.ports.report)
    ending.keep_or_release(visit, attendance.ports.report, insist=False)


def logs(attendance: Attendance, *, follow: bool) -> None:
    """Show what the workload wrote so far, and with ``follow`` what it goes on to write; conclude nothing."""
    _require(attendance.lease, State.RUNNING)
    session = attendance.open()
    visit, _ = _running(attendance)
    received = ending.Received(attendance.ports.on_output, _NO_LIMIT)
    with attendance.bounded(visit):
        session.logs((0, 0), on_output=received.take, follow=follow)


def keep(attendance: Attendance) -> None:
    """Prove a kept machine again, which begins its idle time anew; a running one outlives its workload."""
    _require(attendance.lease, State.RUNNING, State.KEPT)
    attendance.open()
    visit = attendance.visit
    if visit is None:
        raise LeaseError("lease.session.missing", "No session with the machine is open.")
    visit.close()
    book, now = attendance.desk.book, attendance.desk.db.now()
    if visit.lease.state is State.RUNNING:
        visit.lease = book.step(
            visit.lease, Event.DETACHED, attendance.hold, keep=Keep.ALWAYS.value, care=Care.DETACHED.value
        )
    else:
        visit.lease = book.step(visit.lease, Event.KEPT, attendance.hold, keep=Keep.ALWAYS.value, used_at=now)
    attendance.ports.report(moments.Kept(visit.lease))


def stop(attendance: Attendance) -> None:
    """End whatever runs, fetch its receipt where that works, and release the machine."""
    lease = attendance.lease
    if lease.state is State.RELEASED:
        return
    if lease.state is State.RUNNING and lease.care is Care.DETACHED:
        try:
            _stop_workload(attendance)
        except (AssayError, SignalledError) as error:
            words = str(error) if isinstance(error, AssayError) else "interrupted"
            attendance.ports.report(moments.Noted(f"The workload could not be ended in order: {words}"))
    attendance.ports.relay.hold()
    if attendance.visit is not None:
        attendance.lease = attendance.visit.lease
        if attendance.lease.state is State.FINISHED:
            ending.keep_or_release(
                attendance.visit, attendance.ports.report, insist=True, reason=Reason.ASKED
            )
            return
    attendance.lease = ending.give_back(
        attendance.desk, attendance.lease, attendance.hold, Reason.ASKED, attendance.ports.report
    )
    if attendance.visit is not None:
        attendance.visit.lease = attendance.lease


def _stop_workload(attendance: Attendance) -> None:
    session = attendance.open()
    visit, run = _running(attendance)
    relay = attendance.ports.relay
    relay.forward()
    relay.put(Signal(15))
    received = ending.Received(lambda _stream, _data: None, _NO_LIMIT)
    with ending.Overtime(visit, STOP_SECONDS):
        found = session.attach((0, 0), on_output=received.take, control=relay)
    if found is None:
        raise LeaseError("lease.session.ended", "The guest ended the session without saying how it went.")
    ending.note_exit(visit, run, found, received)
    attendance.ports.report(moments.Exited(found))
    ending.fetch_receipt(visit, run, found, received, attendance.ports.report)


def _running(attendance: Attendance) -> tuple[Visit, runs.Run]:
    run = attendance.last_run()
    if attendance.visit is None or run is None:
        raise LeaseError("lease.session.missing", "No session with a running workload is open.")
    return attendance.visit, run
