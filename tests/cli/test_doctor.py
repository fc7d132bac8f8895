"""The doctor says what is there, and answers 1 only for what is needed and broken."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from assay.cli import doctor, exit_codes
from assay.cli import main as entry
from assay.leases import clock
from assay.leases.desk import Desk


@pytest.fixture
def state(tmp_path, monkeypatch):
    path = tmp_path / "state"
    monkeypatch.setenv("ASSAY_STATE_DIR", str(path))
    return path


def _examined(capsys):
    code = entry.main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    return code, answer["healthy"], {finding["name"]: finding for finding in answer["findings"]}


def test_a_machine_that_can_run_these_tests_is_healthy(state, capsys):
    code, healthy, found = _examined(capsys)
    assert (code, healthy) == (exit_codes.OK, True)
    assert found["python"]["health"] == "ok"
    assert "OpenSSL" in found["cryptography"]["text"]
    assert not state.exists(), "the doctor changes nothing"


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_state_directory_that_others_enter_fails(state, capsys, mode):
    state.mkdir()
    state.chmod(mode)
    code, healthy, found = _examined(capsys)
    assert (code, healthy) == (exit_codes.REFUSED, False)
    assert found["state directory"]["health"] == "failed"
    assert "chmod 700" in found["state directory"]["action"]
    assert state.stat().st_mode & 0o777 == mode


def test_a_private_state_directory_is_fine(state, capsys):
    state.mkdir(mode=0o700)
    assert _examined(capsys)[2]["state directory"] == {
        "name": "state directory",
        "health": "ok",
        "text": str(state),
    }


def test_a_relative_state_directory_fails(monkeypatch, capsys):
    monkeypatch.setenv("ASSAY_STATE_DIR", "here")
    assert _examined(capsys)[0] == exit_codes.REFUSED


def test_a_state_directory_that_cannot_be_looked_at_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / ("long" * 100) / "state"))
    code, healthy, found = _examined(capsys)
    assert (code, healthy) == (exit_codes.REFUSED, False)
    assert found["state directory"]["health"] == found["clock"]["health"] == "failed"
    assert "File name too long" in found["state directory"]["text"]


def test_a_state_directory_that_nobody_could_make_fails(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "file" / "state"))
    assert _examined(capsys)[2]["state directory"]["health"] == "failed"


def test_a_state_directory_below_what_is_not_ours_to_write_fails(capsys, state):
    entry.main(["doctor"])  # whatever is imported, is imported by a user who may
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        found = {finding.name: finding for finding in doctor.examine({"HOME": "/assay-nobody-made-this"})}
    finally:
        os.seteuid(user)
    assert found["state directory"].health is doctor.Health.FAILED
    assert found["state directory"].text.endswith("cannot be made: nothing can be made in /")


@pytest.mark.parametrize(("free", "health"), [(1 << 20, "failed"), (100 << 20, "warning"), (1 << 40, "ok")])
def test_disk_space(state, capsys, monkeypatch, free, health):
    usage = doctor.shutil._ntuple_diskusage(0, 0, free)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    code, _, found = _examined(capsys)
    assert found["disk"]["health"] == health
    assert code == (exit_codes.REFUSED if health == "failed" else exit_codes.OK)


def test_what_is_not_installed_is_a_warning_with_what_to_do(state, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, found = _examined(capsys)
    assert code == exit_codes.OK
    assert found["isolation"]["health"] == "warning"
    assert "`none`: bubblewrap is not installed" in found["isolation"]["text"]
    assert found["git"]["health"] == "warning"


def test_a_sandbox_that_does_not_work_is_told_from_one_that_does(state, capsys, monkeypatch, tmp_path):
    for name in ("bwrap", "setpriv"):
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\necho 'no \033 namespaces' >&2\nexit 3\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = _examined(capsys)[2]["isolation"]
    assert found["health"] == "warning"
    assert "does not work" in found["text"]


def _remember(when):
    with Desk.open(os.environ) as desk, desk.db.transaction() as tx:
        clock.remember(tx, when, "collateral")


def test_a_clock_before_the_newest_verified_time_fails(state, capsys):
    _remember(datetime.now(UTC) + timedelta(days=365))
    code, _, found = _examined(capsys)
    assert code == exit_codes.REFUSED
    assert found["clock"]["health"] == "failed"


def test_a_clock_after_it_is_fine(state, capsys):
    _remember(datetime(2025, 6, 25, tzinfo=UTC))
    code, _, found = _examined(capsys)
    assert code == exit_codes.OK
    assert "2025-06-25" in found["clock"]["text"]


def test_people_read_a_line_for_each_finding(state, capsys):
    assert entry.main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "python" in shown
    assert "\x1b" not in shown
