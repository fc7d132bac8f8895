"""``assay simulate snp``: the command that it prints gives the answer that it promises."""

from __future__ import annotations

import json
import shlex

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from assay.evidence.snp import Product
from assay.simulator.amd.attacks import ATTACKS
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.anchors import anchors
from assay.simulator.intel import STATE_DIRECTORY, Installation


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """One installation for all tests of a worker, with small RSA keys: the genuine size takes seconds."""
    found = tmp_path_factory.mktemp("state")
    found.chmod(0o700)
    installation = Installation.create(found / STATE_DIRECTORY)
    amd = SimulatedAmd(installation.secret, installation.directory, bits=2048)
    amd.root_key(Product.GENOA)
    amd.authority_key(Product.GENOA, "vcek")
    return found


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, state):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(state))


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_evidence_that_is_accepted(capsys, tmp_path, state):
    code, out, _ = said(capsys, "simulate", "snp", "--out", tmp_path / "made", "--version", "5")
    assert code == exit_codes.OK
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--json")
    assert code == exit_codes.OK
    (result,) = json.loads(out)["results"]
    assert result["verdict"] == "accepted"
    assert "unjudged-tcb" in str(result)
    installation = Installation.open(state / STATE_DIRECTORY)
    (root,) = anchors(installation, ["snp"])
    assert root.name.startswith("simulated AMD root for Genoa")
    assert anchors(Installation(installation.secret), ["snp"]) == ()  # nothing is made for the asking


def test_the_attacks_are_listed_with_their_codes(capsys):
    code, out, _ = said(capsys, "simulate", "snp", "--list", "--json")
    assert code == exit_codes.OK
    assert {entry["name"]: entry["code"] for entry in json.loads(out)["attacks"]} == {
        name: attack.unrouted or attack.code for name, attack in ATTACKS.items()
    }


@pytest.mark.parametrize("columns", [60, 200])
def test_the_list_of_attacks_fits_into_the_terminal(capsys, monkeypatch, columns):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = said(capsys, "simulate", "snp", "--list")[1].splitlines()
    assert max(map(len, lines)) <= columns
    shown = " ".join(" ".join(lines).split())
    assert all(name in shown and attack.description in shown for name, attack in ATTACKS.items())


def test_what_cannot_be_made_is_said(capsys, tmp_path):
    for words, expected in (
        (("--attack", "no-such"), "simulator.attack.unknown"),
        (("--attack", "another-product", "--version", "2"), "simulator.attack.platform"),
        (("--version", "6"), "cli.simulate.version"),
    ):
        code, _, err = said(capsys, "simulate", "snp", "--out", tmp_path / "made", *words)
        assert code == exit_codes.USAGE
        assert ("assay simulate snp --list" in err) is ("--attack" in words)
        assert expected in err
        assert not (tmp_path / "made").exists()
