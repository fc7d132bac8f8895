"""One command's dealings with one machine: proven, bound, and only then spoken to.

A visit holds the lease. Everything that happens is in the book before the next thing is done: evidence that
was accepted is recorded before the first byte goes to the guest, and the start before the workload runs.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from assay.channel import runtime
from assay.channel.binding import MANIFEST_DIGEST_BYTES, Purpose, SessionBinding
from assay.channel.client import OwnerSession, open_session
from assay.errors import (
    AmbiguousError,
    AssayError,
    ChannelError,
    GateError,
    GoneError,
    LeaseError,
    ProviderError,
)
from assay.leases import clock, moments, nonces, refusals, runs
from assay.leases.states import Event, State
from assay.providers.interface import MachineState

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from assay.appraisal.result import AttestationResult
    from assay.channel.offer import Offered
    from assay.channel.owner import OwnerKey
    from assay.leases.book import Fact, Lease
    from assay.leases.desk import Desk
    from assay.leases.gate import Gate
    from assay.leases.moments import Moment
    from assay.leases.record import AppraisalRecord
    from assay.leases.spool import Spool
    from assay.providers.interface import Machine, Provider
    from assay.store import Hold, Transaction
    from assay.workload.manifest import Manifest

ANSWER_SECONDS: Final = 30.0
"""How long a guest may take for an answer that should come at once."""
NO_MANIFEST: Final = bytes(MANIFEST_DIGEST_BYTES)
"""The manifest slot of a session that runs nothing."""
_FIRST_PAUSE: Final = 0.05
_LAST_PAUSE: Final = 2.0
_TRANSIENT: Final = ("channel.peer.", "guest.device.", "guest.quote.", "quoting.")


class Visit:
    """Dealings with the machine of one lease.

    Args:
        desk: What the command works with.
        lease: The lease as it was read.
        hold: This process's hold on it.
        provider: Where the machine is.
        machine: The machine.
        judge: The gate.
        renew: Makes the gate again, with collateral that may be there by now.
        owner: The owner's key.
        report: Told what happens.

    Attributes:
        lease: The lease as it is now.
        session: The open session; None before an admission.
        admission: SHA-256 of the accepted admission evidence.
        refused: SHA-256 of the evidence that was refused; empty when none was.
    """

    def __init__(
        self,
        desk: Desk,
        lease: Lease,
        hold: Hold,
        *,
        provider: Provider,
        machine: Machine,
        judge: Gate,
        renew: Callable[[], Gate],
        owner: OwnerKey,
        report: Callable[[Moment], None],
    ) -> None:
        self.desk = desk
        self.lease = lease
        self.hold = hold
        self.session: OwnerSession | None = None
        self.admission = b""
        self.refused = b""
        self._provider = provider
        self._machine = machine
        self._gate = judge
        self._renew = renew
        self._owner = owner
        self._report = report
        self._socket: socket.socket | None = None
        self._bundle = b""
        self._start_nonce: nonces.Nonce | None = None

    def admit(self, manifest: bytes, budget: float) -> OwnerSession:
        """Open an attested session for one manifest.

        Args:
            manifest: Digest of the manifest, 32 bytes, or ``NO_MANIFEST``.
            budget: Seconds during which what could not be checked is tried again, with nothing sent.

        Raises:
            GateError: ``gate.refused``, ``gate.unverifiable``, ``lease.clock.before_evidence``.
            LeaseError: ``lease.machine.gone``.
        """
        deadline = self.desk.monotonic() + budget
        pause = _FIRST_PAUSE
        while True:
            try:
                self.session = self._attempt(manifest, max(deadline - self.desk.monotonic(), 1.0))
            except AssayError as error:
                final = _final(error)
                if final is not None:
                    raise final from error
                if self.desk.monotonic() + pause >= deadline:
                    raise _unverifiable(error) from error
                self._report(moments.Retrying(f"{error.message} [{error.code}]"))
                if isinstance(error, GateError):
                    self._gate = self._renew()
            else:
                self._report(moments.Bound(self.session.binding))
                return self.session
            self.desk.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)

    def _attempt(self, manifest: bytes, left: float) -> OwnerSession:
        nonce = nonces.draw(self.desk.db, self.lease.id, Purpose.ADMISSION)
        self.desk.book.at("admission.nonce")
        self._socket = self._connect(min(left, ANSWER_SECONDS))
        self.desk.book.at("admission.connected")

        def appraise(offered: Offered, binding: SessionBinding) -> None:
            result, record = self._judge(offered, binding, nonce)
            self._accept_admission(offered, result, record, nonce)

        return open_session(
            self._socket,
            lease=self.lease.id,
            owner=self._owner,
            nonce=nonce.value,
            platform=self.lease.platform,
            manifest=manifest,
            appraise=appraise,
            timeout=min(left, ANSWER_SECONDS),
        )

    def _connect(self, seconds: float) -> socket.socket:
        """Return a connection to the guest.

        Raises:
            GoneError: When the machine does not exist, or has stopped by itself.
            AmbiguousError: When its guest does not answer yet.
        """
        try:
            return self._provider.connect(self._machine, timeout=seconds)
        except (GoneError, AmbiguousError):
            raise
        except (ProviderError, OSError) as error:
            found = self._provider.describe(self._machine.id, timeout=seconds)
            if found.state is MachineState.STOPPED:
                raise GoneError("lease.machine.stopped", "The machine has stopped by itself.") from error
            reason = error.message if isinstance(error, ProviderError) else str(error)
            raise AmbiguousError("lease.machine.silent", reason) from error

    def _judge(
        self, offered: Offered, binding: SessionBinding, nonce: nonces.Nonce
    ) -> tuple[AttestationResult, AppraisalRecord]:
        now = self.desk.now()
        with self.desk.db.read() as view:
            clock.check(view, now)
            known = runs.of_lease(view, self.lease.id)
        events = runs.history(known)
        if nonce.purpose is Purpose.START:
            events += runtime.events_of_start(offered.isolation, binding.manifest, self._bundle)
        record = self._gate.record(
            binding,
            isolation=offered.isolation,
            history=events,
            nonce_made_at=datetime.fromtimestamp(nonce.drawn_at, UTC),
        )
        result = self._gate.judge(offered.evidence, record, now=now)
        self._report(moments.Judged(nonce.purpose, result))
        if not result.accepted:
            self.refused = self.desk.vault.put(offered.evidence)
        refusals.require(result, nonce.purpose)
        return result, record

    def _accept_admission(
        self, offered: Offered, result: AttestationResult, record: AppraisalRecord, nonce: nonces.Nonce
    ) -> None:
        event = Event.ATTACHED if self.lease.state is State.RUNNING else Event.ADMITTED
        self.admission = self.desk.vault.put(offered.evidence)
        self.lease = self.desk.book.step(
            self.lease,
            event,
            self.hold,
            facts=self._facts(result, record, self.admission),
            also=lambda tx: _accepted(tx, result, nonce),
        )

    def _facts(self, result: AttestationResult, record: AppraisalRecord, evidence: bytes) -> dict[str, Fact]:
        collateral = self._gate.trust.collateral
        kept = b"" if collateral is None else self.desk.vault.put(collateral.to_bundle_json())
        return {
            "evidence": evidence.hex(),
            "collateral": kept.hex() or None,
            "record": self.desk.vault.put(record.encode()).hex(),
            "policy": record.policy_digest.hex(),
            "nonce": record.binding.nonce.hex(),
            "platform": result.platform,
            "simulated": result.simulated,
            "isolation": result.context.isolation,
            "checks": len(result.ledger),
        }

    def send(self, manifest: Manifest, spool: Spool) -> None:
        """Send manifest and bundle over the admitted channel.

        Raises:
            ChannelError: The guest refused, or the connection failed.
        """
        session = self._open_session()
        self._bundle = manifest.bundle
        size = spool.size()
        session.send_bundle(
            manifest.encode(),
            spool.stream(),
            size,
            lambda sent, whole: self._report(moments.Sending(sent, whole)),
        )
        files = len(spool.listing.entries)

        def record(tx: Transaction) -> None:
            self._start_nonce = nonces.record(tx, self.lease.id, Purpose.START)

        self.lease = self.desk.book.step(
            self.lease,
            Event.SENT,
            self.hold,
            facts={"manifest": manifest.digest().hex(), "files": files, "bytes": size},
            salted={"bundle": manifest.bundle},
            also=record,
        )
        self._report(moments.Sent(files, spool.listing.total_bytes()))

    def start(self, manifest: Manifest) -> runs.Run:
        """Have the guest prove what it was sent; return the execution, recorded before it runs.

        Raises:
            GateError: ``gate.refused``, ``gate.unverifiable``.
            ChannelError: The guest refused, or presented evidence of another session or purpose.
        """
        session = self._open_session()
        nonce = self._start_nonce
        if nonce is None:
            raise LeaseError("lease.bundle.missing", "Nothing was sent that could start.")
        found: list[runs.Run] = []

        def appraise(offered: Offered, binding: SessionBinding) -> None:
            if offered.isolation != session.offered.isolation:
                raise GateError(
                    "gate.isolation.changed",
                    "The guest states another isolation at the start than at its admission.",
                )
            result, record = self._judge(offered, binding, nonce)
            found.append(self._accept_start(offered, result, record, nonce, manifest))

        try:
            session.start_evidence(nonce.value, appraise)
        except ChannelError as error:
            if error.code.startswith(_TRANSIENT):
                raise
            raise refusals.of_error(error, Purpose.START) from error
        return found[0]

    def _accept_start(
        self,
        offered: Offered,
        result: AttestationResult,
        record: AppraisalRecord,
        nonce: nonces.Nonce,
        manifest: Manifest,
    ) -> runs.Run:
        evidence = self.desk.vault.put(offered.evidence)
        kept = self.desk.vault.put(manifest.encode())
        facts = self._facts(result, record, evidence) | {"manifest": kept.hex()}
        made: list[runs.Run] = []

        def enter(tx: Transaction) -> None:
            _accepted(tx, result, nonce)
            run = runs.Run(
                lease=self.lease.id,
                sequence=len(runs.of_lease(tx, self.lease.id)) + 1,
                manifest=record.binding.manifest,
                bundle=manifest.bundle,
                isolation=offered.isolation,
                started_at=tx.now(),
                admission=self.admission,
                start=evidence,
                binding=record.binding,
                admission_nonce=self._open_session().binding.nonce,
            )
            runs.add(tx, run)
            made.append(run)

        self.lease = self.desk.book.step(
            self.lease, Event.STARTED, self.hold, facts=facts, also=enter, succeeded=None
        )
        return made[0]

    def _open_session(self) -> OwnerSession:
        if self.session is None:
            raise LeaseError("lease.session.missing", "No session with the machine is open.")
        return self.session

    def hang_up(self) -> None:
        """Break the connection from another thread: whoever waits for the guest stops waiting."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(2)

    def close(self) -> None:
        """Close the session, if one is open."""
        if self.session is not None:
            self.session.close()
            self.session = None


def _accepted(tx: Transaction, result: AttestationResult, nonce: nonces.Nonce) -> None:
    nonces.spend(tx, nonce)
    claims: Any = result.evidence.claims
    clock.remember(tx, claims.tcb.collateral_valid_from, "collateral")


def _final(error: AssayError) -> AssayError | None:
    """Return the error that ends the attempts, or None when another one may succeed."""
    if isinstance(error, GateError):
        return None if error.code == "gate.unverifiable" else error
    if isinstance(error, GoneError):
        return LeaseError("lease.machine.gone", f"The machine does not exist any more: {error.message}")
    if isinstance(error, AmbiguousError):
        return None
    if isinstance(error, ChannelError):
        return None if error.code.startswith(_TRANSIENT) else refusals.of_error(error, Purpose.ADMISSION)
    return error


def _unverifiable(error: AssayError) -> AssayError:
    if isinstance(error, GateError):
        return error
    return refusals.unverifiable(error.code, error.message, Purpose.ADMISSION)
