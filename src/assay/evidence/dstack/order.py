"""The order and uniqueness of dstack's system events.

dstack writes its system events while it sets the guest up and ends them with ``system-ready``; from then on
the application may write events of any name. So a system event counts only before ``system-ready``, exactly
once, and in the order in which dstack writes them; none of their names may come later, where it could be
taken for the real one. Every event of RTMR3 must be a runtime event: an opaque digest there could hide the
real system events behind a second set that the application wrote.

Source: dstack 0.6.0, ``dstack-util/src/system_setup.rs``; logs of 0.4.0 (``rootfs-hash``) and 0.5.9
(``mr-kms``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from assay.errors import EvidenceError
from assay.evidence.dstack.events import RUNTIME_REGISTER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assay.evidence.dstack.events import DstackEvent

READY = "system-ready"
RANKS = {
    name: rank
    for rank, name in enumerate(
        (
            "system-preparing",
            "rootfs-hash",
            "app-id",
            "compose-hash",
            "init-script-hash",
            "gpu-policy-hash",
            "gpu-attestation",
            "instance-id",
            "boot-mr-done",
            "mr-kms",
            "os-image-hash",
            "key-provider",
            "storage-fs",
            READY,
        )
    )
}
"""Every system event of the versions that are known, with its place in the order."""
REPEATED = frozenset({"init-script-hash"})
REQUIRED = (
    "system-preparing",
    "app-id",
    "compose-hash",
    "instance-id",
    "boot-mr-done",
    "key-provider",
    READY,
)


def check_registers(events: Iterable[DstackEvent]) -> None:
    """Check that RTMR3 holds runtime events only and no other register holds any.

    Raises:
        EvidenceError: ``dstack.event.opaque`` or ``dstack.event.register``.
    """
    for event in events:
        if event.register == RUNTIME_REGISTER and not event.runtime:
            raise EvidenceError(
                "dstack.event.opaque", "RTMR3 holds an event that is not a runtime event of dstack."
            )
        if event.runtime and event.register != RUNTIME_REGISTER:
            raise EvidenceError("dstack.event.register", "A runtime event stands outside RTMR3.")


def split_at_ready(events: Iterable[DstackEvent]) -> tuple[list[DstackEvent], list[DstackEvent]]:
    """Return the runtime events up to and including the first ``system-ready``, and those behind it."""
    system: list[DstackEvent] = []
    later: list[DstackEvent] = []
    ready = False
    for event in events:
        (later if ready else system).append(event)
        ready = ready or event.name == READY
    return system, later


def check_unique(system: Sequence[DstackEvent], later: Sequence[DstackEvent]) -> None:
    """Check that no system event comes twice, and none of their names behind ``system-ready``.

    Raises:
        EvidenceError: ``dstack.events.duplicate`` or ``dstack.events.after_ready``.
    """
    seen: set[str] = set()
    for event in system:
        if event.name in seen and event.name not in REPEATED:
            raise EvidenceError("dstack.events.duplicate", f"The system event {_shown(event)} comes twice.")
        seen.add(event.name)
    for event in later:
        if event.name in RANKS:
            raise EvidenceError(
                "dstack.events.after_ready",
                f"An event with the system's name {_shown(event)} comes behind {READY}.",
            )


def check_order(system: Sequence[DstackEvent]) -> None:
    """Check that the system events are known, complete and in dstack's order.

    Raises:
        EvidenceError: ``dstack.events.unknown``, ``dstack.events.missing``, ``dstack.key_provider.missing``
            or ``dstack.events.order``.
    """
    rank = -1
    for event in system:
        place = RANKS.get(event.name)
        if place is None:
            raise EvidenceError(
                "dstack.events.unknown", f"The event {_shown(event)} before {READY} is none of dstack's."
            )
        if place < rank:
            raise EvidenceError(
                "dstack.events.order", f"The system event {_shown(event)} comes too late in the log."
            )
        rank = place
    names = {event.name for event in system}
    for name in REQUIRED:
        if name not in names:
            _missing(name)


def _missing(name: str) -> NoReturn:
    code = "dstack.key_provider.missing" if name == "key-provider" else "dstack.events.missing"
    raise EvidenceError(code, f"The log has no system event {name} before {READY}.")


def _shown(event: DstackEvent) -> str:
    return ascii(event.name)
