from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from support.lease_shell import Shell


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a shell whose one lease ran and was released, and the path of its receipt."""
    shell = Shell(tmp_path_factory.mktemp("receipt"))
    done = shell("run", "--on", "local", "--sync", ".", "--", "sh", "-c", ": private-word; echo 42; exit 3")
    told = done.stderr.decode().split("assay receipt verify ")
    assert (done.returncode, len(told)) == (3, 2), done.stderr.decode()
    return shell, told[1].split()[0]


@pytest.fixture
def copied(finished, tmp_path):
    """Return a shell of its own on a copy of that state, to be spoilt."""
    shell, path = finished
    shutil.copytree(shell.home / "state", tmp_path / "state")
    other = Shell(tmp_path)
    return other, path.replace(str(shell.home), str(tmp_path))


def entries(path):
    db = sqlite3.connect(path)
    found = [json.loads(row[0]) for row in db.execute("SELECT entry FROM audit_entries ORDER BY seq")]
    db.close()
    return found


def refusal(shell, *words):
    done = shell("receipt", "verify", *words, "--json")
    assert done.returncode == 1, done.stdout
    return json.loads(done.stdout)["error"]["code"]


def test_records_that_cannot_be_looked_at_are_not_absent(finished, tmp_path, monkeypatch, capsys):
    _, path = finished
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / ("long" * 100) / "state"))
    assert main(["receipt", "verify", path, "--json"]) == exit_codes.REFUSED
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "store.directory.unusable"


def test_a_receipt_is_shown_with_a_word_on_what_that_is_worth(finished):
    shell, path = finished
    done = shell("receipt", "show", path)
    assert done.returncode == 0
    assert "reason exited, code 3" in done.stdout.decode()
    assert "(self-asserted)" in done.stdout.decode()
    assert "not verified" in done.stdout.decode()
    found = shell.json("receipt", "show", path)
    assert (found["verified"], found["stated"]["outcome"]["code"]) == (False, 3)
    assert set(found["self_asserted"]) == {"started_at", "ended_at"}


def test_a_receipt_is_accepted_with_its_evidence_after_the_lease_is_gone(finished):
    shell, path = finished
    found = shell.json("receipt", "verify", path)
    assert found["verdict"] == "accepted"
    assert [found[name]["result"]["verdict"] for name in ("admission", "start")] == ["accepted", "accepted"]
    assert [found[name]["same_policy"] for name in ("admission", "start")] == [True, True]
    assert found["log"]["entry"] > found["start"]["entry"] > found["admission"]["entry"]
    assert any("simulated" in sentence for sentence in found["not_proven"])
    done = shell("receipt", "verify", path)
    assert b"accepted: signed by the key that the start Evidence binds" in done.stdout


def test_the_log_of_that_run_verifies_and_holds_no_command_and_no_output(finished, tmp_path):
    shell, path = finished
    assert shell("audit", "export", "--out", str(tmp_path / "e")).returncode == 0
    assert shell("audit", "verify", str(tmp_path / "e")).returncode == 16
    exported = [item for item in (tmp_path / "e").rglob("*") if item.is_file()]
    assert path.rpartition("/")[2] in {item.name for item in exported}
    assert all(b"private-word" not in item.read_bytes() for item in exported)
    kinds = [item["kind"] for item in entries(shell.home / "state" / "assay.db")]
    assert kinds[0] == "log.opened"
    assert kinds.index("evidence.admitted") < kinds.index("evidence.started") < kinds.index("receipt.issued")


def test_another_policy_is_applied_and_said(finished):
    shell, path = finished
    done = shell("receipt", "verify", path, "--policy", "strict", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"], found["start"]["same_policy"]) == (1, "refused", False)
    assert any("another digest" in sentence for sentence in found["not_proven"])
    done = shell("receipt", "verify", path, "--policy", "strict")
    assert b"FAIL policy.simulated" in done.stdout
    assert b"refused: the Evidence" in done.stdout


def test_reference_values_are_those_typed_besides_our_own(finished):
    shell, path = finished
    assert shell("receipt", "verify", path, "--reference", f"mr_td={'00' * 48}").returncode == 0
    assert shell("receipt", "verify", path, "--reference", "mr_td=00").returncode == 2


def test_a_changed_receipt(copied):
    shell, path = copied
    data = Path(path).read_bytes()
    changed = shell.home / "changed"
    changed.write_bytes(data.replace(b'"code":3', b'"code":0'))
    assert refusal(shell, str(changed)) == "receipt.signature"
    changed.write_bytes(data.replace(b'"sequence":1', b'"sequence":2'))
    assert refusal(shell, str(changed)) == "lease.receipt.unknown"
    changed.write_bytes(data[:-1])
    assert refusal(shell, str(changed)) == "receipt.malformed"


def test_a_receipt_of_another_installation(finished, tmp_path):
    _, path = finished
    stranger = Shell(tmp_path)
    assert refusal(stranger, path) == "lease.receipt.unknown"
    assert not (tmp_path / "state").exists(), "looking makes nothing"


def test_changed_evidence(copied):
    shell, path = copied
    found = json.loads(shell("receipt", "show", path, "--json").stdout)["stated"]
    kept = shell.home / "state" / "evidence" / found["start_evidence"]
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    assert refusal(shell, path) == "lease.vault.altered"


def test_a_receipt_that_the_log_does_not_name(copied):
    shell, path = copied
    (shell.home / "state" / "log.head").unlink()
    assert refusal(shell, path) == "receipt.unlogged"


def test_a_file_that_is_not_there(finished, tmp_path):
    shell, _ = finished
    assert shell("receipt", "verify", str(tmp_path / "none")).returncode == 2
