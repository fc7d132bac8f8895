from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError
from assay.leases.secrets import begins_like_a_secret, named_like_a_secret
from assay.leases.spool import Spool
from assay.leases.sync import Wanted, collect, excluded, locate
from assay.workload.bundle import BundleLimits, Kind, Listing

ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def git(root: Path, *words: str) -> None:
    environ = {**ENVIRON, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@x", "-C", root, *words],
        check=True,
        env=environ,
        capture_output=True,
    )


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    root.mkdir()
    git(root, "init", "-q")
    (root / "main.py").write_text("print(1)\n")
    (root / "src").mkdir()
    (root / "src" / "tool.sh").write_text("#!/bin/sh\n")
    (root / "src" / "tool.sh").chmod(0o755)
    (root / "ignored.log").write_text("x")
    (root / ".gitignore").write_text("*.log\n.env\n")
    git(root, "add", "main.py", ".gitignore")
    git(root, "commit", "-qm", "x")
    return root


def taken(root, *, cwd=None, sync=None, include=(), exclude=(), max_files=1000, max_bytes=1 << 20):
    wanted = Wanted(cwd or root, sync, tuple(include), tuple(exclude), max_files, max_bytes)
    source = locate(wanted, ENVIRON)
    with Spool(root.parent) as spool:
        collect(source, wanted, spool, ENVIRON)
        return source, spool.listing, b"".join(spool.stream())


def refused(*given, **named) -> AssayError:
    with pytest.raises(AssayError) as caught:
        taken(*given, **named)
    return caught.value


def paths(listing: Listing) -> list[str]:
    return [entry.path.decode() for entry in listing.entries]


def test_the_working_tree_is_sent_without_what_git_ignores(tree):
    source, listing, stream = taken(tree)
    assert source.root == tree.resolve()
    assert paths(listing) == [".gitignore", "main.py", "src/tool.sh"]
    assert [oct(entry.mode) for entry in listing.entries] == ["0o644", "0o644", "0o755"]
    assert listing.entries[1].content == hashlib.sha256(b"print(1)\n").digest()
    encoded = listing.encode()
    assert stream == len(encoded).to_bytes(8, "big") + encoded + b"*.log\n.env\nprint(1)\n#!/bin/sh\n"
    assert Listing.decode(encoded, BundleLimits()) == listing


def test_the_digest_does_not_depend_on_who_checked_out(tree):
    before = taken(tree)[1].digest()
    (tree / "main.py").chmod(0o600)
    (tree / "src" / "tool.sh").chmod(0o700)
    assert taken(tree)[1].digest() == before


def test_a_deleted_file_is_not_sent_and_a_replaced_directory_is_what_it_is_now(tree):
    (tree / "main.py").unlink()
    (tree / "main.py").mkdir()
    (tree / "main.py" / "inner").write_text("y")
    assert paths(taken(tree)[1]) == [".gitignore", "main.py/inner", "src/tool.sh"]


def test_the_working_directory_goes_along(tree):
    (tree / "empty").mkdir()
    source, listing, _ = taken(tree, cwd=tree / "src")
    assert source.cwd == "src"
    assert "src" not in paths(listing)
    source, listing, _ = taken(tree, cwd=tree / "empty")
    assert source.cwd == "empty"
    assert listing.entries[1].kind is Kind.DIRECTORY


def test_outside_a_repository_nothing_is_sent_unless_asked(tmp_path):
    plain = tmp_path / "plain"
    (plain / "a" / "b").mkdir(parents=True)
    (plain / "a" / "x").write_text("x")
    source, listing, stream = taken(plain)
    assert source.root is None
    assert listing.entries == ()
    assert len(stream) == 8 + len(listing.encode())
    assert paths(taken(plain, sync=plain)[1]) == ["a/x"]
    assert paths(taken(plain, sync=plain, exclude=["a"])[1]) == []
    assert refused(plain, sync=plain / "a" / "x").code == "lease.sync.directory"


