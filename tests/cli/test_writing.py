"""Files that a person asked for: new ones only, whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from assay.cli.writing import write_new
from assay.errors import UsageError


def refused(path, data=b"data"):
    with pytest.raises(UsageError) as caught:
        write_new(path, data)
    return caught.value.code


def test_a_new_file_is_written(tmp_path):
    write_new(tmp_path / "new", b"data")
    assert (tmp_path / "new").read_bytes() == b"data"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_there_is_not_touched(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    for name in ("file", "dangling", "."):
        assert refused(tmp_path / name) == "cli.file.exists"
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "dangling"}


@pytest.mark.parametrize("name", ["absent/file", "a\0b", "x" * 256])
def test_where_nothing_can_be_written(tmp_path, name):
    assert refused(tmp_path / name) == "cli.file.unwritable"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", [Path("/"), Path()])
def test_a_directory_is_no_file(where):
    assert refused(where) in ("cli.file.exists", "cli.file.unwritable")


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    """Half a policy can be a policy that demands less."""

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("assay.cli.writing.os.fsync", full)
    assert refused(tmp_path / "new") == "cli.file.unwritable"
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    def unable(_one, _other):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr("assay.cli.writing.os.link", unable)
    write_new(tmp_path / "new", b"data")
    assert refused(tmp_path / "new", b"other") == "cli.file.exists"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"data"]
