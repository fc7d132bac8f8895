"""Creating the machine of a lease, and finding one whose creation was never answered."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from assay.channel.launch import LaunchConfig
from assay.errors import AmbiguousError, AssayError
from assay.providers.interface import CreateRequest

if TYPE_CHECKING:
    from assay.leases.book import Lease
    from assay.leases.desk import Desk
    from assay.providers.interface import Machine, Provider

CREATE_SECONDS: Final = 120.0
FIND_SECONDS: Final = 30.0
_FIND_PAUSE: Final = 0.25


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


class Creation:
    """Creates the machine in a thread, so that this process gets ready while it boots."""

    def __init__(self, provider: Provider, request: CreateRequest) -> None:
        self._provider = provider
        self._request = request
        self._machine: Machine | None = None
        self._error: AssayError | None = None
        self._thread = threading.Thread(target=self._create, name="create-machine", daemon=True)
        self._thread.start()

    def _create(self) -> None:
        try:
            self._machine = self._provider.create(self._request, timeout=CREATE_SECONDS)
        except AssayError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - a provider's defect says nothing about the machine
            self._error = AmbiguousError(
                "lease.create.defect", f"The provider failed: {type(error).__name__}: {str(error)[:200]}"
            )

    def wait(self) -> Machine:
        """Return the machine, or raise what the provider raised."""
        self._thread.join()
        if self._machine is not None:
            return self._machine
        raise self._error or AmbiguousError("lease.create.silent", "The provider gave no answer.")


def find(desk: Desk, provider: Provider, lease: Lease) -> Machine | None:
    """Look for the machine of an unanswered creation; return None when it is not there in time."""
    until = desk.db.now() + FIND_SECONDS
    while desk.db.now() < until:
        try:
            found = [item for item in provider.inventory(timeout=FIND_SECONDS) if item.lease == lease.id]
        except AmbiguousError:
            found = []
        if found:
            return found[0]
        desk.sleep(_FIND_PAUSE)
    return None
