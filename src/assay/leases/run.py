"""The flow of ``run``: plan, intent, machine, proof, files, second proof, workload, receipt, release.

Whatever goes wrong after the intent, the machine is given back before the flow returns; what cannot be given
back leaves a recovery record. A kill of this process leaves what the next command's reconcile loop finishes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from assay.channel.launch import LaunchConfig
from assay.channel.owner import OwnerKey
from assay.errors import AmbiguousError, AssayError, GateError, LeaseError, ProviderError
from assay.evidence.facts import FactCache
from assay.leases import clock, ending, holding, moments, names, runs
from assay.leases.book import Intent, Lease
from assay.leases.gate import Gate
from assay.leases.holder import this_process
from assay.leases.signals import SignalledError
from assay.leases.states import Care, Event, Reason, State
from assay.leases.visit import NO_MANIFEST, Visit
from assay.providers.interface import CreateRequest
from assay.workload.bundle import BundleLimits
from assay.workload.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from assay.appraisal.policy import Policy
    from assay.channel.messages import Exit
    from assay.leases.desk import Desk
    from assay.leases.moments import Moment
    from assay.leases.plan import Plan
    from assay.leases.signals import Relay
    from assay.leases.spool import Spool
    from assay.leases.states import Keep
    from assay.leases.sync import Source
    from assay.providers.interface import Machine, Provider, Trust
    from assay.settings.resolve import Settings
    from assay.store import Hold

CREATE_SECONDS: Final = 120.0
FIND_SECONDS: Final = 30.0
_FIND_PAUSE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Job:
    """What is to run.

    Attributes:
        argv: The command; empty to only lease and prove a machine.
        environment: Values of the variables that are sent, by name.
        keep: Whether the machine outlives the workload.
        detach: Whether the workload outlives this command.
        tty: Whether it gets a terminal.
        outputs: Paths that are wanted back.
        into: The new directory that they go to.
        attack: The attack that the local host is asked to play; empty for none.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, bytes] = field(repr=False)
    keep: Keep
    detach: bool
    tty: bool
    outputs: tuple[str, ...]
    into: Path | None
    attack: str


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a run's streams and signals go.

    Attributes:
        report: Told what happens.
        on_output: Given ``stdout`` or ``stderr`` and each piece.
        stdin: Descriptor of the workload's input, or None.
        relay: This process's signals.
        size: Rows and columns of the terminal; zeros without one.
    """

    report: Callable[[Moment], None]
    on_output: Callable[[str, bytes], None]
    stdin: int | None
    relay: Relay
    size: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class Outcome:
    """What became of a run.

    Attributes:
        plan: What was decided; None for a command that comes back to a lease.
        lease: The lease as it was left; None when none was intended.
        started: Whether the workload started.
        exit: How it ended, as the guest said; None when it did not say.
        receipt: Where its receipt is; None without one.
        error: What failed, if something did.
        signal: The signal that ended the run before the workload did; None otherwise.
    """

    plan: Plan | None
    lease: Lease | None = None
    started: bool = False
    exit: Exit | None = None
    receipt: Path | None = None
    error: AssayError | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run with everything decided and its files in the spool.

    Attributes:
        plan: What was decided.
        job: What is to run.
        spool: The files.
        source: Where they come from.
        settings: The settings.
    """

    plan: Plan
    job: Job
    spool: Spool
    source: Source
    settings: Settings

    def manifest(self, owner_key: bytes) -> Manifest:
        """Return the manifest for one owner, by the DER of the SubjectPublicKeyInfo.

        Raises:
            WorkloadError: When the command, a path or a name cannot stand in a manifest.
        """
        return Manifest(
            owner_key=owner_key,
            bundle=self.spool.listing.digest(),
            argv=self.job.argv,
            cwd=self.source.cwd,
            environment=tuple(sorted(self.job.environment)),
            limits=self.plan.terms.limits,
            network="none",
            outputs=tuple(sorted(set(self.job.outputs))),
            policy=self.plan.policy.digest,
            tty=self.job.tty,
        )

    def download_limits(self) -> BundleLimits:
        """Return the bounds of what is taken back."""
        return BundleLimits(
            entries=self.settings.number("download.max_files"),
            total_bytes=self.settings.number("download.max_bytes"),
        )


def check_clock(desk: Desk) -> None:
    """Refuse a clock that stands before verified evidence, before anything is created.

    Raises:
        GateError: ``lease.clock.before_evidence``.
    """
    with desk.db.read() as view:
        clock.check(view, desk.now())


def gate_for(trust: Trust, request: CreateRequest, *, policy: Policy, required: tuple[str, ...]) -> Gate:
    """Return the gate for one machine.

    Args:
        trust: What this side knows of the provider's machines.
        request: What was asked for; its launch configuration is measured.
        policy: What admits the machine.
        required: Ids of further checks that must have passed.
    """
    own = [root.anchor.fingerprint for root in trust.roots.entries if root.anchor.simulated]
    return Gate(
        trust=trust,
        policy=policy,
        required=required,
        launch=request.config.digest(),
        facts=FactCache(max_entries=64),
        root=own[0] if len(own) == 1 else None,
    )


