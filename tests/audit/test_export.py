from __future__ import annotations

import fcntl
import os
import shutil
import subprocess

import pytest

from assay.audit import LogKey, VerifierKey
from assay.audit.verify import stated_origin, verify_export
from assay.errors import AuditError
from support.audit_children import SOURCE, kill, spawn
from support.audit_logs import ORIGIN, digest, files_of, open_state, record

RECEIPT = b"a receipt"


@pytest.fixture
def opened(tmp_path):
    db, log = open_state(tmp_path / "state")
    with db:
        record(db, log, 20, receipt=f"sha256:{digest(RECEIPT)}")
        yield db, log


def key_of(log, tmp_path):
    return LogKey.open(tmp_path / "state").verifier(log.origin)


def code(call, *arguments, **options):
    with pytest.raises(AuditError) as caught:
        call(*arguments, **options)
    return caught.value.code


def leftovers(tmp_path):
    return [path.name for path in tmp_path.iterdir() if "partial" in path.name]


@pytest.mark.parametrize("tar", [False, True])
def test_nothing_is_ever_overwritten(opened, tmp_path, tar):
    _, log = opened
    for name in ("file", "full", "link"):
        path = tmp_path / name
        if name == "full":
            path.mkdir()
            (path / "x").touch()
        elif name == "link":
            path.symlink_to(tmp_path / "elsewhere")
        else:
            path.write_bytes(b"mine")
        assert code(log.export, path, tar=tar) == "audit.export.exists"
    assert (tmp_path / "file").read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()
    assert leftovers(tmp_path) == []


def test_an_empty_directory_may_become_the_export(opened, tmp_path):
    _, log = opened
    (tmp_path / "e").mkdir()
    log.export(tmp_path / "e", tar=False)
    assert "checkpoint" in files_of(tmp_path / "e")


@pytest.mark.parametrize("tar", [False, True])
@pytest.mark.parametrize(
    ("attachments", "expected"),
    [
        ({digest(RECEIPT): b"changed"}, "audit.export.attachment"),
        ({digest(b"x"): b"x"}, "audit.export.unnamed"),
        ({"../../x": b"x"}, "audit.export.attachment"),
    ],
)
def test_attachments_are_what_the_log_names_or_nothing_is_exported(
    opened, tmp_path, attachments, expected, tar
):
    _, log = opened
    assert code(log.export, tmp_path / "e", tar=tar, attachments=attachments) == expected
    assert not (tmp_path / "e").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("tar", [False, True])
def test_attachments_may_be_files(opened, tmp_path, tar):
    _, log = opened
    (tmp_path / "kept").write_bytes(RECEIPT)
    log.export(tmp_path / "e", tar=tar, attachments={digest(RECEIPT): tmp_path / "kept"})
    assert verify_export(tmp_path / "e", vkey=key_of(log, tmp_path), memory=None).attachments == 1
    assert log.named(frozenset({digest(RECEIPT), digest(b"x")}), ["receipt"]) == {digest(RECEIPT)}
    assert log.named(frozenset({digest(RECEIPT)}), ["manifest"]) == frozenset()


def test_damaged_rows_are_not_exported(opened, tmp_path):
    db, log = opened
    with db.transaction() as tx:
        tx.execute("UPDATE audit_entries SET entry = x'00' WHERE seq = 5")
    assert code(log.export, tmp_path / "e", tar=False) == "audit.log.damaged"
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("tar", [False, True])
def test_two_exports_to_one_place_at_once(opened, tmp_path, tar):
    _, log = opened
    partial = tmp_path / ".e.assay-partial"
    partial.touch() if tar else partial.mkdir()
    descriptor = os.open(partial, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert code(log.export, tmp_path / "e", tar=tar) == "audit.export.busy"
    os.close(descriptor)
    log.export(tmp_path / "e", tar=tar)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("tar", [False, True])
def test_no_room_for_the_export(opened, tmp_path, tar, monkeypatch):
    import assay.audit.target as target

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target, "_copy", full)
    assert code(opened[1].export, tmp_path / "e", tar=tar) == "audit.export.disk_full"
    assert not (tmp_path / "e").exists()
    assert leftovers(tmp_path) == []


def test_no_such_place(opened, tmp_path):
    assert code(opened[1].export, tmp_path / "no" / "e", tar=True) == "audit.export.unwritable"


EXPORTING = f"""
import sys
from pathlib import Path
from assay.audit import MIGRATIONS, Log, LogKey
from assay.store import Database
state, target = Path(sys.argv[1]), Path(sys.argv[2])
with Database.open(state, migrations=MIGRATIONS) as db:
    log = Log.open(db, LogKey.open(state), {ORIGIN!r})
    print("ready", flush=True)
    log.export(target, tar=sys.argv[3] == "tar")
"""


