"""``assay verify`` over real and simulated evidence: what it prints, answers, and refuses to guess."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
from pathlib import Path

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from assay.evidence.dcap.quote import parse_quote
from support import vectors
from support.appraisal_simulated import AT_TEXT, REPORT_DATA, simulated_files

PHALA = str(vectors.ROOT / "tdx/phala-dcap-qvl/quote_v4.bin")
PHALA_COLLATERAL = str(vectors.ROOT / "tdx/phala-dcap-qvl/quote_v4.collateral.json")
CRABBOX = str(vectors.ROOT / "dstack/crabbox-phala/real_tdx_quote.bin")
CRABBOX_INFO = str(vectors.ROOT / "dstack/crabbox-phala/real_attestation_info.json")
NEAR = str(vectors.ROOT / "tdx/near-mpc/quote.bin")
NEAR_COLLATERAL = str(vectors.ROOT / "tdx/near-mpc/quote.collateral.json")
NEAR_LOG = str(vectors.ROOT / "dstack/near-mpc/tcb_info.json")
NEAR_AT = "2026-08-28T05:21:24Z"
NO_ROOTS = str(vectors.ROOT / "README.md")
UNCHECKED = ["--report-data", "unchecked"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "no-state"))


@pytest.fixture
def simulated(tmp_path, monkeypatch):
    files = simulated_files(tmp_path)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(files.state))
    return files


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


def results(capsys, *words):
    code, out, _ = said(capsys, *words, "--json")
    return code, json.loads(out)["results"]


# --- real evidence


def test_a_real_quote_with_its_collateral_is_genuine_but_not_bound(capsys):
    words = ["verify", PHALA, "--collateral", PHALA_COLLATERAL, "--at", "2025-06-25T12:00Z", *UNCHECKED]
    code, out, err = said(capsys, *words)
    assert code == exit_codes.NOT_BOUND == 3
    assert "Verdict: genuine, not bound" in out
    assert "a pinned vendor root" in out
    assert "as asked with --at" in out
    assert "FMSPC b0c06f000000" in out
    assert "bytes 4936 to 5006" in out
    assert "FAIL" not in out
    assert err == ""


def test_every_check_stands_in_the_output_by_name(capsys):
    words = ["verify", PHALA, "--collateral", PHALA_COLLATERAL, "--at", "2025-06-25T12:00Z", *UNCHECKED]
    _, found = results(capsys, *words)
    _, out, _ = said(capsys, *words)
    for check in found[0]["checks"]:
        assert re.search(rf"^  (ok|n/a|open) +{re.escape(check['id'])}\b", out, re.MULTILINE), check["id"]
    assert len(found[0]["checks"]) > 50


def test_the_verdict_comes_last_and_no_line_is_too_wide(capsys):
    for words in (
        ["verify", CRABBOX, *UNCHECKED],
        ["verify", PHALA, "--collateral", PHALA_COLLATERAL, "--at", "2025-06-25T12:00Z", *UNCHECKED],
    ):
        _, out, _ = said(capsys, *words)
        prose = [line for line in out.splitlines()[1:] if not line.startswith("    assay ")]
        assert [line for line in prose if len(line) > 80] == []
        assert out.splitlines()[-3:][0].startswith("Verdict: ") or out.splitlines()[-2].startswith(
            "Verdict: "
        )


def test_a_quote_without_anything_else_names_exactly_what_is_missing(capsys):
    code, found = results(capsys, "verify", CRABBOX, *UNCHECKED)
    assert code == exit_codes.REFUSED == 1
    assert found[0]["verdict"] == "refused"
    assert [each["what"] for each in found[0]["missing"]] == [
        "collateral for FMSPC 20a06f000000, the platform CA, tdx",
        "freshness",
        "a production image",
    ]
    assert "has to be valid at" in found[0]["missing"][0]["why"]
    assert "no nonce was compared" in found[0]["missing"][1]["why"]
    assert "no event log" in found[0]["missing"][2]["why"]
    assert found[0]["claims"] is None
    assert found[0]["unauthenticated"]["fmspc"] == "20a06f000000"
    assert not [check for check in found[0]["checks"] if check["outcome"] == "failed"]


def test_what_is_published_is_fetched_by_a_command_that_can_be_pasted(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))
    for name in ("two words.bin", "-dash.bin"):
        (tmp_path / name).write_bytes(Path(CRABBOX).read_bytes())
        _, out, _ = said(capsys, "verify", *UNCHECKED, "--", name)
        (line,) = [each for each in out.splitlines() if each.startswith("    assay ")]
        assert shlex.split(line)[:3] == ["assay", "endorsements", "fetch"]
        assert "need not have held" not in out
        _, found, _ = said(capsys, *shlex.split(line)[1:], "--offline", "--json")
        assert json.loads(found)["results"][0]["missing"], "the command reads this very file"


def test_a_name_that_steers_a_terminal_is_not_put_into_a_command(capsys, tmp_path):
    hostile = tmp_path / "a\x1b[31mb\n"
    hostile.write_bytes(Path(CRABBOX).read_bytes())
    _, out, _ = said(capsys, "verify", hostile, *UNCHECKED)
    assert "    assay endorsements fetch EVIDENCE\n" in out


def test_where_nothing_but_the_time_is_wrong_another_time_is_named(capsys):
    words = ["verify", PHALA, "--collateral", PHALA_COLLATERAL, *UNCHECKED]
    _, found = results(capsys, *words, "--at", "2026-11-21T00:00Z")
    missing = {each["what"]: each for each in found[0]["missing"]}
    assert "need not have held at the time" in found[0]["missing"][0]["action"]
    assert "--at TIME" in missing["a time at which all of it holds"]["action"]
    _, found = results(capsys, *words, "--at", "2025-06-25T12:00Z", "--policy", "strict")
    missing = {each["what"]: each for each in found[0]["missing"]}
    assert "a time at which all of it holds" not in missing
    values = next(what for what in missing if what.startswith("Reference Values for "))
    assert values.startswith("Reference Values for mr_td, rtmr0, ")
    assert "--reference mr_td=HEX" in missing[values]["action"]


def test_a_platform_that_the_policy_does_not_accept_gets_a_policy_that_could(capsys):
    token = vectors.ROOT / "azure/azure-cvm-guest-attestation/maa_azurevm_token.jwt"
    _, found = results(capsys, "verify", token, *UNCHECKED)
    missing = {each["what"]: each for each in found[0]["missing"]}
    drafted = f"assay policy new --from {token} --cached --out NEW.toml"
    assert missing["a policy that accepts maa"]["command"] == drafted


def test_a_session_that_was_stated_is_not_called_missing(capsys):
    _, found = results(capsys, "verify", CRABBOX, "--nonce", "00" * 32)
    assert [each["what"] for each in found[0]["missing"]] == [
        "collateral for FMSPC 20a06f000000, the platform CA, tdx",
        "a production image",
    ]


def test_with_its_event_log_the_image_is_named_and_is_a_development_image(capsys):
    _, found = results(capsys, "verify", CRABBOX, "--event-log", CRABBOX_INFO, *UNCHECKED)
    missing = {each["what"]: each["why"] for each in found[0]["missing"]}
    assert "dstack-dev-0.5.9-de9c74f0, a development image" in missing["a production image"]


def test_the_guests_own_answer_can_be_verified_as_it_is(capsys):
    code, found = results(capsys, "verify", CRABBOX_INFO, *UNCHECKED)
    assert code == exit_codes.REFUSED
    assert found[0]["unauthenticated"]["fmspc"] == "20a06f000000"
    assert "dstack-dev-0.5.9" in found[0]["missing"][2]["why"]


def test_hexadecimal_text_is_a_quote_too(capsys):
    code, found = results(capsys, "verify", vectors.ROOT / "dstack/dcap-qvl/quote-from-tappd.hex", *UNCHECKED)
    assert code == exit_codes.REFUSED
    assert found[0]["platform"] == "tdx"


def test_a_directory_of_collateral_is_searched_for_what_fits(capsys):
    words = ["verify", NEAR, "--collateral", vectors.ROOT / "tdx/assembled", "--at", NEAR_AT, *UNCHECKED]
    code, found = results(capsys, *words)
    assert (code, found[0]["verdict"]) == (3, "genuine_not_bound")
    assert [each["word"] for each in found[0]["admitted"]] == ["differing-evaluation-numbers"]


def test_a_directory_with_nothing_that_fits_says_so(capsys):
    words = ["verify", CRABBOX, "--collateral", vectors.ROOT / "sgx/assembled", *UNCHECKED]
    _, found = results(capsys, *words)
    assert "none of the 3 files" in found[0]["missing"][0]["why"]


def test_a_directory_whose_fitting_bundle_is_too_old_says_so(capsys):
    words = [
        "verify",
        CRABBOX,
        "--collateral",
        vectors.ROOT / "tdx/assembled",
        "--at",
        "2026-11-21T00:00Z",
        *UNCHECKED,
    ]
    _, found = results(capsys, *words)
    assert "20a06f000000-2025-09-02" in found[0]["missing"][0]["why"]


def test_strict_refuses_differing_evaluation_numbers_by_name(capsys):
    words = [
        "verify",
        NEAR,
        "--collateral",
        NEAR_COLLATERAL,
        "--at",
        NEAR_AT,
        "--policy",
        "strict",
        *UNCHECKED,
    ]
    code, found = results(capsys, *words)
    assert code == 1
    codes = {check.get("code") for check in found[0]["checks"] if check["outcome"] == "failed"}
    assert "policy.tcb.evaluation_numbers.weak" in codes
    assert "policy.tdx.mr_td.no_reference" in codes


def test_a_dstack_log_is_verified_and_shown(capsys):
    words = ["--collateral", NEAR_COLLATERAL, "--event-log", NEAR_LOG, "--at", NEAR_AT, *UNCHECKED]
    code, out, _ = said(capsys, "verify", NEAR, *words)
    assert code == 3
    assert "What its event log says" in out
    assert "2911e1f733466216dedb862d6d669e11256ee7a34ce4dbc6" in out


def test_an_app_compose_document_is_held_against_the_log(capsys, tmp_path):
    words = ["--collateral", NEAR_COLLATERAL, "--event-log", NEAR_LOG, "--at", NEAR_AT, *UNCHECKED]
    right = vectors.ROOT / "dstack/near-mpc/app_compose.json"
    wrong = tmp_path / "wrong.json"
    wrong.write_bytes(right.read_bytes() + b" ")
    code, found = results(capsys, "verify", NEAR, *words, "--app-compose", wrong)
    assert code == 1
    assert [check["id"] for check in found[0]["checks"] if check["outcome"] == "failed"] == [
        "dstack.compose.hash"
    ]


def test_an_app_compose_document_without_a_log_is_a_usage_error(capsys, tmp_path):
    document = tmp_path / "compose.json"
    document.write_text("{}")
    code, _, err = said(capsys, "verify", PHALA, "--app-compose", document, *UNCHECKED)
    assert code == 2
    assert "cli.verify.compose_without_log" in err


def test_the_log_of_another_guest_is_refused(capsys):
    words = [
        "--collateral",
        PHALA_COLLATERAL,
        "--event-log",
        NEAR_LOG,
        "--at",
        "2025-06-25T12:00Z",
        *UNCHECKED,
    ]
    code, found = results(capsys, "verify", PHALA, *words)
    assert code == 1
    failed = {check["id"] for check in found[0]["checks"] if check["outcome"] == "failed"}
    assert "dstack.log.replay.rtmr3" in failed


def test_an_sgx_quote_is_recognised(capsys):
    quote = vectors.ROOT / "sgx/teepot/sw_hardening.quote.bin"
    if not quote.exists():
        quote = next((vectors.ROOT / "sgx/teepot").glob("*sw_hardening*quote*"))
    code, found = results(capsys, "verify", quote, *UNCHECKED)
    assert code == 1
    assert found[0]["platform"] == "sgx"
    assert [each["what"] for each in found[0]["missing"]][1:] == ["freshness"]


def test_several_files_answer_with_the_worst(capsys, tmp_path):
    junk = tmp_path / "junk"
    junk.write_bytes(b"\x1b]0;pwned\x07 no evidence at all")
    words = ["--collateral", PHALA_COLLATERAL, "--at", "2025-06-25T12:00Z", *UNCHECKED]
    assert said(capsys, "verify", PHALA, PHALA, *words)[0] == 3
    code, found = results(capsys, "verify", PHALA, junk, *words)
    assert code == 1
    assert [each["verdict"] for each in found] == ["genuine_not_bound", "refused"]
    assert found[1]["error"]["code"] == "verification.evidence.unrecognised"
    _, out, _ = said(capsys, "verify", junk, *words)
    assert "\x1b" not in out
    assert "Verdict: refused" in out


@pytest.mark.parametrize("cut", [0, 7, 8, 47, 300, 2000])
def test_a_truncated_quote_is_refused_not_an_error_of_ours(capsys, tmp_path, cut):
    part = tmp_path / "part"
    part.write_bytes(vectors.read("tdx/phala-dcap-qvl/quote_v4.bin")[:cut])
    code, _, err = said(capsys, "verify", part, "--collateral", PHALA_COLLATERAL, *UNCHECKED)
    assert code == 1
    assert "cli.internal" not in err


# --- what must be said


def test_the_binding_has_to_be_said_and_the_error_says_of_what_and_how(capsys):
    code, out, err = said(capsys, "verify", PHALA)
    assert code == exit_codes.USAGE
    assert out == ""
    assert "cli.verify.binding_required" in err
    assert f"{PHALA}: TDX quote, 5006 bytes. What must it carry?" in " ".join(err.split())
    for word in ("--report-data HEX (all 64 bytes)", "--nonce HEX", "--report-data unchecked"):
        assert word in err


def test_of_several_files_it_names_what_each_is(capsys, tmp_path):
    """And counts those that are too many to name; one that is no evidence is not asked about."""
    nitro = vectors.ROOT / "nitro/evervault/valid-attestation.cbor"
    (tmp_path / "text").write_bytes(b"hello")
    code, out, _ = said(capsys, "verify", PHALA, nitro, tmp_path / "text", "--json")
    error = json.loads(out)["error"]
    assert (code, error["code"]) == (exit_codes.USAGE, "cli.verify.binding_required")
    assert error["message"].startswith(
        f"{PHALA}: TDX quote, 5006 bytes. {nitro}: Nitro document, 4654 bytes. What"
    )
    assert "(all 64 bytes)" not in error["action"]
    assert "And 2 more." in said(capsys, "verify", *[PHALA] * 6)[2]


def test_what_is_no_evidence_is_refused_whatever_it_should_carry(capsys, tmp_path):
    (tmp_path / "text").write_bytes(b"hello")
    code, out, err = said(capsys, "verify", tmp_path / "text")
    assert (code, err) == (exit_codes.REFUSED, "")
    assert "verification.evidence.unrecognised" in out
    code, _, err = said(capsys, "verify", tmp_path / "none")
    assert code == exit_codes.USAGE
    assert "cli.file." in err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--report-data", "00"], "cli.verify.report_data"),
        (["--report-data", "zz" * 64], "cli.verify.report_data"),
        (["--report-data", "Unchecked"], "cli.verify.report_data"),
        (["--report-data", ""], "cli.verify.report_data"),
        (["--nonce", "00" * 15], "cli.verify.nonce"),
        (["--nonce", "00" * 65], "cli.verify.nonce"),
        (["--nonce", "unchecked"], "cli.verify.nonce"),
        (["--nonce", "00" * 32, "--report-data", "unchecked"], "cli.verify.binding_twice"),
        (["--nonce", "00" * 32, "--report-data", "00"], "cli.verify.report_data"),
        (["--nonce", "00" * 15, "--report-data", "00" * 64], "cli.verify.nonce"),
        ([*UNCHECKED, "--at", "2025-06-25"], "cli.verify.time"),
        ([*UNCHECKED, "--at", "2025-06-25T12:00"], "cli.verify.time"),
        ([*UNCHECKED, "--at", "yesterday"], "cli.verify.time"),
        ([*UNCHECKED, "--at", "0001-01-01T00:00+14:00"], "cli.verify.time"),
        ([*UNCHECKED, "--at", "9999-12-31T23:59-14:00"], "cli.verify.time"),
        ([*UNCHECKED, "--policy", "x" * 5000], "cli.file.unreadable"),
        ([*UNCHECKED, "--collateral", "x" * 5000], "cli.file.unreadable"),
        ([*UNCHECKED, "--policy", "genuin"], "policy.unknown_name"),
        ([*UNCHECKED, "--policy", "./missing.toml"], "cli.file.missing"),
        ([*UNCHECKED, "--policy", "/"], "cli.file.directory"),
        ([*UNCHECKED, "--also", "./missing.toml"], "cli.file.missing"),
        ([*UNCHECKED, "--collateral", "./missing.json"], "cli.file.missing"),
        ([*UNCHECKED, "--event-log", "./missing.json"], "cli.file.missing"),
        ([*UNCHECKED, "--roots", PHALA_COLLATERAL + "/x"], "cli.file.unreadable"),
        ([*UNCHECKED, "--roots", NO_ROOTS], "cli.verify.roots"),
        ([*UNCHECKED, "--reference", "mr_td=00"], "cli.verify.reference"),
        ([*UNCHECKED, "--reference", "mrtdd=" + "00" * 48], "cli.verify.reference"),
        ([*UNCHECKED, "--reference", "mr_td"], "cli.verify.reference"),
    ],
)
def test_what_was_typed_wrongly_is_a_usage_error_with_its_own_code(capsys, words, code):
    answer, out, err = said(capsys, "verify", PHALA, *words)
    assert (answer, out) == (exit_codes.USAGE, "")
    assert code in err


def test_standard_input_is_said_not_to_be_read(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = said(capsys, "verify", "-", *UNCHECKED)
    assert code == exit_codes.USAGE
    assert "standard input is not read here" in err
    assert "do: Write what it gives into a file" in err
    (tmp_path / "-").write_bytes(Path(CRABBOX).read_bytes())
    assert said(capsys, "verify", "-", *UNCHECKED)[1].startswith("-: TDX, 5010 bytes")


def test_files_that_cannot_be_read_are_usage_errors(capsys, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, (80 << 20) + 1)
    for path, code in (
        (tmp_path / "none", "cli.file.missing"),
        (tmp_path, "cli.file.directory"),
        (pipe, "cli.file.special"),
        (large, "cli.file.too_large"),
        ("/dev/zero", "cli.file.special"),
        ("/proc/self/mem", "cli.file.unreadable"),
    ):
        answer, _, err = said(capsys, "verify", path, *UNCHECKED)
        assert (answer, code in err) == (2, True), path
        assert ("do: " in err) == (code in ("cli.file.directory", "cli.file.special")), path


def test_a_file_too_long_for_its_kind_is_refused_and_the_others_are_judged(capsys, tmp_path):
    long = tmp_path / "long"
    long.write_bytes(bytes((1 << 20) + 1))
    answer, out, _ = said(capsys, "verify", long, CRABBOX, *UNCHECKED, "--json")
    assert answer == 1
    first, second = json.loads(out)["results"]
    assert first["error"]["code"] == "verification.evidence.oversized"
    assert second["platform"] == "tdx"


def test_an_empty_file_is_called_empty(capsys, tmp_path):
    (tmp_path / "empty").touch()
    code, out, _ = said(capsys, "verify", tmp_path / "empty", *UNCHECKED)
    assert code == exit_codes.REFUSED
    assert "The file is empty." in out


@pytest.mark.parametrize(
    "words",
    [["--user-data", "aa"], ["--audience", "x"], ["--carrier", "public_key"], ["--event-log", __file__]],
    ids=lambda words: words[0],
)
def test_an_option_that_nothing_is_compared_with_is_a_usage_error(capsys, tmp_path, words):
    assert said(capsys, "simulate", "snp", "--out", tmp_path / "snp")[0] == exit_codes.OK
    asked = ["--policy", tmp_path / "snp/policy.toml", "--roots", tmp_path / "snp/root.pem", *UNCHECKED]
    report = tmp_path / "snp/report.bin"
    assert said(capsys, "verify", report, *asked)[0] == exit_codes.NOT_BOUND
    code, out, err = said(capsys, "verify", report, *asked, *words)
    assert (code, out) == (exit_codes.USAGE, "")
    assert "alone; this is of snp. [cli.verify.unused]" in err
    # What is refused anyway is refused for its own reason.
    assert said(capsys, "verify", report, *UNCHECKED, *words)[0] == exit_codes.REFUSED


def test_a_nonce_of_devices_that_are_not_there_is_a_usage_error(capsys, tmp_path):
    assert said(capsys, "simulate", "tdx", "--out", tmp_path / "tdx")[0] == exit_codes.OK
    folder = tmp_path / "tdx"
    quote = folder / "quote.bin"
    data = parse_quote(quote.read_bytes(), "tdx").body.report_data.hex()
    asked = ["--policy", folder / "policy.toml", "--roots", folder / "root.pem", "--report-data", data]
    asked += ["--collateral", folder / "collateral.json"]
    assert said(capsys, "verify", quote, *asked)[0] == exit_codes.OK
    code, out, err = said(capsys, "verify", quote, *asked, "--nonce", "00" * 32)
    assert (code, out) == (exit_codes.USAGE, "")
    assert "compared with the devices beside a machine, and there is none. [cli.verify.unused]" in err
    assert said(capsys, "verify", quote, *asked[:-2], "--nonce", "00" * 32)[0] == exit_codes.REFUSED


def test_what_a_file_holds_besides_is_named(capsys, tmp_path):
    file = tmp_path / "quote.json"
    quote = base64.b64encode(vectors.read("tdx/phala-dcap-qvl/quote_v4.bin")).decode()
    file.write_text(json.dumps({"platform": "tdx", "evidence": {"quote": quote}, "by\x1b[31m": "them"}))
    code, out, _ = said(capsys, "verify", file, *UNCHECKED)
    assert code == exit_codes.REFUSED
    named = out.partition("In the file, but not verified")[2].partition("Not proven")[0]
    assert named.split() == ["-", "by\\x1b[31m"]
    assert results(capsys, "verify", file, *UNCHECKED)[1][0]["not_verified"] == ["by\x1b[31m"]
    assert results(capsys, "verify", PHALA, *UNCHECKED)[1][0]["not_verified"] == []


def test_a_reference_value_that_the_policy_does_not_ask_for_is_a_usage_error(capsys, tmp_path):
    assert said(capsys, "simulate", "snp", "--out", tmp_path / "snp")[0] == exit_codes.OK
    report, policy = tmp_path / "snp/report.bin", tmp_path / "snp/policy.toml"
    asked = [report, "--roots", tmp_path / "snp/root.pem", *UNCHECKED, "--policy"]
    right = f"measurement={report.read_bytes()[0x90:0xC0].hex()}"
    code, out, err = said(capsys, "verify", *asked, policy, "--reference", right)
    assert (code, out) == (exit_codes.USAGE, "")
    assert "compares nothing with --reference measurement. [cli.verify.unused]" in err
    demanding = tmp_path / "demanding.toml"
    lines = [line for line in policy.read_text().splitlines() if not line.startswith("measurement")]
    assert "[snp]" in lines
    lines.insert(lines.index("[snp]") + 1, 'measurement = "reference"')
    demanding.write_text("\n".join(lines))
    assert said(capsys, "verify", *asked, demanding, "--reference", right)[0] == exit_codes.NOT_BOUND
    unused = ("--reference", right, "--reference", f"host_data={'00' * 32}")
    assert said(capsys, "verify", *asked, demanding, *unused)[0] == exit_codes.USAGE


def test_a_file_that_vouches_for_nothing_is_said_not_to_fit(capsys, tmp_path):
    (tmp_path / "noise").write_bytes(b"noise")
    assert said(capsys, "simulate", "snp", "--out", tmp_path / "snp")[0] == exit_codes.OK
    report = tmp_path / "report"
    report.write_bytes((tmp_path / "snp/report.bin").read_bytes()[:1184])
    _, found = results(capsys, "verify", report, *UNCHECKED, "--endorsements", tmp_path / "noise")
    assert found[0]["missing"][0]["why"] == (
        "There is no certificate of the VCEK; the file that was given does not fit."
    )


def test_a_file_name_is_escaped(capsys, tmp_path):
    hostile = tmp_path / "a\x1b[31mb"
    hostile.write_bytes(b"nothing")
    _, out, err = said(capsys, "verify", hostile, *UNCHECKED)
    assert "\x1b" not in out + err


def test_malformed_collateral_is_refused_with_its_code(capsys, tmp_path):
    bundle = tmp_path / "bundle.json"
    bundle.write_text("{}")
    code, _, err = said(capsys, "verify", PHALA, "--collateral", bundle, *UNCHECKED)
    assert code == 1
    assert "endorsements.collateral.malformed" in err
    code, _, err = said(capsys, "verify", PHALA, "--collateral", PHALA, *UNCHECKED)
    assert err.count("is no collateral bundle") == 1
    assert "do: For a quote give Intel's collateral" in err


# --- simulated evidence


def test_simulated_evidence_is_refused_by_genuine(capsys, simulated):
    code, found = results(capsys, *simulated.words())
    assert code == 1
    assert found[0]["simulated"] is True
    assert [check["code"] for check in found[0]["checks"] if check["outcome"] == "failed"] == [
        "policy.simulated.refused"
    ]


def test_local_accepts_this_installations_machines_when_their_registers_are_named(capsys, simulated):
    _, found = results(capsys, *simulated.words())
    claims = found[0]["claims"]
    references = [
        f"--reference=mr_td={claims['mr_td']}",
        f"--reference=mr_config_id={claims['mr_config_id']}",
        f"--reference=rtmr3={claims['rtmrs'][3]}",
    ]
    code, found = results(capsys, *simulated.words("--policy", "local", *references))
    assert (code, found[0]["verdict"]) == (0, "accepted")
    assert found[0]["trust_vector"]["hardware"]["tier"] == "contraindicated"
    code, out, _ = said(capsys, *simulated.words("--policy", "local", *references))
    assert code == 0
    assert "Verdict: accepted (simulated)" in out
    assert said(capsys, *simulated.words("--policy", "local", *references[:2]))[0] == 1


def test_local_refuses_the_machines_of_another_installation(capsys, simulated, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    other = simulated_files(tmp_path / "elsewhere")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(other.state))
    _, found = results(capsys, *simulated.words("--policy", "local"))
    codes = {check.get("code") for check in found[0]["checks"]}
    assert "policy.simulated.foreign_root" in codes


def test_local_without_an_installation_refuses(capsys, simulated, monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "none"))
    _, found = results(capsys, *simulated.words("--policy", "local"))
    assert "policy.simulated.no_root" in {check.get("code") for check in found[0]["checks"]}


def test_without_the_root_the_chain_ends_nowhere(capsys, simulated):
    words = [word for word in simulated.words() if word not in ("--roots", str(simulated.root))]
    code, found = results(capsys, *words)
    assert code == 1
    assert found[0]["evidence"]["anchor"] is None


def test_another_report_data_is_refused(capsys, simulated):
    other = bytes([REPORT_DATA[0] ^ 1]) + REPORT_DATA[1:]
    code, found = results(capsys, *simulated.words(report_data=other.hex()))
    assert code == 1
    assert not [each for each in found[0]["missing"] if each["what"] == "freshness"]


def test_a_nonce_is_the_beginning_of_the_report_data_and_the_rest_is_zero(capsys, tmp_path, monkeypatch):
    from assay.simulator.intel import STATE_DIRECTORY, Installation

    files = simulated_files(tmp_path)
    installation = Installation.open(files.state / STATE_DIRECTORY)
    nonce = bytes(range(1, 33))
    quote = installation.machine("one").trust_domain().quote(nonce.ljust(64, b"\0"))
    files.quote.write_bytes(quote)
    words = [word for word in files.words() if word not in ("--report-data", REPORT_DATA.hex())]

    def bound(value):
        return results(capsys, *words, "--nonce", value.hex())[1][0]["evidence"]["bound"]

    assert bound(nonce)
    assert bound(nonce + bytes(8))
    assert not bound(nonce[:31])
    assert not bound(bytes(32))


def test_an_added_policy_has_to_accept_too(capsys, simulated, tmp_path):
    text = 'version = 1\nplatforms = ["tdx"]\nsimulated = "only"\naccept = ["simulated"]\n'
    mine, also = tmp_path / "mine.toml", tmp_path / "also.toml"
    mine.write_text(text)
    also.write_text(f'{text}[tdx]\nmr_td = ["{"09" * 48}"]\n')
    assert said(capsys, *simulated.words("--policy", mine))[0] == 0
    code, out, _ = said(capsys, *simulated.words("--policy", mine, "--also", also))
    assert code == 1
    assert "Policies applied as well: also.toml" in out
    assert "policy.tdx.mr_td.mismatch" in out


def test_the_platform_is_the_policys_choice(capsys, simulated, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('version = 1\nplatforms = ["sgx"]\n')
    code, found = results(capsys, *simulated.words("--policy", mine))
    assert code == 1
    assert "policy.platforms.other" in {check.get("code") for check in found[0]["checks"]}


def test_published_test_roots_are_refused_as_roots(capsys):
    path = vectors.ROOT / "tdx/flashbots-attested-tls/mock-pck-chain.pem"
    code, _, err = said(capsys, "verify", PHALA, "--roots", path, *UNCHECKED)
    assert code in (1, 2)
    assert "roots." in err


def test_colours_only_where_they_are_wanted(capsys, simulated):
    _, out, _ = said(capsys, *simulated.words())
    assert "\x1b" not in out


@pytest.mark.parametrize(("columns", "widest"), [("40", 60), ("80", 80), ("300", 100)])
def test_the_output_keeps_to_the_terminals_width(capsys, monkeypatch, columns, widest):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = said(capsys, "verify", CRABBOX, "--event-log", CRABBOX_INFO, *UNCHECKED)
    prose = [line for line in out.splitlines()[1:] if not re.search(r"[0-9a-f]{40}|^    assay ", line)]
    assert max(map(len, prose)) <= widest


def test_help_says_what_the_exit_codes_mean(capsys):
    _, out, _ = said(capsys, "verify", "--help")
    assert "3 genuine but not bound" in out


def test_at_is_marked_in_json(capsys):
    _, found = results(capsys, "verify", PHALA, *UNCHECKED, "--at", AT_TEXT)
    assert found[0]["as_of"] is True
    _, found = results(capsys, "verify", PHALA, *UNCHECKED)
    assert found[0]["as_of"] is False
