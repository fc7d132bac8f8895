"""``assay simulate``: what it writes, and that the command it prints gives the answer it promises."""

from __future__ import annotations

import json
import shlex

import pytest

from assay.cli import exit_codes
from assay.cli.main import main


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


@pytest.mark.parametrize("platform", ["tdx", "sgx", "nitro", "nitro-tpm"])
def test_the_command_it_prints_accepts_the_evidence(capsys, tmp_path, platform):
    code, out, err = said(capsys, "simulate", platform, "--out", tmp_path / "made")
    assert code == 0
    assert "this installation's own" in err
    assert out.strip() in (tmp_path / "made" / "README.txt").read_text()
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--json")
    (result,) = json.loads(out)["results"]
    assert code == exit_codes.OK
    assert result["verdict"] == "accepted"


@pytest.mark.parametrize(
    ("attack", "refusal"),
    [("role-confusion", "dcap.tcb_signer.chain"), ("tampered-event-log", "ccel.replay.mismatch")],
)
def test_an_attack_is_refused_as_promised(capsys, tmp_path, attack, refusal):
    code, out, err = said(capsys, "simulate", "tdx", "--out", tmp_path / "made", "--attack", attack)
    assert code == 0
    assert f"Attack {attack}: " in err
    assert refusal in (tmp_path / "made" / "README.txt").read_text()
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--json")
    assert code == exit_codes.REFUSED
    assert f'"code": "{refusal}"' in out


def test_evidence_under_a_throw_away_root_is_refused_for_its_root(capsys, tmp_path):
    code, out, err = said(capsys, "simulate", "sgx", "--out", tmp_path / "made", "--throw-away")
    assert code == 0
    assert "forgotten" in err
    assert not (tmp_path / "state").exists()
    code, out, _ = said(capsys, *shlex.split(out)[1:])
    assert code == exit_codes.REFUSED


def test_what_was_made_as_json(capsys, tmp_path):
    words = ["simulate", "tdx", "--out", tmp_path / "made", "--version", "5", "--attack", "service-td"]
    code, out, err = said(capsys, *words, "--report-data", "07" * 64, "--json")
    made = json.loads(out)
    assert (code, err) == (0, "")
    assert made["attack"]["name"] == "service-td"
    assert made["report_data"] == "07" * 64
    assert made["command"][:2] == ["assay", "verify"]
    quote = (tmp_path / "made" / "quote.bin").read_bytes()
    assert quote[0] == 5
    assert b"\x07" * 64 in quote


@pytest.mark.parametrize("platform", ["tdx", "sgx"])
def test_the_list_names_every_attack_of_the_platform(capsys, platform):
    code, out, _ = said(capsys, "simulate", platform, "--list")
    assert code == 0
    code, as_json, _ = said(capsys, "simulate", platform, "--list", "--json")
    entries = json.loads(as_json)
    assert ("perfmon" in {entry["name"] for entry in entries}) == (platform == "tdx")
    for entry in entries:
        assert entry["name"] in out
        assert entry["description"] in out
        assert "{" not in entry["code"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], "cli.simulate.out"),
        (["--out", "full"], "cli.simulate.not_empty"),
        (["--out", "file"], "cli.simulate.directory"),
        (["--out", "new", "--version", "3"], "cli.simulate.version"),
        (["--out", "new", "--report-data", "07"], "cli.simulate.report_data"),
        (["--out", "new", "--report-data", "xy" * 64], "cli.simulate.report_data"),
        (["--out", "new", "--attack", "unheard-of"], "simulator.attack.unknown"),
        (["--out", "new", "--version", "4", "--attack", "service-td"], "simulator.attack.elsewhere"),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is_written(capsys, tmp_path, monkeypatch, words, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "file").touch()
    answer, out, err = said(capsys, "simulate", "tdx", *words)
    assert answer != 0
    assert out == ""
    assert f"[{code}]" in err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    assert not (tmp_path / "new").exists() or list((tmp_path / "new").iterdir()) == []
