"""``assay policy``: check, explain, diff, and policies written from evidence that ``verify`` then accepts."""

from __future__ import annotations

import json
import tomllib

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from support import vectors
from support.appraisal_simulated import AT_TEXT, REPORT_DATA, simulated_files

UNCHECKED = ["--report-data", "unchecked"]
NEAR = ["tdx/near-mpc/quote.bin", "tdx/near-mpc/quote.collateral.json", "2026-08-28T05:21:24Z"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "no-state"))


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


def written(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


# --- check


@pytest.mark.parametrize(("name", "gate"), [("genuine", False), ("strict", True), ("local", True)])
def test_shipped_policies_check_out_and_say_whether_a_gate_may_use_them(capsys, name, gate):
    code, out, _ = said(capsys, "policy", "check", name)
    assert code == exit_codes.OK
    assert ("a gate can open" in out) is gate
    assert json.loads(said(capsys, "policy", "check", name, "--json")[1])["gate"] is gate


def test_what_a_policy_lacks_for_a_gate_is_named(capsys, tmp_path):
    path = written(tmp_path, 'version = 1\nplatforms = ["tdx", "snp"]\n[tdx]\nmr_td = "reference"\n')
    assert "Require snp.measurement, or" in said(capsys, "policy", "check", path)[1]
    found = json.loads(said(capsys, "policy", "check", path, "--json")[1])
    assert found["lacks"].startswith("Require snp.measurement, or")
    assert "lacks" not in json.loads(said(capsys, "policy", "check", "strict", "--json")[1])


def test_a_mistake_is_named_by_its_place(capsys, tmp_path):
    path = written(tmp_path, 'version = 1\nplatforms = ["tdx"]\n[tdx]\nmr_td = ["00"]\n')
    code, out, err = said(capsys, "policy", "check", path)
    assert (code, out) == (exit_codes.USAGE, "")
    assert "tdx.mr_td[0]" in err
    assert "policy.hex" in err


def test_an_unknown_key_names_the_nearest(capsys, tmp_path):
    path = written(tmp_path, 'version = 1\nplatforms = ["tdx"]\n[tdx]\nmrtd = ["00"]\n')
    code, _, err = said(capsys, "policy", "check", path)
    assert code == exit_codes.USAGE
    assert "Did you mean tdx.mr_td?" in err


def test_an_error_is_json_when_asked_for(capsys, tmp_path):
    code, out, _ = said(capsys, "policy", "check", written(tmp_path, ""), "--json")
    assert code == exit_codes.USAGE
    assert json.loads(out)["error"]["code"] == "policy.empty"


def test_a_policy_is_called_after_its_file(capsys, tmp_path):
    path = written(tmp_path, 'version = 1\nplatforms = ["tdx"]\n', "prod.toml")
    assert said(capsys, "policy", "check", path)[1].startswith("prod.toml: ")


# --- explain, diff


def test_explain_says_what_is_demanded_admitted_and_left_open(capsys):
    _, out, _ = said(capsys, "policy", "explain", "genuine")
    for words in ("Demands of tdx", "Demands of sgx", "Admits", "Leaves open", "no gate can open", "mr_td"):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80
    _, out, _ = said(capsys, "policy", "explain", "strict")
    assert "Admits" not in out


def test_explain_prints_the_file_for_a_beginning_of_ones_own(capsys, tmp_path):
    _, out, _ = said(capsys, "policy", "explain", "strict", "--toml")
    path = written(tmp_path, out)
    assert said(capsys, "policy", "check", path)[0] == 0
    assert said(capsys, "policy", "diff", "strict", path)[1] == "They say the same.\n"


def test_explain_is_json_when_asked_for(capsys):
    found = json.loads(said(capsys, "policy", "explain", "local", "--json")[1])
    assert found["name"] == "local"
    assert found["admits"][0].startswith("simulated: ")


@pytest.mark.parametrize(
    ("before", "after", "path", "effect"),
    [
        ("", "[isolation]\nmin = 'qemu'", "isolation.min", "stricter"),
        ("[isolation]\nmin = 'qemu'", "", "isolation.min", "laxer"),
        ("[isolation]\nmin = 'qemu'", "[isolation]\nmin = 'none'", "isolation.min", "different"),
        ("", "accept = ['debug']", "accept: debug", "laxer"),
        ("accept = ['debug']", "accept = []", "accept: debug", "stricter"),
        ("", "name = 'x'", "name", "different"),
        ("[tdx]\nmr_td = 'reference'", f"[tdx]\nmr_td = ['{'00' * 48}']", "tdx.mr_td", "different"),
        ("", "[dstack]\nkey_providers = ['kms:00']", "dstack.key_providers", "stricter"),
        ("", "accept = ['out-of-date-qe']\n[tcb.grace]\nqe = 3", "tcb.grace.qe", "stricter"),
    ],
)
def test_diff_says_which_way_each_key_changed(capsys, tmp_path, before, after, path, effect):
    head = 'version = 1\nplatforms = ["tdx"]\n'
    first, second = written(tmp_path, head + before, "a.toml"), written(tmp_path, head + after, "b.toml")
    found = json.loads(said(capsys, "policy", "diff", first, second, "--json")[1])
    assert (path, effect) in [(each["path"], each["effect"]) for each in found["differences"]]
    assert f"{path} ({effect})" in said(capsys, "policy", "diff", first, second)[1]


# --- new


def real_cases():
    found = [tuple(NEAR)]
    for case in vectors.cases("dcap-verify"):
        expected = case["expected"]["overall_tcb_status"]
        if case["family"] in ("tdx", "sgx") and expected not in ("NoMatchingTcbLevel", "Revoked"):
            found.append((case["files"]["quote"], case["files"]["collateral"], case["valid_at"]))
    return found


@pytest.mark.parametrize(("quote", "collateral", "at"), real_cases())
def test_what_is_written_from_real_evidence_accepts_it_and_nothing_weaker(
    capsys, tmp_path, quote, collateral, at
):
    words = ["--collateral", vectors.ROOT / collateral, "--at", at]
    code, _, err = said(capsys, "verify", vectors.ROOT / quote, *words, *UNCHECKED, "--json")
    out = tmp_path / "mine.toml"
    code, _, err = said(capsys, "policy", "new", "--from", vectors.ROOT / quote, *words, "--out", out)
    if code != 0:
        pytest.skip(f"not authentic under the pinned root: {err}")
    code, found, _ = said(
        capsys, "verify", vectors.ROOT / quote, *words, "--policy", out, *UNCHECKED, "--json"
    )
    result = json.loads(found)["results"][0]
    assert (code, result["verdict"]) == (3, "genuine_not_bound"), result["checks"]
    document = tomllib.loads(out.read_text())
    assert sorted(document["accept"]) == sorted(each["word"] for each in result["admitted"])
    if document["accept"]:
        fewer = out.read_text().replace(f'  "{document["accept"][0]}",', "  #", 1)
        weaker = written(tmp_path, fewer, "fewer.toml")
        assert said(capsys, "verify", vectors.ROOT / quote, *words, "--policy", weaker, *UNCHECKED)[0] in (
            1,
            2,
        )


def test_a_log_makes_the_draft_name_the_app_instead_of_its_instance(capsys, tmp_path):
    quote, collateral, at = NEAR
    log = vectors.ROOT / "dstack/near-mpc/tcb_info.json"
    words = ["--collateral", vectors.ROOT / collateral, "--at", at, "--event-log", log]
    out = tmp_path / "mine.toml"
    assert said(capsys, "policy", "new", "--from", vectors.ROOT / quote, *words, "--out", out)[0] == 0
    document = tomllib.loads(out.read_text())
    assert "rtmr3" not in document["tdx"]
    assert document["dstack"]["compose_hashes"] == [
        "2911e1f733466216dedb862d6d669e11256ee7a34ce4dbc66c4b807ba7a9c895"
    ]
    answer, found, _ = said(
        capsys, "verify", vectors.ROOT / quote, *words, "--policy", out, *UNCHECKED, "--json"
    )
    assert answer == 3
    assert not [each for each in json.loads(found)["results"][0]["not_proven"] if "rtmr3" in each]
    assert said(capsys, "verify", vectors.ROOT / quote, *words[:4], "--policy", out, *UNCHECKED)[0] == 1


@pytest.mark.parametrize("platform", ["tdx", "sgx"])
def test_what_is_written_from_simulated_evidence_accepts_it_here_alone(
    capsys, tmp_path, monkeypatch, platform
):
    files = simulated_files(tmp_path, platform=platform)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))
    out = tmp_path / "mine.toml"
    words = [
        "policy",
        "new",
        "--from",
        files.quote,
        "--collateral",
        files.collateral,
        "--at",
        AT_TEXT,
        "--out",
        out,
    ]
    assert said(capsys, *words)[0] == 0
    assert said(capsys, *files.words("--policy", str(out)))[0] == 0
    (tmp_path / "other").mkdir()
    other = simulated_files(tmp_path / "other", platform=platform)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(other.state))
    assert said(capsys, *files.words("--policy", str(out)))[0] == 1


