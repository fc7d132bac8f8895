from __future__ import annotations

import os

import pytest

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits
from assay.workload.receive import Receiver
from assay.workload.remeasure import require_unaltered
from assay.workload.snapshot import Snapshot


@pytest.fixture
def stored(tmp_path):
    """Where a bundle was stored, and the listing that arrived."""
    source = tmp_path / "source"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "empty").mkdir()
    (source / "deep" / "er" / "file").write_bytes(b"contents")
    (source / "run").write_bytes(b"#!/bin/sh\n")
    (source / "run").chmod(0o755)
    (source / "nothing").touch()
    (source / "link").symlink_to("run")
    limits = BundleLimits()
    with Snapshot.of_paths(source, [b"deep/er/file", b"run", b"nothing", b"link", b"empty"], limits) as taken:
        receiver = Receiver(tmp_path / "target", limits, expected=taken.listing.digest(), links=True)
        for piece in taken.stream():
            receiver.feed(piece)
    return tmp_path / "target", receiver.finish()


def test_what_arrived_is_what_is_stored(stored):
    require_unaltered(*stored)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "deep/er/file").write_bytes(b"contentt"),
        lambda root: (root / "deep/er/file").write_bytes(b"contents more"),
        lambda root: (root / "deep/er/file").unlink(),
        lambda root: (root / "more").touch(),
        lambda root: (root / "deep/link").symlink_to("er"),
        lambda root: ((root / "link").unlink(), (root / "link").symlink_to("nothing")),
        lambda root: (root / "run").chmod(0o644),
        lambda root: ((root / "run").unlink(), os.mkfifo(root / "run")),
        lambda root: (root / "deep").rename(root / "shallow"),
    ],
)
def test_any_change_is_refused(stored, change):
    root, listing = stored
    change(root)
    with pytest.raises(WorkloadError) as caught:
        require_unaltered(root, listing)
    assert caught.value.code == "workload.bundle.altered"


def test_a_bundle_without_files_has_none(tmp_path):
    limits = BundleLimits()
    (tmp_path / "source").mkdir()
    with Snapshot.of_paths(tmp_path / "source", [], limits) as taken:
        receiver = Receiver(tmp_path / "target", limits, expected=taken.listing.digest(), links=True)
        for piece in taken.stream():
            receiver.feed(piece)
    listing = receiver.finish()
    require_unaltered(tmp_path / "target", listing)
    (tmp_path / "target" / "added").touch()
    with pytest.raises(WorkloadError):
        require_unaltered(tmp_path / "target", listing)
