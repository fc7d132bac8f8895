from __future__ import annotations

import os
import socket

import pytest

from assay.errors import WorkloadError
from assay.workload.bundle import BundleLimits, Kind
from assay.workload.snapshot import Snapshot


def scan(root, below=(b"",), **changes):
    return Snapshot.scan(
        root, list(below), changes.pop("limits", BundleLimits()), **{"strict": True, **changes}
    )


def code_of(call, *arguments, **named):
    with pytest.raises(WorkloadError) as found:
        call(*arguments, **named)
    return found.value.code


def names(snapshot):
    return [entry.path for entry in snapshot.listing.entries]


def test_exactly_the_named_paths_are_taken(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/b").write_bytes(b"2")
    with Snapshot.of_paths(tmp_path, [b"d/b", b"d"], BundleLimits()) as taken:
        assert names(taken) == [b"d", b"d/b"]


def test_a_path_through_a_link_is_refused(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"s")
    root = tmp_path / "root"
    root.mkdir()
    (root / "in").symlink_to("../outside")
    assert code_of(Snapshot.of_paths, root, [b"in/secret"], BundleLimits()) == "workload.bundle.unreadable"
    assert code_of(Snapshot.of_paths, root, [b"in"], BundleLimits()) == "workload.link.leaves_tree"
    assert code_of(Snapshot.of_paths, root, [b"../outside/secret"], BundleLimits()) == "workload.path.unsafe"


def test_special_files_are_refused_or_skipped_by_name(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "good").write_bytes(b"1")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
    assert code_of(scan, tmp_path) == "workload.bundle.special"
    with scan(tmp_path, strict=False) as taken:
        assert names(taken) == [b"good"]
        assert {item.path: item.code for item in taken.skipped} == {
            b"pipe": "workload.bundle.special",
            b"sock": "workload.bundle.special",
        }


def test_links_can_be_left_out(tmp_path):
    (tmp_path / "good").write_bytes(b"1")
    (tmp_path / "link").symlink_to("good")
    assert code_of(scan, tmp_path, links=False) == "workload.bundle.special"
    with scan(tmp_path, links=False, strict=False) as taken:
        assert names(taken) == [b"good"]


def test_a_scan_below_paths_takes_what_is_there(tmp_path):
    (tmp_path / "out/x").mkdir(parents=True)
    (tmp_path / "out/x/y").write_bytes(b"1")
    (tmp_path / "single").write_bytes(b"2")
    (tmp_path / "other").write_bytes(b"3")
    with scan(tmp_path, [b"out", b"single", b"absent", b"single/below"]) as taken:
        assert names(taken) == [b"out", b"out/x", b"out/x/y", b"single"]
    assert code_of(scan, tmp_path, [b"../x"]) == "workload.path.unsafe"


@pytest.mark.parametrize("change", ["contents", "longer", "shorter", "gone", "link"])
def test_a_file_that_changes_before_it_is_sent_is_noticed(tmp_path, change):
    path = tmp_path / "root/a"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    with scan(tmp_path / "root") as taken:
        if change == "contents":
            path.write_bytes(b"12346")
        elif change == "shorter":
            path.write_bytes(b"123")
        elif change == "longer":
            path.write_bytes(b"1234567")
        elif change == "gone":
            path.unlink()
        else:
            path.unlink()
            path.symlink_to("b")
            (tmp_path / "root/b").write_bytes(b"12345")
        if change == "longer":
            # What was promised is sent, and nothing of what was added.
            assert b"".join(taken.stream()).endswith(b"12345")
        else:
            with pytest.raises(WorkloadError) as found:
                list(taken.stream())
            assert found.value.code == "workload.bundle.changed"


def test_limits_hold_while_scanning(tmp_path):
    for number in range(6):
        (tmp_path / f"f{number}").write_bytes(b"x" * 10)
    assert code_of(scan, tmp_path, limits=BundleLimits(entries=5)) == "workload.bundle.limit"
    assert code_of(scan, tmp_path, limits=BundleLimits(total_bytes=59)) == "workload.bundle.limit"
    assert (
        code_of(scan, tmp_path, limits=BundleLimits(total_bytes=59), strict=False) == "workload.bundle.limit"
    )
    scan(tmp_path, limits=BundleLimits(entries=6, total_bytes=60)).close()


def test_modes_are_permissions_alone(tmp_path):
    (tmp_path / "suid").write_bytes(b"")
    (tmp_path / "suid").chmod(0o4755)
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o1777)
    with scan(tmp_path) as taken:
        assert [(entry.kind, entry.mode) for entry in taken.listing.entries] == [
            (Kind.DIRECTORY, 0o777),
            (Kind.FILE, 0o755),
        ]


def test_two_snapshots_of_the_same_files_have_the_same_digest(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for part in ("b", "a", "c"):
            (tmp_path / name / part).write_bytes(part.encode())
            os.utime(tmp_path / name / part, (len(name), 5))
    with scan(tmp_path / "one") as one, scan(tmp_path / "two") as two:
        assert one.listing.digest() == two.listing.digest()