@pytest.mark.parametrize(
    ("fields", "machine", "word"),
    [
        ({"td_attributes": 1 << 28 | 1}, {}, "debug"),
        ({"td_attributes": 1 << 28 | 1 << 29}, {}, "migratable"),
        ({"td_attributes": 0}, {}, "sept-ve-enabled"),
        ({"td_attributes": 1 << 28 | 1 << 63}, {}, "perfmon"),
    ],
)
def test_weaknesses_of_the_evidence_are_admitted_by_name(
    capsys, tmp_path, monkeypatch, fields, machine, word
):
    files = simulated_files(tmp_path, fields=fields, machine=machine)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))
    out = tmp_path / "mine.toml"
    words = [
        "policy",
        "new",
        "--from",
        files.quote,
        "--collateral",
        files.collateral,
        "--at",
        AT_TEXT,
        "--out",
        out,
    ]
    assert said(capsys, *words)[0] == 0
    assert tomllib.loads(out.read_text())["accept"] == ["simulated", word]
    code, found, _ = said(capsys, *files.words("--policy", str(out), "--json"))
    assert code == 0
    assert {each["word"] for each in json.loads(found)["results"][0]["admitted"]} == {"simulated", word}


def test_every_value_has_a_comment_before_it(capsys, tmp_path, monkeypatch):
    files = simulated_files(tmp_path)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))
    words = ["policy", "new", "--from", files.quote, "--collateral", files.collateral, "--at", AT_TEXT]
    _, out, _ = said(capsys, *words)
    for line in out.splitlines():
        name = line.split(" = ")[0]
        if name.startswith(("mr_", "rtmr")):
            assert f"# {name}: you trust" in out or name == "mr_service_td"


