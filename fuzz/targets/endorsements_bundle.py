"""Bundles of endorsements from whoever hands them over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from assay.endorsements.bundle import Bundle
from assay.endorsements.record import Basis, Endorsement, Wanted
from assay.errors import EndorsementError
from assay.evidence.facts import Window

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def _endorsement(name: str, basis: Basis) -> Endorsement:
    return Endorsement(
        wanted=Wanted.of("a-kind", name=name, more="x" * 200),
        parts={"one": name.encode(), "two": b"2" * 513},
        window=Window(NOW, NOW + timedelta(days=30)),
        fetched=NOW,
        sources=("https://a.example/x",),
        basis=basis,
        anchor="ab" * 32,
    )


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return an empty bundle, and one of two endorsements."""
    both = [_endorsement("one", Basis.SIGNATURE), _endorsement("two", Basis.TLS)]
    return [Bundle.of(found, created=NOW).encode() for found in ([], both)]


def target(data: bytes) -> None:
    """Read a bundle; one that can be read is exactly what would be written."""
    try:
        found = Bundle.decode(data)
    except EndorsementError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
        return
    if found.encode() != data:
        raise AssertionError("a bundle has two forms")
    if not all(str(each.wanted).isprintable() for each in found.endorsements):
        raise AssertionError("a name that a terminal would obey")
    found.files()
