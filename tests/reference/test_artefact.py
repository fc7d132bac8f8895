"""Artefacts are read piece by piece and do not change meanwhile."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import pytest

from assay.errors import ReferenceValueError
from assay.reference.artefact import CHUNK_BYTES, Artefact, open_artefact


def code(work) -> str:
    with pytest.raises(ReferenceValueError) as caught:
        work()
    return caught.value.code


def opened(path):
    with open_artefact(path) as artefact:
        return artefact.describe("file")


def test_ranges_are_hashed_in_order():
    data = os.urandom(CHUNK_BYTES + 100)
    artefact = Artefact.of(data)
    assert artefact.digest("sha384") == hashlib.sha384(data).digest()
    expected = hashlib.sha256(data[5:] + data[:3] + bytes(7)).digest()
    assert artefact.digest("sha256", [(5, len(data)), (0, 3)], padding=7) == expected


def test_bytes_have_a_name_and_long_names_are_cut():
    assert Artefact.of(b"").name == "bytes"
    assert Artefact.of(b"", "/" + "n" * 255).name == "n" * 255


def test_bytes_that_are_not_there_are_missed():
    artefact = Artefact.of(b"abc")
    assert artefact.read(1, 2) == b"bc"
    for offset, size in ((1, 3), (-1, 1), (0, -1), (4, 0)):
        assert code(lambda offset=offset, size=size: artefact.read(offset, size)) == (
            "reference.artefact.truncated"
        )
    assert artefact.read(3, 0) == b""
    assert artefact.part(1, 2, "part").whole(2) == b"bc"
    part = artefact.part(0, 3, "part")
    assert (part.name, part.size, part.whole(3), part.read(0, 1)) == ("part", 3, b"abc", b"a")
    assert artefact.part(3, 0, "part").whole(0) == b""
    assert artefact.part(1, 2, "part").part(1, 1, "part").whole(1) == b"c"
    for offset, size in ((1, 3), (-1, 1), (0, -1)):
        assert code(lambda offset=offset, size=size: artefact.part(offset, size, "part")) == (
            "reference.artefact.truncated"
        )
    short = artefact.part(0, 1, "part")
    for offset, size in ((0, 2), (1, 1)):
        assert code(lambda offset=offset, size=size: short.read(offset, size)) == (
            "reference.artefact.truncated"
        )
    assert code(lambda: artefact.whole(2)) == "reference.artefact.size"
    assert artefact.whole(3) == b"abc"


def test_a_file_is_described(tmp_path):
    path = tmp_path / ("n" * 250)
    path.write_bytes(b"abc")
    found = opened(path)
    assert (found.role, found.name, found.size) == ("file", "n" * 250, 3)
    assert found.sha256 == hashlib.sha256(b"abc").digest()


def test_a_file_that_changes_is_noticed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with open_artefact(path) as artefact:
        os.utime(path, ns=(0, 0))
        assert code(lambda: artefact.describe("file")) == "reference.artefact.changed"


def test_a_file_that_shrinks_is_noticed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    with open_artefact(path) as artefact:
        os.truncate(path, 10)
        assert code(lambda: artefact.digest("sha256")) == "reference.artefact.truncated"


def test_only_regular_files_are_artefacts(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert code(lambda: opened(tmp_path / "fifo")) == "reference.artefact.kind"
    assert code(lambda: opened(tmp_path / "absent")) == "reference.artefact.unreadable"
    assert code(lambda: opened(tmp_path)) == "reference.artefact.kind"


def test_a_file_that_holds_more_than_its_size_says_is_no_artefact():
    """It would be measured as empty."""
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("there is no /proc here")
    assert status.stat().st_size == 0
    assert code(lambda: opened(status)) == "reference.artefact.kind"
    assert code(lambda: opened(Path("/proc/self/mem"))) == "reference.artefact.unreadable"


class Broken(io.BytesIO):
    """A file on a disk that fails."""

    def read(self, *_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_disk_that_fails_is_named():
    artefact = Artefact("image", Broken(b"abc"), 3)
    assert code(lambda: artefact.digest("sha256")) == "reference.artefact.unreadable"


def test_no_descriptor_stays_open(tmp_path):
    def held() -> int:
        links = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
        return sum(link.is_relative_to(tmp_path) for link in links)

    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with open_artefact(path):
        assert held() == 1
    assert held() == 0
    assert code(lambda: opened(tmp_path)) == "reference.artefact.kind"
    assert held() == 0


def test_a_file_beyond_the_bound_is_not_read(tmp_path):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 64 << 30)
    with open_artefact(path) as artefact:
        assert artefact.size == 64 << 30
    os.truncate(path, (64 << 30) + 1)
    assert code(lambda: opened(path)) == "reference.artefact.size"
