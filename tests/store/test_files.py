from __future__ import annotations

import os
from pathlib import Path

import pytest

from assay.errors import StoreError
from assay.store import create_private, files, prepare_directory, read_private, state_directory, write_private


def refused(call):
    with pytest.raises(StoreError) as caught:
        call()
    return caught.value.code


@pytest.fixture
def private(tmp_path):
    path = tmp_path / "private"
    prepare_directory(path)
    return path


def test_missing_directories_are_made_private(tmp_path):
    prepare_directory(tmp_path / "a" / "b")
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o750, 0o755, 0o777])
def test_a_directory_that_others_may_enter_is_refused(private, mode):
    private.chmod(mode)
    assert refused(lambda: prepare_directory(private)) == "store.directory.mode"


def test_a_link_to_a_private_directory_is_refused(private, tmp_path):
    (tmp_path / "link").symlink_to(private)
    assert refused(lambda: prepare_directory(tmp_path / "link")) == "store.directory.symlink"


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    assert refused(lambda: prepare_directory(tmp_path / "file")) == "store.directory.kind"
    assert refused(lambda: prepare_directory(tmp_path / "file" / "below")) == "store.directory.unusable"


def test_somebody_elses_directory_is_refused(private, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert refused(lambda: prepare_directory(private)) == "store.directory.owner"


def test_a_directory_above_that_anybody_may_write_to_is_refused(private, tmp_path):
    tmp_path.chmod(0o777)
    try:
        assert refused(lambda: prepare_directory(private)) == "store.directory.exposed"
        tmp_path.chmod(0o1777)
        prepare_directory(private)
    finally:
        tmp_path.chmod(0o700)


def test_private_files_are_written_whole_or_not_at_all(private):
    path = private / "file"
    create_private(path, b"one")
    assert refused(lambda: create_private(path, b"two")) == "store.file.exists"
    assert read_private(path, limit=3) == b"one"
    write_private(path, b"three")
    assert read_private(path, limit=5) == b"three"
    assert refused(lambda: read_private(path, limit=4)) == "store.file.size"
    assert [item.name for item in private.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["link", "fifo", "folder"])
def test_only_regular_files_are_read(private, name):
    path = private / name
    if name == "link":
        write_private(private / "file", b"")
        path.symlink_to(private / "file")
    elif name == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir(0o700)
    assert refused(lambda: read_private(path, limit=1)) == "store.file.kind"
    assert refused(lambda: files.check_private(path)) == "store.file.kind"


def test_files_of_others_or_for_others_are_refused(private, monkeypatch):
    path = private / "file"
    write_private(path, b"")
    path.chmod(0o640)
    assert refused(lambda: read_private(path, limit=1)) == "store.file.mode"
    path.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert refused(lambda: read_private(path, limit=1)) == "store.file.owner"


def test_a_file_that_is_not_there(private):
    assert refused(lambda: read_private(private / "none", limit=1)) == "store.file.missing"
    assert refused(lambda: write_private(private / "no" / "file", b"")) == "store.file.missing"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk(private, monkeypatch):
    real = os.open

    def open_full(path, flags, *rest):
        return real("/dev/full", os.O_WRONLY) if flags & os.O_CREAT else real(path, flags, *rest)

    monkeypatch.setattr(os, "open", open_full)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    assert refused(lambda: write_private(private / "file", b"x")) == "store.disk.full"


def test_a_database_that_cannot_be_made(private, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)
    assert refused(lambda: files.create_empty(private / "x")) == "store.disk.full"


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"ASSAY_STATE_DIR": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/s"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/assay"),
        ({"XDG_STATE_HOME": "x", "HOME": "/h"}, "/h/.local/state/assay"),
        ({"ASSAY_STATE_DIR": "", "HOME": "/h"}, "/h/.local/state/assay"),
    ],
)
def test_where_the_state_is(environ, found):
    assert state_directory(environ) == Path(found)


@pytest.mark.parametrize(
    ("environ", "code"),
    [
        ({"ASSAY_STATE_DIR": "s", "HOME": "/h"}, "store.path.relative"),
        ({}, "store.path.no_home"),
        ({"HOME": "h"}, "store.path.no_home"),
    ],
)
def test_where_the_state_cannot_be(environ, code):
    assert refused(lambda: state_directory(environ)) == code
