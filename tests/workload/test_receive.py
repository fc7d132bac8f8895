from __future__ import annotations

import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits, Entry, Kind, Listing
from assay.workload.receive import Receiver
from assay.workload.snapshot import Snapshot


def tree(root):
    (root / "sub/deep").mkdir(parents=True)
    (root / "empty").mkdir(mode=0o700)
    (root / "a.txt").write_bytes(b"alpha")
    (root / "none").write_bytes(b"")
    (root / "sub/run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "sub/run.sh").chmod(0o755)
    (root / "sub/deep/big").write_bytes(os.urandom(600_000))
    (root / "sub/link").symlink_to("../a.txt")
    (root / os.fsdecode(b"n\xffme")).write_bytes(b"bytes")
    return root


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").mkdir()
    return tree(tmp_path / "source")


def taken(root, **changes):
    return Snapshot.scan(root, [b""], BundleLimits(), **{"strict": True, **changes})


def stream_of(root):
    with taken(root) as snapshot:
        return b"".join(snapshot.stream()), snapshot.listing


def receive(target, data, *, pieces=None, expected=None, links=True, limits=None):
    receiver = Receiver(target, limits or BundleLimits(), expected=expected, links=links)
    try:
        at = 0
        for size in pieces or [len(data)]:
            receiver.feed(data[at : at + size])
            at += size
        receiver.feed(data[at:])
        return receiver.finish()
    except BaseException:
        receiver.abandon()
        raise


def code_of(call, *arguments, **named):
    with pytest.raises(WorkloadError) as found:
        call(*arguments, **named)
    return found.value.code


def test_a_tree_arrives_as_it_was(source, tmp_path):
    data, listing = stream_of(source)
    assert receive(tmp_path / "target", data, expected=listing.digest()) == listing
    with taken(tmp_path / "target") as again:
        assert again.listing == listing
        assert again.size() == len(data)
    assert (tmp_path / "target/sub/link").read_bytes() == b"alpha"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(pieces=st.lists(st.integers(1, 200_000), max_size=30))
def test_pieces_of_any_size_give_the_same(source, tmp_path_factory, pieces):
    data, listing = stream_of(source)
    assert receive(tmp_path_factory.mktemp("t") / "target", data, pieces=pieces) == listing


def test_another_bundle_than_expected_makes_no_file(source, tmp_path):
    data, _ = stream_of(source)
    receiver = Receiver(tmp_path / "target", BundleLimits(), expected=b"x" * 32, links=True)
    assert code_of(receiver.feed, data) == "workload.bundle.digest"
    assert list((tmp_path / "target").iterdir()) == []
    receiver.close()


def test_one_changed_byte_of_a_file_is_noticed(source, tmp_path):
    data, _ = stream_of(source)
    changed = data[:-1] + bytes([data[-1] ^ 1])
    assert code_of(receive, tmp_path / "target", changed) == "workload.bundle.content"
    assert not (tmp_path / "target").exists()


def test_too_little_and_too_much_are_refused(source, tmp_path):
    data, _ = stream_of(source)
    assert code_of(receive, tmp_path / "target", data[:-1]) == "workload.bundle.incomplete"
    assert code_of(receive, tmp_path / "target", data[:4]) == "workload.bundle.incomplete"
    assert code_of(receive, tmp_path / "target", data + b"x") == "workload.bundle.trailing"


def test_nothing_is_overwritten(source, tmp_path):
    data, _ = stream_of(source)
    (tmp_path / "target").mkdir()
    assert code_of(receive, tmp_path / "target", data) == "workload.bundle.target_exists"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert code_of(receive, tmp_path / "link", data) == "workload.bundle.target_exists"


def test_links_are_refused_where_none_are_accepted(source, tmp_path):
    data, _ = stream_of(source)
    assert code_of(receive, tmp_path / "target", data, links=False) == "workload.bundle.link"


def test_limits_come_before_storage(source, tmp_path):
    data, _ = stream_of(source)
    for limits in (BundleLimits(entries=2), BundleLimits(listing_bytes=20), BundleLimits(total_bytes=100)):
        assert code_of(receive, tmp_path / "target", data, limits=limits) == "workload.bundle.limit"
    huge = struct.pack(">Q", 1 << 62)
    receiver = Receiver(tmp_path / "target", BundleLimits(), expected=None, links=True)
    assert code_of(receiver.feed, huge) == "workload.bundle.limit"
    receiver.abandon()


def test_an_empty_bundle_is_a_bundle(tmp_path):
    (tmp_path / "source").mkdir()
    data, listing = stream_of(tmp_path / "source")
    assert receive(tmp_path / "target", data) == listing == Listing(())


def test_an_empty_listing_is_none(tmp_path):
    assert code_of(receive, tmp_path / "target", struct.pack(">Q", 0)) == "workload.bundle.malformed"


def test_a_link_is_made_last_so_nothing_is_written_through_it(tmp_path):
    """The listing itself forbids entries below a link; the order is the second lock on the same door."""
    listing = Listing.of([Entry(b"a", Kind.LINK, 0o777, 0, b"b"), Entry(b"b", Kind.DIRECTORY, 0o700, 0, b"")])
    data = listing.encode()
    receiver = Receiver(tmp_path / "target", BundleLimits(), expected=None, links=True)
    receiver.feed(struct.pack(">Q", len(data)) + data)
    assert not (tmp_path / "target/a").is_symlink()
    receiver.finish()
    assert (tmp_path / "target/a").is_symlink()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.binary(max_size=400))
def test_arbitrary_bytes_leave_nothing(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("arbitrary")
    assert code_of(receive, root / "target", data).startswith("workload.")
    assert list(root.iterdir()) == []


def test_a_full_disk_is_an_error_of_ours(source, tmp_path, monkeypatch):
    data, _ = stream_of(source)

    def full(*_):
        raise OSError(28, "No space left on device")

    receiver = Receiver(tmp_path / "target", BundleLimits(), expected=None, links=True)
    monkeypatch.setattr("assay.workload.receive.os.write", full)
    assert code_of(receiver.feed, data) == "workload.bundle.storage"
    monkeypatch.undo()
    receiver.abandon()
    assert not (tmp_path / "target").exists()
