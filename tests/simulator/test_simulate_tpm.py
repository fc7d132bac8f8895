"""``assay simulate tpm``: the command that it prints gives the answer that it promises."""

from __future__ import annotations

import json
import shlex

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from assay.simulator.anchors import anchors
from assay.simulator.intel import STATE_DIRECTORY, Installation
from assay.simulator.tpm.attacks import ATTACKS


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_evidence_that_is_accepted(capsys, tmp_path):
    code, out, _ = said(capsys, "simulate", "tpm", "--out", tmp_path / "made")
    assert code == exit_codes.OK
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--json")
    (result,) = json.loads(out)["results"]
    assert result["verdict"] == "accepted", result
    assert code == exit_codes.OK
    installation = Installation.open(tmp_path / "state" / STATE_DIRECTORY)
    assert [anchor.vendor for anchor in anchors(installation, ["tpm"])] == ["tpm"]


def test_attacks_are_listed(capsys):
    code, out, _ = said(capsys, "simulate", "tpm", "--list", "--json")
    assert code == exit_codes.OK
    assert [entry["name"] for entry in json.loads(out)] == list(ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_as_promised(capsys, tmp_path, attack):
    words = ("simulate", "tpm", "--out", tmp_path / "made", "--attack", attack, "--json")
    code, out, _ = said(capsys, *words)
    assert code == exit_codes.OK
    made = json.loads(out)
    assert made["attack"]["name"] == attack
    assert made["attack"]["code"] in (tmp_path / "made" / "README.txt").read_text()
    code, out, _ = said(capsys, *made["command"][1:], "--json")
    assert code == exit_codes.REFUSED
    (result,) = json.loads(out)["results"]
    said_of_it = [result["error"]] if "error" in result else result["checks"]
    assert made["attack"]["code"] in {found.get("code") for found in said_of_it}
