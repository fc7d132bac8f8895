"""dstack's event logs as JSON, and the identity that they give."""

from __future__ import annotations

from functools import cache

from assay.errors import AssayError
from assay.evidence.dstack import Expectations, Presented, parse_event_log, verify_identity
from assay.evidence.eventlog import replay_rtmrs
from support.dstack_guest import acpi_events, boot_events, log_json, runtime, system_events
from support.dstack_quotes import taken_as_verified

OPEN = Expectations.nothing("fuzzing")


@cache
def _seeds() -> tuple[bytes, ...]:
    return (
        log_json(boot_events() + system_events() + [runtime("mine", b"1")]),
        log_json(acpi_events() + system_events(version=2)),
        b"[]",
    )


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return logs of both versions."""
    return list(_seeds())


def target(data: bytes) -> None:
    """Parse, and judge the log against a quote that it replays to."""
    try:
        events = parse_event_log(data)
        replayed = replay_rtmrs(
            (event.register, event.recomputed_digest() if event.runtime else event.digest) for event in events
        )
    except AssayError:
        return
    registers = {f"rtmr{index}": value for index, value in enumerate(replayed)}
    result = verify_identity(taken_as_verified(**registers), Presented(b"", data), expected=OPEN)
    if result.authentic and len(result.claims.app_id) != 20:
        raise RuntimeError("an application id of another size was accepted")
