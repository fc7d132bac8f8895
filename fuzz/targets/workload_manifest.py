"""Manifests, which have one encoding each."""

from __future__ import annotations

from assay.errors import WorkloadError
from assay.workload.manifest import DOMAIN, Limits, Manifest


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return one true manifest."""
    made = Manifest(
        owner_key=b"key",
        bundle=b"b" * 32,
        argv=("python3", "-c", "1"),
        cwd="a/b",
        environment=("A", "B"),
        limits=Limits(1, 2, 3, 4),
        network="none",
        outputs=("out",),
        policy=b"p" * 32,
        tty=False,
    )
    return [made.encode(), made.encode()[len(DOMAIN) :]]


def target(data: bytes) -> None:
    """Decode ``data``; what is accepted has exactly these bytes."""
    for form in (data, DOMAIN + data):
        try:
            made = Manifest.decode(form)
        except WorkloadError as error:
            if not error.message.isprintable():
                raise AssertionError("a message that a terminal would obey") from error
            continue
        if made.encode() != form:
            raise AssertionError("one manifest has two encodings")
