"""Records of appraisals, as they come out of a stranger's export."""

from __future__ import annotations

from datetime import UTC, datetime

from assay.channel import runtime
from assay.channel.binding import Purpose, SessionBinding
from assay.errors import LeaseError
from assay.leases.record import AppraisalRecord

_GOOD = AppraisalRecord(
    binding=SessionBinding(
        Purpose.START,
        "guest",
        "tdx",
        bytes(32),
        "lease",
        b"owner",
        b"channel",
        b"receipt",
        b"",
        b"",
        bytes(32),
    ),
    isolation="none",
    history=runtime.events_of_start("none", bytes(32), bytes(32)),
    launch=bytes(48),
    nonce_made_at=datetime(2026, 1, 2, tzinfo=UTC),
    references={"mr_td": frozenset({bytes(48)})},
    anchors=(("root", b"0"),),
    policy="local",
    policy_digest=bytes(32),
    required=("dcap.quote.signature",),
).encode()


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return a true record."""
    return [_GOOD]


def target(data: bytes) -> None:
    """Read ``data`` as a record."""
    try:
        found = AppraisalRecord.decode(data)
    except LeaseError:
        return
    if found.encode() != data:
        raise AssertionError("one record has two encodings")