def test_a_part_of_a_repository_is_under_the_repositorys_settings(tree):
    source, listing, _ = taken(tree, sync=tree / "src", cwd=tree / "src")
    assert (source.root, source.repository) == ((tree / "src").resolve(), tree.resolve())
    assert paths(listing) == ["tool.sh"]


def test_links_stay_inside(tree):
    (tree / "src" / "up").symlink_to("../main.py")
    assert "src/up" in paths(taken(tree)[1])
    (tree / "src" / "out").symlink_to("../../secret")
    error = refused(tree)
    assert error.code == "workload.link.leaves_tree"
    assert "src/out" in error.message
    assert "src/up" in paths(taken(tree, exclude=["src/out"])[1])


@pytest.mark.parametrize("target", ["/etc/passwd", "up/../../x", "a//b"])
def test_links_that_leave_are_refused(tree, target):
    (tree / "out").symlink_to(target)
    assert refused(tree).code == "workload.link.leaves_tree"


def test_a_directory_that_became_a_link_is_not_followed(tree, tmp_path):
    git(tree, "add", "src")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "tool.sh").write_text("secret of somebody else")
    (tree / "src" / "tool.sh").unlink()
    (tree / "src").rmdir()
    (tree / "src").symlink_to(tmp_path / "elsewhere")
    assert refused(tree).code == "workload.link.leaves_tree"
    assert paths(taken(tree, exclude=["/src"])[1]) == [".gitignore", "main.py"]


def test_special_files_are_refused_by_name(tree):
    os.mkfifo(tree / "pipe")
    plain = tree / "src"
    os.mkfifo(plain / "pipe2")
    assert taken(tree)[1].entries  # git does not list pipes
    import shutil

    shutil.rmtree(tree / ".git")
    error = refused(tree, sync=tree)
    assert error.code == "lease.sync.special"
    assert "pipe" in error.message


def test_submodules_are_refused_by_name(tree, tmp_path):
    other = tree / "vendored"
    other.mkdir()
    git(other, "init", "-q")
    (other / "f").write_text("x")
    error = refused(tree)
    assert error.code == "lease.sync.submodule"
    assert "vendored" in error.message
    git(other, "add", "f")
    git(other, "commit", "-qm", "x")
    git(tree, "add", "vendored")
    assert refused(tree).code == "lease.sync.submodule"
    assert paths(taken(tree, exclude=["vendored"])[1]) == [".gitignore", "main.py", "src/tool.sh"]


def test_likely_secrets_need_to_be_named(tree):
    (tree / "deploy.pem").write_text("x")
    (tree / "notes.txt").write_text("a\n-----BEGIN OPENSSH PRIVATE KEY-----\n")
    error = refused(tree)
    assert error.code == "lease.sync.secret"
    assert "deploy.pem" in error.message
    assert "notes.txt" in error.message
    assert refused(tree, include=["deploy.pem"]).detail["files"] == 1
    assert "notes.txt" in paths(taken(tree, include=["deploy.pem", "notes.txt"])[1])
    assert "notes.txt" not in paths(taken(tree, exclude=["*.pem", "notes.txt"])[1])


def test_include_sends_an_ignored_file(tree):
    (tree / ".env").write_text("A=1")
    assert ".env" not in paths(taken(tree)[1])
    assert ".env" in paths(taken(tree, include=[".env"])[1])
    assert refused(tree, include=["absent"]).code == "lease.sync.include"
    assert refused(tree, include=["/etc/passwd"]).code == "lease.sync.include"


def test_limits_come_before_a_lease(tree):
    assert refused(tree, max_files=2).code == "lease.sync.too_many"
    assert refused(tree, max_bytes=12).code == "lease.sync.too_large"
    import shutil

    shutil.rmtree(tree / ".git")
    assert refused(tree, sync=tree, max_files=2).code == "lease.sync.too_many"


