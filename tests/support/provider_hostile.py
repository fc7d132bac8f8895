"""A cloud in memory that lies, hangs, loses answers, lists in part and drifts; a provider that stands on it.

``Cloud`` is the hostile service: its ``machines`` are the truth, its answers are not. ``HostileProvider`` is
what a careful provider makes of such a service: it keeps the contract of ``assay.providers.interface``
whatever the cloud answers. A test scripts faults and then looks at the truth:

    cloud = Cloud()
    provider = HostileProvider(cloud)
    cloud.fault("create", Fault.LOSE_ANSWER)
    with pytest.raises(AmbiguousError):
        provider.create(request, timeout=1)
    assert len(cloud.machines) == 1          # the machine exists, and only reconciling finds out

Nothing sleeps: a hang moves ``cloud.clock`` to the deadline.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from assay.errors import AmbiguousError, GoneError, ProviderError
from assay.evidence.roots import Roots
from assay.providers.interface import (
    CreateRequest,
    Machine,
    MachineState,
    Offer,
    Provider,
    SupportsExpiry,
    Trust,
)

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = 2
PASSES = 4


class Fault(Enum):
    """What the cloud does wrong with one call."""

    LOSE_ANSWER = auto()  # does it, then the connection breaks
    DROP_REQUEST = auto()  # does nothing, the connection breaks
    HANG = auto()  # does nothing until the deadline
    SERVER_ERROR = auto()  # does nothing, says 500
    REFUSE = auto()  # does nothing, says so definitively
    EMPTY = auto()  # does it, answers with nothing
    GARBAGE = auto()  # does it, answers about something else
    PARTIAL = auto()  # leaves machines out of a list, and says that it is complete
    DRIFT = auto()  # moves machines between pages while they are listed
    STALE = auto()  # answers from before the last change
    IGNORE = auto()  # says done and does nothing
    DUPLICATE = auto()  # makes two machines for one token


class CloudTimeoutError(Exception):
    """No answer arrived."""


class CloudRefusalError(Exception):
    """The cloud said no."""


class CloudMissingError(Exception):
    """The cloud said that there is no such thing."""


class CloudFailureError(Exception):
    """The cloud said 500."""


@dataclass(frozen=True)
class Record:
    """One machine that truly exists."""

    id: str
    lease: str
    state: str
    created_at: datetime
    expires_at: datetime
    spec: tuple[str, str, bytes]


class Cloud:
    """The service; ``machines`` is the truth."""

    def __init__(self) -> None:
        self.machines: dict[str, Record] = {}
        self.clock = 0.0
        self.calls: list[str] = []
        self._before: dict[str, Record] = {}
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def fault(self, call: str, *faults: Fault) -> None:
        """Let the next calls of this name (``create``, ``list``, ``get``, ``delete``) go wrong in turn."""
        self._faults[call].extend(faults)

    def of_lease(self, lease: str) -> list[Record]:
        """Return the machines that truly exist for a lease."""
        return [record for record in self.machines.values() if record.lease == lease]

    def _next(self, call: str, timeout: float) -> Fault | None:
        self.calls.append(call)
        fault = self._faults[call].popleft() if self._faults[call] else None
        if fault is Fault.HANG:
            self.clock += timeout
        if fault in (Fault.HANG, Fault.DROP_REQUEST):
            raise CloudTimeoutError
        if fault is Fault.SERVER_ERROR:
            raise CloudFailureError
        if fault is Fault.REFUSE:
            raise CloudRefusalError
        return fault

    def _answer(self, fault: Fault | None, answer: dict[str, Any]) -> dict[str, Any]:
        if fault is Fault.LOSE_ANSWER:
            raise CloudTimeoutError
        if fault is Fault.EMPTY:
            return {}
        if fault is Fault.GARBAGE:
            return {"id": "somebody-elses", "lease": "somebody-elses", "state": "42", "items": None}
        return answer

    def create(self, request: CreateRequest, timeout: float) -> dict[str, Any]:
        with self._lock:
            fault = self._next("create", timeout)
            spec = (request.machine, request.platform, request.config.encode())
            found = self.of_lease(request.lease)
            if found and found[0].spec != spec:
                raise CloudRefusalError
            if fault is not Fault.IGNORE:
                self._before = dict(self.machines)
                for _ in range(max(0, (2 if fault is Fault.DUPLICATE else 1) - len(found))):
                    found.append(self._make(request, spec))
            return self._answer(fault, describe(found[0]) if found else {})

    def _make(self, request: CreateRequest, spec: tuple[str, str, bytes]) -> Record:
        record = Record(
            id=f"m-{next(self._numbers):04}",
            lease=request.lease,
            state="running",
            created_at=datetime(2026, 11, 21, tzinfo=UTC),
            expires_at=request.expires_at,
            spec=spec,
        )
        self.machines[record.id] = record
        return record

    def list(self, offset: int, timeout: float) -> dict[str, Any]:
        with self._lock:
            fault = self._next("list", timeout)
            world = list((self._before if fault is Fault.STALE else self.machines).values())
            if fault is Fault.PARTIAL:
                world = world[:-1]
            if fault is Fault.DRIFT:
                # A machine of an earlier page has gone, so one that was not listed yet moves onto it.
                offset += 1
            page = [describe(record) for record in world[offset : offset + PAGE]]
            more = offset + PAGE < len(world)
            return self._answer(fault, {"items": page, "next": offset + PAGE if more else None})

    def get(self, machine_id: str, timeout: float) -> dict[str, Any]:
        with self._lock:
            fault = self._next("get", timeout)
            world = self._before if fault is Fault.STALE else self.machines
            if machine_id not in world:
                raise CloudMissingError
            return self._answer(fault, describe(world[machine_id]))

    def delete(self, machine_id: str, timeout: float) -> dict[str, Any]:
        with self._lock:
            fault = self._next("delete", timeout)
            if machine_id not in self.machines:
                raise CloudMissingError
            if fault is not Fault.IGNORE:
                self._before = dict(self.machines)
                del self.machines[machine_id]
            return self._answer(fault, {})

    def stop(self, machine_id: str) -> None:
        """Let a machine stop by itself."""
        self.machines[machine_id] = replace(self.machines[machine_id], state="stopped")


def describe(record: Record) -> dict[str, Any]:
    """Return what the cloud says of a machine when it tells the truth."""
    return {
        "id": record.id,
        "lease": record.lease,
        "state": record.state,
        "created": record.created_at.isoformat(),
        "expires": record.expires_at.isoformat(),
    }


def no_trust(request: CreateRequest) -> Trust:
    """Return what is known of a cloud that proves nothing, its launch configuration aside."""
    references = {"mr_td": frozenset({bytes(48)}), "mr_config_id": frozenset({request.config.digest()})}
    return Trust(Roots.vendor(), None, references, "strict")


class HostileProvider(Provider, SupportsExpiry):
    """A provider that keeps the contract on top of ``Cloud``.

    Args:
        cloud: The service.
        trust: What ``trust`` answers.
        guest: Called with the machine and the far end of each connection; without, it stays open unanswered.
    """

    name = "hostile"

    def __init__(
        self,
        cloud: Cloud,
        *,
        trust: Callable[[CreateRequest], Trust] = no_trust,
        guest: Callable[[Machine, socket.socket], None] | None = None,
    ) -> None:
        self.cloud = cloud
        self.far_ends: list[socket.socket] = []
        self._trust = trust
        self._guest = guest

    def offers(self) -> tuple[Offer, ...]:
        return (Offer(self.name, "small", "tdx", None, simulated=True, isolation="none"),)

    def create(self, request: CreateRequest, *, timeout: float) -> Machine:
        offered = [(offer.machine, offer.platform) for offer in self.offers()]
        if (request.machine, request.platform) not in offered:
            raise ProviderError("provider.hostile.offer", "There is no such machine.")
        try:
            answer = self.cloud.create(request, timeout)
        except CloudRefusalError:
            raise ProviderError("provider.hostile.refused", "The cloud refused.") from None
        except (CloudTimeoutError, CloudFailureError) as error:
            raise _ambiguous("create") from error
        machine = _machine(answer, "create")
        if machine.lease != request.lease:
            raise _ambiguous("create")
        return machine

    def inventory(self, *, timeout: float) -> tuple[Machine, ...]:
        # One pass can miss machines that move between pages or are left out: two must agree.
        earlier: tuple[Machine, ...] | None = None
        for _ in range(PASSES):
            found = self._pass(timeout)
            if found == earlier:
                return found
            earlier = found
        raise _ambiguous("inventory")

    def _pass(self, timeout: float) -> tuple[Machine, ...]:
        found: list[Machine] = []
        offset: int | None = 0
        while offset is not None:
            try:
                answer = self.cloud.list(offset, timeout)
            except (CloudTimeoutError, CloudFailureError, CloudRefusalError, CloudMissingError) as error:
                raise _ambiguous("inventory") from error
            if not isinstance(answer.get("items"), list) or "next" not in answer:
                raise _ambiguous("inventory")
            found += [_machine(item, "inventory") for item in answer["items"]]
            offset = answer["next"]
        return tuple(found)

    def describe(self, machine_id: str, *, timeout: float) -> Machine:
        return _machine(self._get(machine_id, timeout), "describe")

    def _get(self, machine_id: str, timeout: float) -> dict[str, Any]:
        try:
            answer = self.cloud.get(machine_id, timeout)
        except CloudMissingError:
            raise GoneError("provider.hostile.gone", "The cloud says that it does not exist.") from None
        except (CloudTimeoutError, CloudFailureError, CloudRefusalError) as error:
            raise _ambiguous("describe") from error
        if answer.get("id") != machine_id:
            raise _ambiguous("describe")
        return answer

    def destroy(self, machine_id: str, *, timeout: float) -> None:
        try:
            self.cloud.delete(machine_id, timeout)
        except CloudRefusalError:
            raise ProviderError("provider.hostile.refused", "The cloud refused.") from None
        except CloudMissingError:
            return
        except (CloudTimeoutError, CloudFailureError) as error:
            raise _ambiguous("destroy") from error
        try:
            self._get(machine_id, timeout)
        except GoneError:
            return
        raise _ambiguous("destroy")

    def connect(self, machine: Machine, *, timeout: float) -> socket.socket:
        self.describe(machine.id, timeout=timeout)
        near, far = socket.socketpair()
        near.settimeout(timeout)
        if self._guest:
            self._guest(machine, far)
        else:
            self.far_ends.append(far)
        return near

    def trust(self, request: CreateRequest) -> Trust:
        return self._trust(request)

    def expiry(self, machine_id: str, *, timeout: float) -> datetime:
        return datetime.fromisoformat(self._get(machine_id, timeout)["expires"])

    def close(self) -> None:
        """Close the far ends of connections that nobody served."""
        for far in self.far_ends:
            far.close()
        self.far_ends.clear()


def _machine(answer: dict[str, Any], call: str) -> Machine:
    try:
        return Machine(
            id=answer["id"],
            lease=answer["lease"],
            state=MachineState(answer["state"]),
            created_at=datetime.fromisoformat(answer["created"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise _ambiguous(call) from error


def _ambiguous(call: str) -> AmbiguousError:
    return AmbiguousError("provider.hostile.ambiguous", f"The cloud's answer to {call} proves nothing.")


def request_for(lease: str, **changes: Any) -> CreateRequest:
    """Return a request for a lease that this and the local provider understand."""
    from assay.channel.launch import LaunchConfig

    values: dict[str, Any] = {
        "lease": lease,
        "machine": "small",
        "platform": "tdx",
        "config": LaunchConfig(lease, b"owner key of " + lease.encode(), 600, 300),
        "expires_at": datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10),
    }
    return CreateRequest(**(values | changes))
