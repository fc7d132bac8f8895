from __future__ import annotations

import json

import pytest

from support.lease_shell import Shell


@pytest.fixture
def shell(tmp_path):
    found = Shell(tmp_path)
    yield found
    for lease in found.json("lease", "list")["leases"]:
        found("lease", "stop", lease["slug"])


def only(shell) -> dict:
    (lease,) = shell.json("lease", "list")["leases"]
    return lease


def test_a_kept_machine_from_new_to_stop(shell):
    done = shell("lease", "new", "--on", "local", "--json")
    assert done.returncode == 0, done.stderr
    lease = json.loads(done.stdout)
    assert (lease["state"], lease["stop"]) == ("kept", f"assay lease stop {lease['slug']}")
    assert only(shell)["id"] == lease["id"]
    done = shell("run", "-q", "--lease", lease["slug"], "--", "echo", "again")
    assert (done.returncode, done.stdout) == (0, b"again\n")
    assert f"assay lease stop {lease['slug']}".encode() in done.stderr
    assert shell("lease", "keep", lease["id"]).returncode == 0
    shown = shell.json("lease", "show", lease["slug"])
    assert [run["outcome"]["code"] for run in shown["runs"]] == [0]
    shown = shell("lease", "show", lease["slug"]).stdout
    assert b"receipt" in shown
    assert b"  run  1: exit 0\n" in shown
    assert b"kept" in shell("lease", "list").stdout
    assert shell("lease", "stop", lease["slug"]).returncode == 0
    assert shell.json("lease", "list")["leases"] == []
    assert shell.json("lease", "list", "--all")["leases"][0]["reason"] == "asked"
    assert shell("lease", "stop", lease["slug"]).returncode == 0


def test_detach_logs_attach(shell):
    done = shell("run", "--detach", "--on", "local", "--", "sh", "-c", "echo one; sleep 1; echo two; exit 4")
    assert (done.returncode, done.stdout) == (0, b"")
    slug = only(shell)["slug"]
    assert f"assay lease attach {slug}".encode() in done.stderr
    done = shell("lease", "logs", "--follow", slug)
    assert done.stdout == b"one\ntwo\n"
    done = shell("lease", "attach", slug)
    assert (done.returncode, done.stdout) == (4, b"one\ntwo\n")
    assert b"is gone" in done.stderr


def test_wait(shell):
    shell("run", "-q", "--detach", "--on", "local", "--", "sh", "-c", "exit 7")
    done = shell("lease", "wait", only(shell)["slug"])
    assert (done.returncode, done.stdout) == (7, b"")


def test_what_does_not_fit_is_said(shell):
    done = shell("lease", "show", "nobody")
    assert done.returncode == 1
    assert b"lease.unknown" in done.stderr
    shell("lease", "new", "--on", "local")
    slug = only(shell)["slug"]
    done = shell("lease", "attach", slug)
    assert done.returncode == 1
    assert b"lease.state.unsuitable" in done.stderr
    shell("run", "-q", "--detach", "--lease", slug, "--", "sleep", "30")
    done = shell("run", "--lease", slug, "--", "true")
    assert done.returncode == 125
    assert b"lease.not_kept" in done.stderr


def test_cleanup(shell):
    assert b"nothing is left" in shell("cleanup").stdout
    assert shell("lease", "list").stdout == b"There are no leases.\n"
    found = shell.json("cleanup", "--dry-run")
    nothing = {"leases": [], "keys": [], "machines": [], "foreign": [], "problems": []}
    assert found == {"schema": "assay/cleanup/v1", **nothing}


def test_plan(shell):
    (shell.cwd / "file").write_text("x" * 10)
    found = shell.json("plan", "--on", "local", "--sync", ".")
    assert found["simulated"] is True
    assert (found["files"], found["bytes"], found["policy"]["name"]) == (0, 0, "local")
    found = json.loads(shell("plan", "--on", "local", "--sync", ".", "--json", "--", "true").stdout)
    assert (found["files"], found["bytes"]) == (1, 10)
    assert b"-- COMMAND" in shell("plan", "--on", "local", "--sync", ".").stderr
    assert any(check["id"] == "gate.runtime_register" for check in found["checks"])
    assert any("simulated" in text for text in found["not_proven"])
    assert found["settings"]["ttl"] == {"value": 5400, "from": "built-in"}
    done = shell("plan", "--on", "local", "--sync", ".", "--", "true")
    assert b"unproven" in done.stdout
    assert shell.json("lease", "list", "--all")["leases"] == []
    assert shell("plan").returncode == 2
