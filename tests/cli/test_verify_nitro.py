"""``assay verify`` over a real Nitro document: recognised by its bytes, judged by policy, shown in full."""

from __future__ import annotations

import json

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from support import vectors

DOCUMENT = str(vectors.ROOT / "nitro/veracruz/aws_nitro_document.cbor")
AT = "2022-11-09T22:52:00Z"
USER_DATA = "7c37108079b3e8a36d8a7970de1d6d4ff1461e0e35d9557c4d789df5e0576620"
NONCE = "c678c86135de539d183acff58886d98dfb9823041af9f934bf909ac0f8d96245"
PCR0 = "22f9e1c949208da55eb01b9b9fc88f87454f77ba133f0d82320b509621c92482152a99d0a12335b97178c02d6f977d01"
POLICY = """
version = 1
name = "one image"
platforms = ["nitro"]
[nitro]
pcr0 = ["{}"]
"""


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    vectors.read("nitro/veracruz/aws_nitro_document.cbor")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "no-state"))


@pytest.fixture
def policy(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(POLICY.format(PCR0))
    return path


def said(capsys, *words):
    code = main(["verify", DOCUMENT, *(str(word) for word in words)])
    return code, capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("--report-data", USER_DATA), ("--report-data", NONCE, "--carrier", "nonce")]
)
def test_a_real_document_of_the_named_image_is_accepted(capsys, policy, words):
    code, out = said(capsys, "--policy", policy, "--at", AT, *words)
    assert code == exit_codes.OK, out
    for word in ("Verdict: accepted", "AWS Nitro Enclaves Root G1 (a pinned vendor root)", "eu-west-1"):
        assert word in out
    # Registers stand one to a line, zeros in words.
    assert f"\n  pcr0               {PCR0[:48]}\n" in out
    assert "\n  pcr5-15            zero (48 bytes)\n" in out
    assert "Other checks" not in out
    assert "collateral valid" not in out


def test_a_real_document_that_holds_a_key_alone_is_bound_by_it(capsys, tmp_path):
    document = str(vectors.ROOT / "nitro/mysten-nautilus/twitter.cbor")
    pcr0 = "8912462a02fd4f827c5e9c7d12d8f33acc3ae99f23dcf35054f6d157a243edf3b78dc2781b7eb8335745ae4817388b41"
    key = "8388dcf98a89b997606984c58bb77d1a761cd04ad9ad8e109aec87ac0ba6b01b"
    path = tmp_path / "policy.toml"
    path.write_text(POLICY.format(pcr0))
    words = ["verify", document, "--policy", str(path), "--at", "2025-04-15T15:38:57.935+00:00"]
    for given, code, said in (
        (("--report-data", key, "--carrier", "public_key"), exit_codes.OK, "That the document is new"),
        (("--report-data", key), exit_codes.REFUSED, "nitro.binding.absent"),
        (
            ("--report-data", key[::-1], "--carrier", "public_key"),
            exit_codes.REFUSED,
            "nitro.binding.mismatch",
        ),
    ):
        assert main([*words, *given]) == code
        assert said in capsys.readouterr().out


def test_another_session_another_image_another_day(capsys, policy):
    for words, refusal in (
        (("--report-data", "00" * 64, "--at", AT), "nitro.binding.mismatch"),
        (("--report-data", USER_DATA), "nitro.chain.validity"),
    ):
        code, out = said(capsys, "--policy", policy, *words)
        assert code == exit_codes.REFUSED
        assert f"[{refusal}]" in out
    policy.write_text(POLICY.format("11" * 48))
    code, out = said(capsys, "--policy", policy, "--report-data", USER_DATA, "--at", AT, "--json")
    assert code == exit_codes.REFUSED
    (result,) = json.loads(out)["results"]
    assert result["claims"]["pcrs"]["0"] == PCR0
    assert result["evidence"]["authentic"] is True
