"""``assay simulate``: what it writes, and that the command it prints gives the answer it promises.

Every platform and every attack goes through the real command line once.
"""

from __future__ import annotations

import json
import shlex

import pytest

from assay.appraisal.vocabulary import PLATFORMS
from assay.cli import exit_codes
from assay.cli.main import main
from assay.cli.simulations import platforms, simulation_of
from assay.evidence.snp import Product
from assay.simulator.amd.installation import SimulatedAmd
from assay.simulator.anchors import anchors, fingerprints
from assay.simulator.intel import STATE_DIRECTORY, Installation
from assay.simulator.tokens import ServiceKeys, TokenServices

ATTACKS = [(platform, attack.name) for platform in platforms() for attack in simulation_of(platform).attacks]


@pytest.fixture(scope="session")
def state(tmp_path_factory):
    """One installation for all tests of a worker, with small RSA keys: the genuine size takes seconds."""
    found = tmp_path_factory.mktemp("state")
    found.chmod(0o700)
    installation = Installation.create(found / STATE_DIRECTORY)
    amd = SimulatedAmd(installation.secret, installation.directory, bits=2048)
    amd.root_key(Product.GENOA)
    amd.authority_key(Product.GENOA, "vcek")
    assert TokenServices(ServiceKeys(installation.secret, installation.directory, 2048)).leaf.der
    return found


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, state):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(state))


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


def test_every_platform_that_is_verified_can_be_simulated(capsys):
    assert set(platforms()) == set(PLATFORMS)
    _, out, _ = said(capsys, "simulate", "--help")
    named = " ".join(out.split()).partition("PLATFORM is one of: ")[2].partition(".")[0]
    assert set(named.split(", ")) == set(platforms())


@pytest.mark.parametrize("platform", platforms())
def test_the_command_it_prints_accepts_the_evidence(capsys, tmp_path, platform):
    code, out, err = said(capsys, "simulate", platform, "--out", tmp_path / "made")
    assert code == 0
    assert "this installation's own" in err
    assert out.strip() in (tmp_path / "made" / "README.txt").read_text()
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--json")
    (result,) = json.loads(out)["results"]
    assert result["verdict"] == "accepted", result
    assert result["simulated"] is True
    assert [missing for missing in result["missing"] if missing["action"]] == []
    assert code == exit_codes.OK


def _given(command, *options):
    """Return these options of a command with their values."""
    return [word for at, word in enumerate(command) if word in options or command[at - 1] in options]


@pytest.mark.parametrize("platform", platforms())
def test_a_policy_written_from_it_accepts_it(capsys, tmp_path, platform):
    code, out, _ = said(capsys, "simulate", platform, "--out", tmp_path / "made", "--json")
    assert code == exit_codes.OK
    made = json.loads(out)
    command, draft = made["command"][1:], tmp_path / "draft.toml"
    known = _given(command, "--endorsements", "--roots", "--event-log", "--at")
    code, _, err = said(capsys, "policy", "new", "--from", command[1], *known, "--out", draft)
    assert code == exit_codes.OK, err
    command[command.index("--policy") + 1] = str(draft)
    code, out, _ = said(capsys, *command, "--json")
    (result,) = json.loads(out)["results"]
    assert result["verdict"] == "accepted", result
    assert code == exit_codes.OK


@pytest.mark.parametrize(("platform", "attack"), ATTACKS)
def test_an_attack_is_refused_as_promised(capsys, tmp_path, platform, attack):
    words = ("simulate", platform, "--out", tmp_path / "made", "--attack", attack, "--json")
    code, out, _ = said(capsys, *words)
    assert code == exit_codes.OK
    made = json.loads(out)
    assert made["attack"]["name"] == attack
    promised = made["attack"]["code"]
    assert promised in (tmp_path / "made" / "README.txt").read_text()
    code, out, _ = said(capsys, *made["command"][1:], "--json")
    (result,) = json.loads(out)["results"]
    if not promised:
        assert code == exit_codes.OK
        assert result["verdict"] == "accepted"
        return
    assert code == exit_codes.REFUSED
    said_of_it = [result["error"]] if "error" in result else result["checks"]
    assert promised in {found.get("code") for found in said_of_it}


@pytest.mark.parametrize("platform", platforms())
def test_the_list_names_every_attack_of_the_platform(capsys, platform):
    code, out, _ = said(capsys, "simulate", platform, "--list")
    assert code == 0
    code, as_json, _ = said(capsys, "simulate", platform, "--list", "--json")
    entries = json.loads(as_json)["attacks"]
    assert entries
    assert [entry["name"] for entry in entries] == [name for of, name in ATTACKS if of == platform]
    for entry in entries:
        assert entry["name"] in out
        assert entry["description"].endswith((".", "?"))
        assert "{" not in entry["code"]


def test_an_installation_knows_the_roots_of_what_it_made(state, capsys, tmp_path):
    installation = Installation.open(state / STATE_DIRECTORY)
    for platform in ("azure-snp", "gcp-vtpm", "maa"):
        assert said(capsys, "simulate", platform, "--out", tmp_path / platform)[0] == 0
    known = {anchor.vendor for anchor in anchors(installation)}
    assert known == {
        *("intel", "amd", "aws", "azure-vtpm", "google-vtpm", "google-confidential-space"),
        *("nvidia", "nvidia-rim", "tpm"),
    }
    assert len(fingerprints(installation, ["maa"])) == 1
    assert anchors(installation, ["maa"]) == ()
    fresh = Installation(installation.secret)  # without a directory nothing was kept, nothing is made
    assert {anchor.vendor for anchor in anchors(fresh)} == {"intel", "aws", "nvidia", "nvidia-rim", "tpm"}
    assert fingerprints(fresh, ["maa", "trust-authority"]) == frozenset()


@pytest.mark.parametrize(
    ("platform", "vendor", "authentic"),
    [
        ("tpm", "", True),
        ("tpm", "tpm=", True),
        ("tpm", "aws=", False),
        ("nitro", "", True),
        ("nitro", "aws=", True),
        ("nitro", "tpm=", False),
    ],
)
def test_a_root_in_a_file_anchors_what_its_name_or_the_typed_vendor_says(
    monkeypatch, capsys, tmp_path, platform, vendor, authentic
):
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))
    words = ("simulate", platform, "--out", tmp_path / "made", "--throw-away", "--json")
    command = json.loads(said(capsys, *words)[1])["command"][1:]
    at = command.index("--roots") + 1
    command[at] = vendor + command[at]
    (result,) = json.loads(said(capsys, *command, "--json")[1])["results"]
    assert result["evidence"]["authentic"] is authentic
    assert result["verdict"] == "refused"


def test_a_published_key_of_another_installation_is_refused(capsys, tmp_path):
    _, out, _ = said(capsys, "simulate", "nras", "--out", tmp_path / "made", "--throw-away")
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--json")
    (result,) = json.loads(out)["results"]
    assert code == exit_codes.REFUSED
    failed = {check["code"] for check in result["checks"] if check["outcome"] == "failed"}
    assert failed == {"policy.simulated.foreign_root"}


def test_evidence_under_a_throw_away_root_is_refused_for_its_root(capsys, tmp_path):
    code, out, err = said(capsys, "simulate", "sgx", "--out", tmp_path / "made", "--throw-away")
    assert code == 0
    assert "forgotten" in err
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