def test_a_file_that_is_too_large_is_not_copied_first(tree, monkeypatch):
    with (tree / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(Spool, "_write", lambda *_: pytest.fail("it was copied"))
    error = refused(tree, exclude=["*.py", ".gitignore", "*.sh"])
    assert error.code == "lease.sync.too_large"
    assert "sparse" in error.message


def test_a_file_that_changes_later_does_not_change_what_is_sent(tree):
    wanted = Wanted(tree, None, (), (), 100, 1 << 20)
    with Spool(tree.parent) as spool:
        collect(locate(wanted, ENVIRON), wanted, spool, ENVIRON)
        (tree / "main.py").write_text("other")
        assert b"print(1)\n" in b"".join(spool.stream())


def test_a_repository_cannot_run_anything_or_point_elsewhere(tree, tmp_path):
    proof = tmp_path / "ran"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {proof}\n")
    script.chmod(0o755)
    hooks = tree / ".git" / "hooks"
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout"):
        (hooks / hook).write_text(script.read_text())
        (hooks / hook).chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(script))
    git(tree, "config", "filter.x.clean", str(script))
    git(tree, "config", "diff.x.textconv", str(script))
    (tree / ".gitattributes").write_text("* filter=x diff=x\n")
    taken(tree)
    assert not proof.exists()
    git(tree, "config", "core.worktree", str(tmp_path))
    assert refused(tree).code == "lease.sync.worktree"


def test_gits_own_variables_do_not_reach_git(tree, tmp_path, monkeypatch):
    other = {**ENVIRON, "GIT_DIR": str(tmp_path / "nowhere"), "GIT_WORK_TREE": "/"}
    wanted = Wanted(tree, None, (), (), 100, 1 << 20)
    assert locate(wanted, other).root == tree.resolve()


def test_a_repository_of_another_owner_is_refused_by_git(tree):
    if os.geteuid() != 0:
        pytest.skip("needs to change an owner")
    os.chown(tree, 12345, 12345)
    os.chown(tree / ".git", 12345, 12345)
    assert refused(tree).code == "lease.sync.git"


def test_odd_names_survive(tree):
    name = os.fsencode(tree) + b"/\xff\n\x1b[31m"
    Path(os.fsdecode(name)).write_text("x")
    assert b"\xff\n\x1b[31m" in [entry.path for entry in taken(tree)[1].entries]


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "a/.env.production",
        "id_rsa",
        "x/ID_RSA",
        "server.key",
        ".aws/credentials",
        ".docker/config.json",
        "a.tfstate",
    ],
)
def test_names_of_secrets(path):
    assert named_like_a_secret(path)


@pytest.mark.parametrize(
    "path", ["config.json", ".env.example", "id_rsa.pub", "keys.py", "environment", "docker/config.json"]
)
def test_names_that_are_not_secrets(path):
    assert not named_like_a_secret(path)


@pytest.mark.parametrize(
    "head",
    [
        b"-----BEGIN PRIVATE KEY-----",
        b"text\n-----BEGIN RSA PRIVATE KEY-----\n",
        b"-----BEGIN PGP PRIVATE KEY BLOCK-----",
        b"aws_access_key_id = AKIA" + b"A" * 16,
        b"AGE-SECRET-KEY-1ABC",
        b'{"private_key": "-----BEGIN',
        b"apiVersion: v1\nkind: Config\nusers:\n- user:\n    client-key-data: AA",
        b"token ghp_" + b"a" * 36,
    ],
)
def test_beginnings_of_secrets(head):
    assert begins_like_a_secret(head)


@pytest.mark.parametrize(
    "head", [b"", b"-----BEGIN PUBLIC KEY-----", b"AKIA is a prefix", b"kind: Config\nx: y"]
)
def test_beginnings_that_are_not_secrets(head):
    assert not begins_like_a_secret(head)


def test_exclude_patterns():
    assert excluded("data/a/b.bin", ["data"])
    assert excluded("data/a/b.bin", ["data/a/"])
    assert excluded("data/a/b.bin", ["*.bin"])
    assert excluded("x/data/a", ["data"])
    assert not excluded("x/data/a", ["/data"])
    assert not excluded("database", ["data"])


@given(st.binary(max_size=200))
def test_any_beginning_is_judged(head):
    assert begins_like_a_secret(head) in (True, False)
