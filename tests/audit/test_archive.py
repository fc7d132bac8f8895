from __future__ import annotations

import os
import subprocess
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.audit.archive import open_export
from assay.audit.verify import verify_export
from assay.errors import AuditError
from support.audit_logs import KEY, ORIGIN, Forged, put, put_tar

LOG = Forged().grow(3)
FILES = LOG.files()


def verify(path):
    return verify_export(path, vkey=KEY.verifier(ORIGIN), memory=None)


def refusal(path):
    with pytest.raises(AuditError) as caught:
        verify(path)
    return caught.value.code


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("around", ["", "./", "export/", "./some-export/"])
def test_tars_of_other_programs(tmp_path, form, around):
    def touch(info):
        info.mtime = 1.5
        return info

    put_tar(
        {around + name: data for name, data in FILES.items()}, tmp_path / "x.tar", form=form, change=touch
    )
    assert verify(tmp_path / "x.tar").checkpoint.size == 3


@pytest.mark.parametrize("arguments", [["-C", "export", "."], ["export"], ["--format=posix", "export"]])
def test_tars_of_the_systems_tar(tmp_path, arguments):
    put(FILES, tmp_path / "export")
    subprocess.run(["tar", "cf", "x.tar", *arguments], cwd=tmp_path, check=True)
    assert verify(tmp_path / "x.tar").checkpoint.size == 3


def with_kind(kind, **changes):
    def change(info):
        if info.name == "README.txt":
            info.type = kind
            info.size = 0
            for name, value in changes.items():
                setattr(info, name, value)
        return info

    return change


@pytest.mark.parametrize(
    "change",
    [
        with_kind(tarfile.SYMTYPE, linkname="/etc/passwd"),
        with_kind(tarfile.LNKTYPE, linkname="checkpoint"),
        with_kind(tarfile.FIFOTYPE),
        with_kind(tarfile.CHRTYPE),
        with_kind(tarfile.BLKTYPE),
        with_kind(tarfile.CONTTYPE),
        with_kind(b"S"),
        with_kind(b"L"),
    ],
)
def test_tars_with_links_and_special_files(tmp_path, change):
    put_tar({**FILES, "README.txt": b""}, tmp_path / "x.tar", change=change)
    assert refusal(tmp_path / "x.tar") == "audit.format.special"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "a//b",
        "a/./b",
        "a b",
        "a\nb",
        "a\\b",
        "é",
        "x" * 90 + "/" + "y" * 9 + "\x7f",
    ],
)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT])
def test_tars_with_unsafe_names(tmp_path, name, form):
    put_tar({**FILES, name: b""}, tmp_path / "x.tar", form=form)
    assert refusal(tmp_path / "x.tar") == "audit.format.name"


def test_a_tar_with_a_name_twice(tmp_path):
    path = put_tar(FILES, tmp_path / "x.tar")
    with tarfile.open(path, "a") as tar:
        tar.addfile(tarfile.TarInfo("README.txt"))
    assert refusal(path) == "audit.format.tar"


@pytest.mark.parametrize("key", ["path", "size", "linkpath", "GNU.sparse.name"])
def test_a_tar_whose_extended_headers_change_what_is_read(tmp_path, key):
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("README.txt")
        info.pax_headers = {key: "12"}
        tar.addfile(info)
    assert refusal(tmp_path / "x.tar") == "audit.format.tar"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:100],
        lambda data: data[:148] + b"00000000" + data[156:],
        lambda data: data[:124] + b"77777777777\0" + data[136:],
        lambda data: data[:124] + b"\x80\0\0\0\0\0\0\0\0\0\0\1" + data[136:],
        lambda data: b"\xff" * 512 + data,
        lambda data: b"PK\3\4" + data,
    ],
)
def test_a_damaged_tar(tmp_path, damage):
    path = put_tar(FILES, tmp_path / "x.tar")
    path.write_bytes(damage(path.read_bytes()))
    assert refusal(path).startswith("audit.format.")


@pytest.mark.parametrize("kind", ["link", "folder link", "fifo", "socket"])
def test_directories_with_links_and_special_files(tmp_path, kind):
    export = put(FILES, tmp_path / "export")
    path = export / "tile/0/000.p/3"
    if kind == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder link":
        (export / "tile").rename(tmp_path / "elsewhere")
        (export / "tile").symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(export / "fifo")
    else:
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(export / "s"))
    assert refusal(export) == "audit.format.special"


@pytest.mark.parametrize(
    "name", ["a b", "é", "x\n", "d/" * 9 + "x", "x" * 201 + "/" + "y" * 201 + "/" + "z" * 201]
)
def test_directories_with_unsafe_names(tmp_path, name):
    export = put({**FILES, name: b""}, tmp_path / "export")
    assert refusal(export) == "audit.format.name"


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr("assay.audit.archive.MOST_FILES", 4)
    for number, path in enumerate((put(FILES, tmp_path / "d"), put_tar(FILES, tmp_path / "t"))):
        assert refusal(path) == "audit.format.count", number


def test_what_is_not_there_or_neither_file_nor_directory(tmp_path):
    assert refusal(tmp_path / "none") == "audit.export.missing"
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo") == "audit.format.kind"


def test_a_file_that_vanishes_or_turns_into_a_link_while_it_is_read(tmp_path):
    export = put(FILES, tmp_path / "export")
    with open_export(export) as source:
        (export / "checkpoint").unlink()
        with pytest.raises(AuditError) as caught:
            source.read("checkpoint", 1000)
        assert caught.value.code == "audit.format.unreadable"
        (export / "checkpoint").symlink_to("/etc/hostname")
        with pytest.raises(AuditError) as caught:
            source.read("checkpoint", 1000)
        assert caught.value.code == "audit.format.unreadable"


@given(st.integers(0, 3000), st.binary(min_size=1, max_size=20))
@settings(deadline=None, max_examples=200)
def test_no_damage_breaks_the_reader(tmp_path_factory, place, junk):
    path = put_tar(FILES, tmp_path_factory.mktemp("x") / "x.tar")
    data = bytearray(path.read_bytes())
    data[place : place + len(junk)] = junk
    path.write_bytes(data)
    with suppress(AuditError):
        verify(path)
