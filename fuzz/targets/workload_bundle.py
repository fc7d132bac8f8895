"""Bundles as a hostile guest or owner may send them: listing and contents, into a directory."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits, Entry, Kind, Listing
from assay.workload.receive import Receiver

_LIMITS = BundleLimits(entries=64, listing_bytes=1 << 16, total_bytes=1 << 16)
_FOLDER = tempfile.TemporaryDirectory()
_EMPTY = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def SEEDS() -> list[bytes]:  # noqa: N802 - the harness's name
    """Return small bundles with every kind of entry."""
    listing = Listing.of(
        [
            Entry(b"d", Kind.DIRECTORY, 0o755, 0, b""),
            Entry(b"d/link", Kind.LINK, 0o777, 0, b"../f"),
            Entry(b"f", Kind.FILE, 0o644, 0, _EMPTY),
        ]
    ).encode()
    return [struct.pack(">Q", len(listing)) + listing, struct.pack(">Q", 23) + Listing(()).encode()]


def target(data: bytes) -> None:
    """Read ``data`` as a listing, and where it is one, or now and then, receive it as a bundle."""
    try:
        Listing.decode(data[8:], _LIMITS)
    except WorkloadError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
        # Directories cost a hundred times as much as parsing; bad heads need them only sometimes.
        if len(data) % 16:
            return
    _receive(data)


def _receive(data: bytes) -> None:
    """Receive ``data`` in two pieces; nothing may come to lie outside of the target."""
    root = Path(_FOLDER.name)
    target_path = root / "target"
    receiver = Receiver(target_path, _LIMITS, expected=None, links=True)
    try:
        receiver.feed(data[: len(data) // 2])
        receiver.feed(data[len(data) // 2 :])
        listing = receiver.finish()
        if Listing.decode(listing.encode(), _LIMITS) != listing:
            raise AssertionError("one listing has two encodings")
        for found, directories, files in os.walk(target_path):
            for name in (*directories, *files):
                real = Path(found, name).resolve()
                if not real.is_relative_to(target_path):
                    raise AssertionError("a link leads out of the tree")
    except WorkloadError as error:
        if not error.message.isprintable():
            raise AssertionError("a message that a terminal would obey") from error
    finally:
        receiver.abandon()
    if any(root.iterdir()):
        raise AssertionError("something was left behind")
