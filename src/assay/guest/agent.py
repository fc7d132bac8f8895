"""The agent: one owner, one phase, at most one workload, and an end that comes whatever happens."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay.channel.messages import Exit, RunRequest, Status
from assay.errors import AssayError, ChannelError, GuestError
from assay.guest.attester import Admission, Attester
from assay.guest.clock import now
from assay.guest.nonces import Nonces
from assay.guest.phases import Event, Phase, after
from assay.guest.run import Order, Run
from assay.receipts.receipt import Artefacts, Outcome, Receipt, Stream
from assay.workload.bundle import EMPTY, BundleLimits, Listing
from assay.workload.environment import check_values
from assay.workload.manifest import Manifest
from assay.workload.receive import Receiver
from assay.workload.remeasure import require_unaltered

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.channel.binding import SessionBinding
    from assay.channel.hello import Hello
    from assay.channel.launch import LaunchConfig
    from assay.channel.offer import Offered
    from assay.guest.quoting import QuotingDevice
    from assay.workload.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the agent waits, in seconds.

    Attributes:
        preamble: For a whole HELLO.
        handshake: For making and sending Evidence.
        appraisal: From then until TLS stands: the owner appraises in between.
        upload: For each part of a bundle.
        grace: Between the loss of the last session of a workload that is not detached, and its end.
        farewell: For sending what is left to say when the guest ends.
    """

    preamble: float = 10.0
    handshake: float = 30.0
    appraisal: float = 120.0
    upload: float = 60.0
    grace: float = 10.0
    farewell: float = 2.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A bundle that arrived and is what its manifest says."""

    manifest: Manifest
    work: Path
    bundle: bytes
    listing: Listing


@dataclass(frozen=True, slots=True)
class Proven:
    """A start that was proven: what may run now."""

    delivery: Delivery
    admission: Admission
    binding: SessionBinding
    offered: Offered


def _silent() -> None:
    """Say nothing."""


class Agent:
    """The state of one guest; methods may be called from several threads.

    Args:
        config: The measured launch configuration.
        device: The quoting device.
        sandbox: Where workloads run.
        directory: The agent's own directory, empty; it is removed at the end.
        timing: How long to wait.
        clock: A clock that only goes forward.

    Attributes:
        config: The launch configuration.
        timing: How long to wait.
        nonces: Nonces that were used.
        attester: What proves.
        deadline: When the guest ends, on ``clock``.
        ended: Set once the guest is released, by whomever.
        ended_descriptor: Readable from then on.
    """

    def __init__(
        self,
        config: LaunchConfig,
        device: QuotingDevice,
        sandbox: Sandbox,
        directory: Path,
        timing: Timing,
        clock: Callable[[], float] = now,
    ) -> None:
        self.config = config
        self.timing = timing
        self.nonces = Nonces()
        self.attester = Attester(
            device, lease=config.lease, owner_key=config.owner_key, isolation=sandbox.rung.value
        )
        self.deadline = clock() + config.ttl_seconds
        self.ended = threading.Event()
        self.ended_descriptor = os.eventfd(0, os.EFD_CLOEXEC)
        self._clock = clock
        self._sandbox = sandbox
        self._directory = directory
        self._private = directory / "agent"
        self._private.mkdir(mode=0o700)
        self._lock = threading.RLock()
        self._phase = Phase.WAITING
        self._sequence = 0
        self._deliveries = 0
        self._run: Run | None = None
        self._holder: Admission | None = None
        self._receipt = b""
        self._sessions = 0
        self._active_at = clock()

    @property
    def phase(self) -> Phase:
        """Where the guest is in its life."""
        return self._phase

    def admit(self, hello: Hello) -> Admission:
        """Answer a HELLO whose signature was checked; uses its nonce up before anything is made for it.

        Raises:
            ChannelError: ``channel.nonce.reused``, ``channel.nonce.exhausted``.
            GuestError: ``guest.phase.refused``, ``guest.platform.unsupported``, ``guest.quoting.*``.
        """
        self.nonces.use(hello.nonce)
        if self._phase is Phase.RELEASED:
            raise GuestError("guest.phase.refused", "This guest was released.")
        return self.attester.admit(hello)

    def opened(self) -> None:
        """Note that an owner's session began."""
        with self._lock:
            self._sessions += 1

    def closed(self) -> None:
        """Note that an owner's session is over."""
        with self._lock:
            self._sessions -= 1
            self._active_at = self._clock()

    def idle_seconds(self) -> float:
        """Return for how long there was neither a session nor a workload."""
        with self._lock:
            if self._sessions or self._phase is Phase.RUNNING:
                self._active_at = self._clock()
            return self._clock() - self._active_at

    def begin_bundle(self, manifest_bytes: bytes, admission: Admission) -> tuple[Manifest, Receiver]:
        """Begin to take a bundle.

        Raises:
            ChannelError: ``channel.manifest.other`` when the manifest is not the one of this admission,
                ``channel.manifest.owner`` when it is another owner's.
            WorkloadError: ``workload.manifest.*``.
            GuestError: ``guest.phase.refused``.
        """
        if hashlib.sha256(manifest_bytes).digest() != admission.hello.manifest:
            raise ChannelError(
                "channel.manifest.other", "The manifest is not the one that this session was admitted for."
            )
        manifest = Manifest.decode(manifest_bytes)
        if manifest.owner_key != self.config.owner_key:
            raise ChannelError("channel.manifest.owner", "The manifest names another owner.")
        if manifest.limits.ttl_seconds != self.config.ttl_seconds:
            raise ChannelError(
                "channel.manifest.ttl",
                "The manifest names another time to live than this guest was launched with.",
            )
        with self._lock:
            self._advance(Event.BUNDLE_BEGUN)
            self._holder = admission
            self._deliveries += 1
            holder = self._directory / f"run-{self._deliveries}"
            holder.mkdir()
            holder.chmod(0o711)  # whatever the umask is: see the storage directory in ``__main__``
            limits = BundleLimits(total_bytes=manifest.limits.disk_bytes)
            return manifest, Receiver(holder / "work", limits, expected=manifest.bundle, links=True)

    def abandon(self, admission: Admission) -> None:
        """Go back to waiting if what this session began is not running: it will not be finished."""
        with self._lock:
            if self._holder is admission and self._phase in (Phase.BUNDLE, Phase.STARTED):
                self._advance(Event.ABANDONED)
                _wipe(self._directory / f"run-{self._deliveries}")

    def prove_start(self, delivery: Delivery, admission: Admission, nonce: bytes) -> Proven:
        """Measure and prove what is about to run.

        Raises:
            ChannelError: ``channel.nonce.reused``.
            WorkloadError: ``workload.bundle.altered`` when it is not any more what arrived.
            GuestError: ``guest.phase.refused``, ``guest.quoting.*``.
        """
        self._require(admission, Event.START_PROVEN)
        require_unaltered(delivery.work, delivery.listing)
        self.nonces.use(nonce)
        # Not under the lock: a quoting device may take its time, and the end of the guest must not wait for
        # it.
        binding, offered = self.attester.start(admission, nonce, delivery.bundle)
        with self._lock:
            self._require(admission, Event.START_PROVEN)
            self._advance(Event.START_PROVEN)
            return Proven(delivery, admission, binding, offered)

    def launch(self, proven: Proven, request: RunRequest) -> Run:
        """Start the workload that was proven.

        Raises:
            WorkloadError: ``workload.environment.*``.
            GuestError: ``guest.phase.refused``.
        """
        check_values(proven.delivery.manifest.environment, dict(request.environment))
        with self._lock:
            self._require(proven.admission, Event.LAUNCHED)
            self._advance(Event.LAUNCHED)
            self._holder = None
            self._drop_run()
            self._sequence += 1
            order = Order(
                self._sequence, proven.delivery.manifest, proven.delivery.work, request, self.deadline
            )
            run = Run(order, self._sandbox, self._private, lambda run, ended: self._ended(run, ended, proven))
            self._run = run
        run.start()
        return run

    def current(self) -> Run:
        """Return the last execution.

        Raises:
            GuestError: ``guest.run.none``.
        """
        run = self._run
        if run is None:
            raise GuestError("guest.run.none", "Nothing was run here yet.")
        return run

    def receipt(self) -> bytes:
        """Return the receipt of the last execution that ended.

        Raises:
            GuestError: ``guest.receipt.none``.
        """
        with self._lock:
            if not self._receipt:
                raise GuestError("guest.receipt.none", "There is no receipt before a workload has ended.")
            return self._receipt

    def status(self) -> Status:
        """Return what the guest is doing."""
        with self._lock:
            run = self._run
            return Status(
                phase=self._phase.value,
                sequence=self._sequence,
                detached=run.detached if run else False,
                stdout_bytes=run.stdout.size if run else 0,
                stderr_bytes=run.stderr.size if run else 0,
                seconds_left=max(0, int(self.deadline - self._clock())),
                exit=run.exit if run else None,
            )

    def release(self, reason: str, last_word: Callable[[], None] = _silent) -> None:
        """End the workload, wipe everything, and end the guest; the second call does nothing.

        Args:
            reason: Why a running workload is ended.
            last_word: Called when everything is wiped, before the guest counts as ended.
        """
        with self._lock:
            if self._phase is Phase.RELEASED:
                return
            self._advance(Event.RELEASED)
            run = self._run
        if run is not None:
            run.stop(reason)
            if run.wait(self.timing.farewell) is not None:
                run.wait_told(self.timing.farewell)
            run.close()
        self.attester.forget()
        _wipe(self._directory)
        with suppress(AssayError):
            last_word()
        self.ended.set()
        os.eventfd_write(self.ended_descriptor, 1)

    def _require(self, admission: Admission, event: Event) -> None:
        """Refuse ``event`` unless it has a place now, and ``admission`` is the one whose bundle is here."""
        after(self._phase, event)
        if self._holder is not admission:
            raise GuestError("guest.phase.refused", "Another session's bundle is being taken.")

    def _advance(self, event: Event) -> None:
        self._phase = after(self._phase, event)

    def _drop_run(self) -> None:
        if self._run is not None:
            self._run.close()
            _wipe(self._run.order.work.parent)
            self._run = None

    def _ended(self, run: Run, ended: Exit, proven: Proven) -> None:
        receipt = _receipt_of(run, ended, proven, self._sandbox.rung.value)
        with self._lock:
            if self._phase is Phase.RUNNING:
                self._receipt = receipt.encode(self.attester.signer())
                self._advance(Event.ENDED)