@pytest.mark.parametrize("how", ["tar", "directory"])
def test_kill_9_leaves_a_whole_export_or_none_and_the_next_one_works(tmp_path, how):
    db, log = open_state(tmp_path / "state")
    with db:
        with db.transaction() as tx:
            from assay.audit import Event

            log.append_many(tx, (Event("a.b", "", {"n": n}) for n in range(20_000)))
        target = tmp_path / "e"
        seen = set()
        for wait in (0, 0.004, 0.01, 0.02, 0.04, 0.08, 0.15):
            child = spawn(EXPORTING, str(tmp_path / "state"), str(target), how)
            child.stdout.readline()
            try:
                child.wait(wait)
            except subprocess.TimeoutExpired:
                kill(child)
            child.communicate()
            seen.add(target.exists())
            if target.exists():
                verify_export(target, vkey=key_of(log, tmp_path), memory=None)
                shutil.rmtree(target) if target.is_dir() else target.unlink()
        log.export(target, tar=how == "tar")
        verify_export(target, vkey=key_of(log, tmp_path), memory=None)
        assert False in seen
        assert leftovers(tmp_path) == []


def commands_of(readme: str) -> list[str]:
    """Return the indented blocks of the README."""
    blocks: list[str] = []
    before = ""
    for line in readme.splitlines():
        if line.startswith("    "):
            if not before.startswith("    "):
                blocks.append("")
            blocks[-1] += line[4:] + "\n"
        before = line
    return blocks


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_the_foreign_commands_of_the_readme_work(opened, tmp_path):
    _, log = opened
    export = tmp_path / "e"
    log.export(export, tar=False, attachments={digest(RECEIPT): RECEIPT})
    ours, openssl, go, coreutils = commands_of((export / "README.txt").read_text())
    assert ours.startswith("assay audit verify")
    assert go.startswith("go run .")

    def shell(command):
        return subprocess.run(["sh", "-c", command], cwd=export, capture_output=True, text=True, check=False)

    assert "Verified Successfully" in shell(openssl).stdout
    assert shell(coreutils).stdout == f"{digest(RECEIPT)}: OK\n"
    (export / "checkpoint").write_text((export / "checkpoint").read_text().replace("\n21\n", "\n22\n"))
    (export / "attachments" / digest(RECEIPT)).write_bytes(b"x")
    assert shell(openssl).returncode != 0
    assert shell(coreutils).returncode != 0


GO = SOURCE.parent / "foreign" / "go-tlog"


@pytest.fixture(scope="session")
def go_verifier(tmp_path_factory):
    if shutil.which("go") is None or not GO.is_dir():
        pytest.skip("no Go toolchain here, or not the whole repository")
    binary = tmp_path_factory.mktemp("go") / "go-tlog"
    built = subprocess.run(
        ["go", "build", "-trimpath", "-o", binary, "."], cwd=GO, capture_output=True, text=True, check=False
    )
    if built.returncode != 0 and ("dial tcp" in built.stderr or "lookup" in built.stderr):
        pytest.skip("the Go registry cannot be reached, and its modules are not in the cache")
    assert built.returncode == 0, built.stderr

    def run(vkey, path, *extra):
        return subprocess.run(
            [binary, "-vkey", str(vkey), *extra, path], capture_output=True, text=True, check=False
        )

    return run


@pytest.mark.timeout(300)
def test_the_packages_of_gos_checksum_database_agree(tmp_path, go_verifier):
    db, log = open_state(tmp_path / "state")
    with db:
        record(db, log, 256)
        log.export(tmp_path / "old", tar=False)
        record(db, log, 500)
        log.export(tmp_path / "new", tar=False)
    key = key_of(log, tmp_path)
    found = go_verifier(key, tmp_path / "new")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [
        f"signature: {log.origin}",
        "size: 757",
        "inclusion: 757 entries",
        "consistency: 257 -> 757",
    ]
    assert go_verifier(key, tmp_path / "old").stdout.splitlines()[-1] == "inclusion: 257 entries"
    path = tmp_path / "new" / "tile/entries/001"
    path.write_bytes(path.read_bytes().replace(b"lease.intended", b"lease.released", 1))
    assert go_verifier(key, tmp_path / "new").returncode == 1
    stranger = VerifierKey(log.origin, 1, bytes(32))
    assert go_verifier(stranger, tmp_path / "old").returncode == 1


def test_the_stated_origin_is_read_without_trust(opened, tmp_path):
    _, log = opened
    log.export(tmp_path / "e", tar=True)
    assert stated_origin(tmp_path / "e") == log.origin
