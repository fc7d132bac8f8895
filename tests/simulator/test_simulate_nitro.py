"""``assay simulate nitro``: the command that it prints gives the answer that it promises."""

from __future__ import annotations

import json
import shlex

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from assay.simulator.anchors import anchors
from assay.simulator.nitro.attacks import ATTACKS
from support.nitro_scenes import AWS

CASES = [(name, platform) for name, attack in ATTACKS.items() for platform in attack.platforms]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_the_attacks_are_listed_with_their_codes(capsys):
    code, out, _ = said(capsys, "simulate", "nitro-tpm", "--list", "--json")
    assert code == exit_codes.OK
    listed = [entry["name"] for entry in json.loads(out)["attacks"]]
    assert listed == [name for name, of in CASES if of == "nitro-tpm"]
    code, out, _ = said(capsys, "simulate", "nitro", "--list")
    assert code == exit_codes.OK
    assert "policy.attributes.debug.weak" in out


def test_what_cannot_be_made_is_said(capsys, tmp_path):
    for words, expected in (
        (("--attack", "no-such"), "simulator.attack.unknown"),
        (("--attack", "debug-enclave"), "simulator.attack.elsewhere"),
        (("--version", "4"), "cli.simulate.version"),
    ):
        code, _, err = said(capsys, "simulate", "nitro-tpm", "--out", tmp_path / "made", *words)
        assert code != exit_codes.OK
        assert expected in err


def test_a_root_in_a_file_anchors_the_formats_of_its_vendor(capsys, tmp_path):
    """Nothing is this installation's own here: the policy refuses, the evidence stands."""
    _, out, _ = said(capsys, "simulate", "nitro", "--out", tmp_path / "made", "--throw-away")
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--json")
    assert code == exit_codes.REFUSED
    (result,) = json.loads(out)["results"]
    assert result["evidence"]["authentic"] is True
    assert result["simulated"] is True
    failed = {check["code"] for check in result["checks"] if check["outcome"] == "failed"}
    assert failed == {"policy.simulated.no_root"}


def test_an_installation_has_one_root_for_intels_and_one_for_awss_formats():
    found = anchors(AWS.installation, ("sgx", "nitro", "tdx", "nitro-tpm", "unknown"))
    assert [anchor.vendor for anchor in found] == ["intel", "aws"]
    assert found[1].der == AWS.root_der
    assert anchors(AWS.installation, ("nitro", "unknown")) == found[1:]
    assert anchors(AWS.installation, ("sgx",)) == found[:1]
    assert set(found) <= set(anchors(AWS.installation))
    assert anchors(AWS.installation, ()) == ()