class _Creation:
    """Creates the machine in a thread, so that this process gets ready while it boots."""

    def __init__(self, provider: Provider, request: CreateRequest) -> None:
        self._provider = provider
        self._request = request
        self._machine: Machine | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._create, name="create-machine", daemon=True)
        self._thread.start()

    def _create(self) -> None:
        try:
            self._machine = self._provider.create(self._request, timeout=CREATE_SECONDS)
        except Exception as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error

    def wait(self) -> Machine:
        """Return the machine, or raise what the provider raised."""
        self._thread.join()
        if self._machine is not None:
            return self._machine
        raise self._error or AmbiguousError("lease.create.silent", "The provider gave no answer.")


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
    with holding.Heartbeat(desk.db, hold):
        flow = _Flow(desk, prepared, ports, outcome, hold)
        flow.guarded(lambda: flow.new(provider, owner))
    holding.give_back(desk.db, hold)
    return outcome


def run_on(desk: Desk, prepared: Prepared, ports: Ports, lease: Lease) -> Outcome:
    """Run the job on a kept lease: a new session with a new admission.

    Raises:
        LeaseError: ``lease.held``, ``lease.not_kept``.
    """
    outcome = Outcome(prepared.plan)
    hold = holding.take_or_refuse(desk.db, lease.id, lease.slug)
    try:
        lease = desk.book.reload(lease.id)
        if lease.state is not State.KEPT:
            raise LeaseError(
                "lease.not_kept",
                f"The lease {lease.slug} is {lease.state.value}: only a kept one can run something again.",
                action=f"assay lease show {lease.slug}",
            )
        outcome.lease = lease
        with holding.Heartbeat(desk.db, hold):
            flow = _Flow(desk, prepared, ports, outcome, hold)
            flow.guarded(flow.again)
    finally:
        holding.give_back(desk.db, hold)
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
        self.creation: _Creation | None = None

    @property
    def lease(self) -> Lease:
        if self.visit is not None:
            return self.visit.lease
        if self.outcome.lease is None:
            raise LeaseError("lease.unknown", "No lease was intended.")
        return self.outcome.lease

    def guarded(self, work: Callable[[], None]) -> None:
        """Do the work; whatever ends it, give the machine back unless it is to stay."""
        try:
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
            self.outcome.lease = self.lease
            if self.visit is not None:
                self.visit.close()

    def _abandon(self, error: AssayError) -> None:
        self.ports.relay.hold()
        lease, hold, desk = self.lease, self.hold, self.desk
        if error.code == "store.fence.lost" or lease.state is State.RELEASED:
            return
        if self.creation is not None and lease.state is State.INTENDED:
            lease = self._after_creation(lease, self.creation)
        if isinstance(error, GateError):
            reason = Reason.REFUSED
            lease = ending.refuse(desk.book, lease, hold, error, self.visit.refused if self.visit else b"")
        else:
            reason = Reason.ASKED if error.code == "lease.interrupted" else Reason.FAILED
        if self.visit is not None:
            self.visit.lease = lease
            if self.run is not None and lease.state in (State.RUNNING, State.EXITED):
                ending.miss_receipt(self.visit, self.run, error, self.ports.report)
                lease = self.visit.lease
            self.visit.close()
        lease = ending.give_back(desk, lease, hold, reason, self.ports.report)
        self.outcome.lease = lease
        if self.visit is not None:
            self.visit.lease = lease

    def _after_creation(self, lease: Lease, creation: _Creation) -> Lease:
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
        self.creation = _Creation(provider, request)
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
        until = self.desk.db.now() + FIND_SECONDS
        while self.desk.db.now() < until:
            try:
                found = [item for item in provider.inventory(timeout=FIND_SECONDS) if item.lease == lease.id]
            except AmbiguousError:
                found = []
            if found:
                return found[0]
            self.desk.sleep(_FIND_PAUSE)
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
        visit.send(manifest, self.prepared.spool)
        self.run = visit.start(manifest)
        self._launch(visit, self.run)

    def _launch(self, visit: Visit, run: runs.Run) -> None:
        session, job, ports = visit.session, self.prepared.job, self.ports
        if session is None:
            raise LeaseError("lease.session.missing", "No session with the machine is open.")
        ports.relay.hang_up = visit.hang_up
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
        with ending.Overtime(visit, limits.time_seconds):
            found = session.follow(on_output=received.take, stdin=stdin, control=ports.relay)
        if found is None:
            raise LeaseError("lease.session.ended", "The guest ended the session without saying how it went.")
        ports.relay.hold()
        self.conclude(visit, run, found, received)

    def conclude(self, visit: Visit, run: runs.Run, found: Exit, received: ending.Received) -> None:
        """Record the end, fetch receipt and outputs, and keep or release the machine."""
        report = self.ports.report
        self.outcome.exit = found
        ending.note_exit(visit, run, found, received)
        report(moments.Exited(found))
        self.outcome.receipt = ending.fetch_receipt(visit, run, received, report)
        into = self.prepared.job.into
        if into is not None:
            try:
                limits = self.prepared.download_limits()
                ending.download(visit, into, limits, self.outcome.receipt, report)
            except AssayError as error:
                self.outcome.error = error
        ending.keep_or_release(visit, report, insist=self.ports.relay.release)


def request_of(lease: Lease, owner: bytes) -> CreateRequest:
    """Return the request of a lease: the same, whenever it is made again."""
    return CreateRequest(
        lease=lease.id,
        machine=lease.machine,
        platform=lease.platform,
        config=LaunchConfig(lease.id, owner, lease.ttl_seconds, lease.idle_seconds),
        expires_at=datetime.fromtimestamp(lease.expires_at, UTC),
        options=lease.options,
    )
