"""The flow of ``run``: plan, intent, machine, proof, files, second proof, workload, receipt, release.

Whatever goes wrong after the intent, the machine is given back before the flow returns; what cannot be given
back leaves a recovery record. A kill of this process leaves what the next command's reconcile loop finishes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from assay.channel.owner import OwnerKey
from assay.errors import (
    AmbiguousError,
    AssayError,
    ChannelError,
    GateError,
    GoneError,
    LeaseError,
    ProviderError,
    StoreError,
)
from assay.leases import clock, ending, holding, moments, names, runs
from assay.leases.book import Intent, Lease
from assay.leases.creation import FIND_SECONDS, Creation, find, request_of
from assay.leases.gate import Gate, gate_for
from assay.leases.holder import this_process
from assay.leases.job import Outcome
from assay.leases.signals import SignalledError
from assay.leases.states import Care, Event, Reason, State
from assay.leases.visit import NO_MANIFEST, Visit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.channel.messages import Exit
    from assay.leases.desk import Desk
    from assay.leases.job import Ports, Prepared
    from assay.providers.interface import CreateRequest, Machine, Provider, Trust
    from assay.store import Hold


def check_clock(desk: Desk) -> None:
    """Refuse a clock that stands before verified evidence, before anything is created.

    Raises:
        GateError: ``lease.clock.before_evidence``.
    """
    with desk.db.read() as view:
        clock.check(view, desk.now())


def run(desk: Desk, prepared: Prepared, ports: Ports) -> Outcome:
    """Lease a machine and run the job on it.

    Args:
        desk: What the command works with.
        prepared: The decided run.
        ports: Streams and signals.

    Returns:
        What became of it; an ``AssayError`` that ended it stands in ``error``.
    """
    outcome = Outcome(prepared.plan)
    plan = prepared.plan
    provider = desk.provider(plan.offer.provider)
    owner = OwnerKey.create()
    lease_id = names.new_lease_id()
    lease, hold = desk.book.intend(
        Intent(
            id=lease_id,
            provider=plan.offer.provider,
            machine=plan.offer.machine,
            platform=plan.offer.platform,
            options={"attack": plan.attack} if plan.attack else {},
            owner_key=owner.spki,
            ttl_seconds=plan.terms.ttl_seconds,
            idle_seconds=plan.terms.idle_seconds,
            keep=plan.keep,
            settle_seconds=provider.settle_seconds,
        ),
        this_process().encode(),
        holding.HOLD_SECONDS,
    )
    outcome.lease = lease
    ports.report(moments.Leased(lease))
    flow = _Flow(desk, prepared, ports, outcome, hold)
    flow.held(lambda: flow.new(provider, owner))
    return outcome


def run_on(desk: Desk, prepared: Prepared, ports: Ports, lease: Lease) -> Outcome:
    """Run the job on a kept lease: a new session with a new admission.

    Raises:
        LeaseError: ``lease.held``, ``lease.not_kept``.
    """
    outcome = Outcome(prepared.plan)
    hold = holding.take_or_refuse(desk.db, lease.id, lease.slug)
    outcome.lease = lease = desk.book.reload(lease.id)
    if lease.state is not State.KEPT:
        holding.give_back(desk.db, hold)
        raise LeaseError(
            "lease.not_kept",
            f"The lease {lease.slug} is {lease.state.value}: only a kept one can run something again.",
            action=f"assay lease show {lease.slug}",
        )
    flow = _Flow(desk, prepared, ports, outcome, hold)
    flow.held(flow.again)
    return outcome


class _Flow:
    def __init__(self, desk: Desk, prepared: Prepared, ports: Ports, outcome: Outcome, hold: Hold) -> None:
        self.desk = desk
        self.prepared = prepared
        self.ports = ports
        self.outcome = outcome
        self.hold = hold
        self.visit: Visit | None = None
        self.run: runs.Run | None = None
        self.creation: Creation | None = None

    @property
    def lease(self) -> Lease:
        if self.visit is not None:
            return self.visit.lease
        if self.outcome.lease is None:
            raise LeaseError("lease.unknown", "No lease was intended.")
        return self.outcome.lease

    def held(self, work: Callable[[], None]) -> None:
        """Do the work while a heartbeat keeps the hold, and give it back at the end if that works."""
        try:
            with holding.Heartbeat(self.desk.db, self.hold):
                self.guarded(work)
        finally:
            with suppress(StoreError):
                holding.give_back(self.desk.db, self.hold)

    def guarded(self, work: Callable[[], None]) -> None:
        """Do the work; whatever ends it, give the machine back unless it is to stay."""
        try:
            self.ports.relay.arm()
            work()
        except AssayError as error:
            self.outcome.error = error
            self._abandon(error)
        except SignalledError as signalled:
            self.outcome.signal = signalled.number
            self.outcome.error = LeaseError(
                "lease.interrupted", "Interrupted before the workload started.", signal=signalled.number
            )
            self._abandon(self.outcome.error)
        except BaseException as error:
            self._abandon(LeaseError("lease.defect", f"Assay itself failed: {type(error).__name__}."))
            raise
        finally:
            self._set(self.lease)
            if self.visit is not None:
                self.visit.close()

    def _abandon(self, error: AssayError) -> None:
        """Give the machine back after ``error``, whatever state it was found in."""
        self.ports.relay.hold()
        if error.code == "store.fence.lost":
            return
        try:
            self._set(self.desk.book.reload(self.lease.id))  # a signal may have come behind a commit
            if self._left_kept(error):
                return
            self._set(self._give_up(error))
        except AssayError as second:
            self._last_resort(second)

    def _set(self, lease: Lease) -> None:
        self.outcome.lease = lease
        if self.visit is not None:
            self.visit.lease = lease

    def _left_kept(self, error: AssayError) -> bool:
        """Return whether a kept machine stays as it is: it was not asked anything yet, or is not at fault."""
        gone = isinstance(error, GoneError) or error.code == "lease.machine.gone"
        return self.lease.state in (State.KEPT, State.RELEASED) and not (gone or isinstance(error, GateError))

    def _give_up(self, error: AssayError) -> Lease:
        lease, hold, desk = self.lease, self.hold, self.desk
        if self.creation is not None and lease.state is State.INTENDED:
            lease = self._after_creation(lease, self.creation)
        if isinstance(error, GateError):
            lease = ending.refuse(desk.book, lease, hold, error, self.visit.refused if self.visit else b"")
        self._set(lease)
        if self.visit is not None:
            if self.run is not None and lease.state in (State.RUNNING, State.EXITED):
                ending.miss_receipt(self.visit, self.run, error, self.ports.report)
                lease = self.visit.lease
            self.visit.close()
        return ending.give_back(desk, lease, hold, _reason(error), self.ports.report)

    def _last_resort(self, problem: AssayError) -> None:
        """End a machine whose end cannot be recorded; recovery will find it gone and say so."""
        lease = self.lease
        if lease.machine_id is not None and lease.state is not State.RELEASED:
            with suppress(AssayError):
                self.desk.provider(lease.provider).destroy(lease.machine_id, timeout=FIND_SECONDS)
        self.ports.report(moments.Stuck(lease, f"{problem.code}: {problem.message}"))

    def _after_creation(self, lease: Lease, creation: Creation) -> Lease:
        """Record what the creation came to before the machine is released."""
        try:
            machine = creation.wait()
        except AmbiguousError as error:
            return self._ambiguous(lease, error)
        except ProviderError as error:
            return self._refused(lease, error)
        return self.desk.book.step(lease, Event.CREATED, self.hold, machine_id=machine.id)

    def _ambiguous(self, lease: Lease, error: AssayError) -> Lease:
        return self.desk.book.step(
            lease,
            Event.CREATE_AMBIGUOUS,
            self.hold,
            facts={"code": error.code},
            reason=Reason.NOT_CREATED.value,
        )

    def _refused(self, lease: Lease, error: AssayError) -> Lease:
        return self.desk.book.step(
            lease,
            Event.CREATE_REFUSED,
            self.hold,
            facts={"code": error.code},
            reason=Reason.NOT_CREATED.value,
            settles_at=None,
        )

    def new(self, provider: Provider, owner: OwnerKey) -> None:
        """Create the machine, then use it."""
        lease, desk = self.lease, self.desk
        desk.keys.add(lease.id, owner)
        desk.book.at("key.added")
        request = request_of(lease, owner.spki)
        self.creation = Creation(provider, request)
        desk.book.at("create.called")
        trust = provider.trust(request)
        try:
            machine = self.creation.wait()
        except AmbiguousError as error:
            machine = self._find(provider, lease, error)
        except ProviderError as error:
            self.outcome.lease = self._refused(lease, error)
            raise
        desk.book.at("create.answered")
        self.outcome.lease = lease = desk.book.step(
            lease,
            Event.CREATED,
            self.hold,
            facts={"machine": machine.id[:200]},
            machine_id=machine.id,
        )
        self.ports.report(moments.Created(lease, machine.id))
        self._use(provider, machine, trust, request, owner)

    def _find(self, provider: Provider, lease: Lease, error: AmbiguousError) -> Machine:
        """Look for the machine of an unanswered creation; raise ``error`` when it is not there in time."""
        self.ports.report(moments.Retrying(f"{error.message} [{error.code}]"))
        found = find(self.desk, provider, lease)
        if found is not None:
            return found
        self.outcome.lease = self._ambiguous(lease, error)
        raise error

    def again(self) -> None:
        """Use the machine of a kept lease."""
        lease, desk = self.lease, self.desk
        provider = desk.provider(lease.provider)
        if lease.machine_id is None:
            raise LeaseError("lease.machine.gone", f"The lease {lease.slug} has no machine.")
        owner = desk.keys.load(lease.id)
        request = request_of(lease, owner.spki)
        machine = provider.describe(lease.machine_id, timeout=FIND_SECONDS)
        self._use(provider, machine, provider.trust(request), request, owner)

    def _use(
        self, provider: Provider, machine: Machine, trust: Trust, request: CreateRequest, owner: OwnerKey
    ) -> None:
        plan, job, report = self.prepared.plan, self.prepared.job, self.ports.report

        def judge(known: Trust) -> Gate:
            return gate_for(known, request, policy=plan.policy, required=plan.required)

        self.visit = visit = Visit(
            self.desk,
            self.lease,
            self.hold,
            provider=provider,
            machine=machine,
            judge=judge(trust),
            renew=lambda: judge(provider.trust(request)),
            owner=owner,
            report=report,
        )
        if not job.argv:
            visit.admit(NO_MANIFEST, plan.terms.gate_seconds)
            ending.keep_or_release(visit, report, insist=self.ports.relay.release)
            return
        manifest = self.prepared.manifest(owner.spki)
        visit.admit(manifest.digest(), plan.terms.gate_seconds)
        with ending.Overtime(visit, ending.seconds_left(visit.lease, self.desk.db.now())):
            visit.send(manifest, self.prepared.spool)
            self.run = visit.start(manifest)
            self._launch(visit, self.run)

    def _launch(self, visit: Visit, run: runs.Run) -> None:
        session, job, ports = visit.session, self.prepared.job, self.ports
        if session is None:
            raise LeaseError("lease.session.missing", "No session with the machine is open.")
        ports.relay.hang_up, ports.relay.urge = visit.hang_up, session.urge
        ports.relay.forward()
        stdin = None if job.detach else ports.stdin
        sequence = session.launch(job.environment, stdin=stdin is not None, size=ports.size)
        self.outcome.started = True
        self.desk.book.at("workload.launched")
        ports.report(moments.Started(sequence))
        if job.detach:
            session.detach()
            visit.lease = self.desk.book.step(
                visit.lease, Event.DETACHED, self.hold, care=Care.DETACHED.value, keep=job.keep.value
            )
            visit.close()
            ports.report(moments.Detached(visit.lease))
            return
        limits = self.prepared.plan.terms.limits
        received = ending.Received(ports.on_output, limits.output_bytes)
        try:
            with ending.Overtime(visit, limits.time_seconds + ending.OVERTIME_SECONDS):
                found = session.follow(on_output=received.take, stdin=stdin, control=ports.relay)
        except AssayError:
            if ports.relay.release:  # the user did not want to wait for the guest any longer
                self.outcome.signal = ports.relay.received
            raise
        if found is None:
            raise LeaseError("lease.session.ended", "The guest ended the session without saying how it went.")
        ports.relay.hold()
        self.conclude(visit, run, found, received)

    def conclude(self, visit: Visit, run: runs.Run, found: Exit, received: ending.Received) -> None:
        """Record the end, fetch receipt and outputs, and keep or release the machine."""
        report = self.ports.report
        self.outcome.exit = found
        if found.reason == "failed":  # a signal can meet the launcher, before it became the workload
            self.outcome.signal = self.ports.relay.received
        ending.note_exit(visit, run, found, received)
        report(moments.Exited(found))
        self.outcome.receipt = ending.fetch_receipt(visit, run, found, received, report)
        into = self.prepared.job.into
        if into is not None:
            self._download(visit, into)
        ending.keep_or_release(visit, report, insist=self.ports.relay.release)

    def _download(self, visit: Visit, into: Path) -> None:
        relay = self.ports.relay
        outputs, limits = self.prepared.job.outputs, self.prepared.download_limits()
        relay.cut()
        try:
            ending.download(visit, into, outputs, limits, self.outcome.receipt, self.ports.report)
        except AssayError as error:
            self.outcome.error = error
            if relay.cut_by is not None and isinstance(error, ChannelError):
                self.outcome.signal = relay.cut_by
                self.outcome.error = LeaseError(
                    "lease.download.interrupted",
                    f"Interrupted while the outputs came back; nothing is left of them in {into}.",
                    signal=relay.cut_by,
                )
        finally:
            relay.hold()


def _reason(error: AssayError) -> Reason:
    if isinstance(error, GateError):
        return Reason.REFUSED
    if isinstance(error, GoneError) or error.code == "lease.machine.gone":
        return Reason.VANISHED
    if error.code == "lease.overtime":
        return Reason.EXPIRED
    return Reason.ASKED if error.code == "lease.interrupted" else Reason.FAILED