def _receipt_of(run: Run, ended: Exit, proven: Proven, isolation: str) -> Receipt:
    listing = run.outputs.listing if run.outputs is not None else EMPTY
    return Receipt(
        lease=proven.binding.lease,
        sequence=ended.sequence,
        owner=hashlib.sha256(proven.binding.owner_key).digest(),
        admission_nonce=proven.admission.binding.nonce,
        start_nonce=proven.binding.nonce,
        manifest=proven.binding.manifest,
        bundle=proven.delivery.bundle,
        stdin=Stream(*run.stdin_digest()),
        stdout=Stream(run.stdout.digest(), run.stdout.size),
        stderr=Stream(run.stderr.digest(), run.stderr.size),
        artefacts=Artefacts(
            sha256=listing.digest(),
            entries=len(listing.entries),
            size=listing.total_bytes(),
            # Outputs beyond all bounds are not taken at all, and the receipt says that they are missing.
            skipped=len(run.outputs.skipped if run.outputs is not None else run.order.manifest.outputs),
        ),
        outcome=Outcome(ended.reason, ended.code, ended.signal),
        isolation=isolation,
        admission_evidence=proven.admission.offered.digest(),
        start_evidence=proven.offered.digest(),
        started_at=run.started_at,
        ended_at=run.ended_at,
    )


def _wipe(directory: Path) -> None:
    """Remove ``directory`` with everything in it, also what a workload made unreadable."""
    for found, below, _ in os.walk(directory):
        for name in below:
            path = Path(found, name)
            if not path.is_symlink():
                with suppress(OSError):
                    path.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)