def test_evidence_that_is_not_authentic_makes_no_policy(capsys, tmp_path):
    code, out, err = said(capsys, "policy", "new", "--from", vectors.ROOT / NEAR[0])
    assert (code, out) == (1, "")
    assert "not authenticated" in err
    assert "do:" in err


def test_evidence_that_no_policy_may_accept_makes_none(capsys, tmp_path):
    quote, collateral = "tdx/phala-dcap-qvl/tdx-quote-hex.bin", "tdx/phala-dcap-qvl/quote_v4.collateral.json"
    words = [
        "--from",
        vectors.ROOT / quote,
        "--collateral",
        vectors.ROOT / collateral,
        "--at",
        "2025-07-04T10:16:31Z",
    ]
    code, out, err = said(capsys, "policy", "new", *words)
    assert (code, out) == (2, "")
    assert "policy.draft.inadmissible" in err


def test_a_file_is_never_overwritten(capsys, tmp_path, monkeypatch):
    files = simulated_files(tmp_path)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))
    out = written(tmp_path, "precious")
    words = [
        "policy",
        "new",
        "--from",
        files.quote,
        "--collateral",
        files.collateral,
        "--at",
        AT_TEXT,
        "--out",
        out,
    ]
    code, _, err = said(capsys, *words)
    assert code == 2
    assert "cli.file.exists" in err
    assert out.read_text() == "precious"


def test_half_a_policy_is_never_left_behind(capsys, tmp_path, monkeypatch):
    files = simulated_files(tmp_path)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("assay.cli.writing.os.fsync", full)
    out = tmp_path / "out"
    out.mkdir()
    words = ("--collateral", files.collateral, "--at", AT_TEXT, "--out", out / "mine.toml")
    code, _, err = said(capsys, "policy", "new", "--from", files.quote, *words)
    assert code == 2
    assert "cli.file.unwritable" in err
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("name", ["", 'a"b', "a\\b", "x" * 65, "é", "\x1b"])
def test_a_name_that_could_not_stand_in_the_file_is_refused(capsys, name):
    code, _, err = said(capsys, "policy", "new", "--from", vectors.ROOT / NEAR[0], "--name", name)
    assert code == 2
    assert "cli.policy.name" in err


def test_a_hostile_file_name_stays_in_its_comment(capsys, tmp_path, monkeypatch):
    files = simulated_files(tmp_path)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))
    hostile = tmp_path / 'x\naccept = ["debug"]\n#'
    hostile.write_bytes(files.quote.read_bytes())
    words = ["policy", "new", "--from", hostile, "--collateral", files.collateral, "--at", AT_TEXT]
    code, out, _ = said(capsys, *words)
    assert code == 0
    assert tomllib.loads(out)["accept"] == ["simulated"]


def test_the_report_data_of_the_source_does_not_enter_the_policy(capsys, tmp_path, monkeypatch):
    files = simulated_files(tmp_path)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))
    words = ["policy", "new", "--from", files.quote, "--collateral", files.collateral, "--at", AT_TEXT]
    assert REPORT_DATA.hex() not in said(capsys, *words)[1]


def test_a_policy_of_somebody_else_does_not_steer_the_terminal(capsys, tmp_path):
    """TOML keeps ASCII's own control characters out of comments, and lets all others in."""
    text = 'version = 1\n# plain \x9b2J tag \u202e gnp\n\t# caf\u00e9\nplatforms = ["tdx"]\n'
    path = tmp_path / "theirs.toml"
    path.write_text(text, encoding="utf-8")
    code, out, _ = said(capsys, "policy", "explain", path, "--toml")
    assert code == exit_codes.OK
    assert out == text.replace("\u009b", r"\x9b").replace("\u202e", r"\u202e")
    assert tomllib.loads(out) == tomllib.loads(text)
