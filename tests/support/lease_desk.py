"""A desk over a hostile cloud, and a client that can be killed between any two instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assay.audit import entry as entries
from assay.channel.launch import LaunchConfig
from assay.channel.owner import OwnerKey
from assay.leases import holding, names, release, runs
from assay.leases.book import Intent, Lease
from assay.leases.desk import Desk
from assay.leases.holder import Holder, this_process
from assay.leases.states import Event, Keep, Reason
from assay.providers.interface import CreateRequest
from support.provider_hostile import Cloud, HostileProvider

if TYPE_CHECKING:
    from pathlib import Path

TTL, IDLE = 600, 300


class KilledError(BaseException):
    """The process died here; nothing after it runs."""


class Fuse:
    """Kills at the n-th fault point; ``points`` are those that were passed."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.points: list[str] = []

    def __call__(self, point: str) -> None:
        self.points.append(point)
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise KilledError(point)


def dead_holder() -> Holder:
    """Return a holder of which this kernel knows that it has ended."""
    own = this_process()
    return Holder(own.boot, own.namespace, own.pid, own.started - 1)


def open_desk(
    state_dir: Path, cloud: Cloud, *, fuse: Fuse | None = None, settle: float = 0.0, **given: Any
) -> Desk:
    """Return a desk whose only provider is a hostile cloud."""
    provider = HostileProvider(cloud)
    type(provider).settle_seconds = settle
    environ = {"ASSAY_STATE_DIR": str(state_dir), "PATH": "/usr/bin:/bin"}
    return Desk.open(environ, at=fuse or (lambda _: None), providers={"hostile": provider}, **given)


class Client:
    """The steps of a run against a book, without a guest: what crashes and recovery are about.

    Its holds are those of a process that has ended, so that the next command may take over at once.
    """

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.lease: Lease | None = None
        self.hold = None

    def intend(self, keep: Keep = Keep.NEVER) -> Lease:
        self.owner = OwnerKey.create()
        lease_id = names.new_lease_id()
        self.lease, self.hold = self.desk.book.intend(
            Intent(
                lease_id,
                "hostile",
                "small",
                "tdx",
                {},
                self.owner.spki,
                TTL,
                IDLE,
                keep,
                self.desk.provider("hostile").settle_seconds,
            ),
            dead_holder().encode(),
            holding.HOLD_SECONDS,
        )
        self.desk.keys.add(lease_id, self.owner)
        self.desk.book.at("key.added")
        return self.lease

    def request(self) -> CreateRequest:
        from datetime import UTC, datetime

        lease = self.lease
        return CreateRequest(
            lease.id,
            "small",
            "tdx",
            LaunchConfig(lease.id, lease.owner_key, TTL, IDLE),
            datetime.fromtimestamp(lease.expires_at, UTC),
        )

    def create(self) -> None:
        machine = self.desk.provider("hostile").create(self.request(), timeout=5)
        self.desk.book.at("create.answered")
        self.step(Event.CREATED, machine_id=machine.id)

    def step(self, event: Event, **changes: Any) -> None:
        self.lease = self.desk.book.step(self.lease, event, self.hold, **changes)

    def run(self, *, succeeded: bool = True) -> None:
        self.step(Event.ADMITTED)
        self.step(Event.SENT)
        self.step(Event.STARTED)
        self.step(Event.EXITED, succeeded=int(succeeded))
        self.step(Event.RECEIPT)

    def release(self, reason: Reason = Reason.DONE) -> None:
        book, provider = self.desk.book, self.desk.provider("hostile")
        self.lease = release.begin(book, self.lease, self.hold, reason)
        self.lease = release.finish(book, self.desk.keys, provider, self.lease, self.hold)

    def whole(self, keep: Keep = Keep.NEVER) -> None:
        self.intend(keep)
        self.create()
        self.run()
        if keep is Keep.NEVER:
            self.release()
        else:
            self.step(Event.KEPT, used_at=self.desk.db.now())


def kinds(desk: Desk, lease: str) -> list[str]:
    """Return the kinds of a lease's log entries, in order."""
    found = [entries.decode(desk.log.entry(index)) for index in range(desk.log.size())]
    return [entry.kind for entry in found if entry.lease == lease]


def assert_sound(desk: Desk, cloud: Cloud) -> None:
    """Assert that nothing is left of a lease that is not meant to live, and that the log tells all once."""
    live = {lease.id for lease in desk.book.live()}
    assert desk.keys.held() == live
    for record in cloud.machines.values():
        assert record.lease in live, f"{record} is left"
    assert_whole(desk)


def assert_whole(desk: Desk) -> None:
    """Assert that the log has each event of each lease once, in an order that the states allow."""
    from assay.leases.book import INTENDED
    from assay.leases.states import State, after

    story: dict[str, list[str]] = {}
    for index in range(desk.log.size()):
        entry = entries.decode(desk.log.entry(index))
        story.setdefault(entry.lease, []).append(entry.kind)
    for lease in desk.book.history(10_000):
        told = story[lease.id]
        assert told[0] == INTENDED
        state = State.INTENDED
        for kind in told[1:]:
            state = after(state, Event(kind))
        assert state is lease.state
        assert lease.revision == len(told)
        with desk.db.read() as view:
            assert len(runs.of_lease(view, lease.id)) <= told.count("evidence.started")
            nonces = view.one("SELECT count(*) FROM nonces WHERE lease = ?", (lease.id,))[0]
        assert state is not State.RELEASED or nonces == 0
