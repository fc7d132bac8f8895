"""``assay verify`` over the evidence of a stand-alone TPM: its many unsigned bytes in few lines."""

from __future__ import annotations

import pytest

from assay.cli import exit_codes
from assay.cli.main import main
from support.tpm_scenes import NONCE, draft


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "no-state"))


def test_regions_of_one_name_stand_in_one_line(tmp_path, capsys):
    path = tmp_path / "evidence.bin"
    path.write_bytes(draft().encode())
    assert main(["verify", str(path), "--nonce", NONCE.hex()]) == exit_codes.REFUSED
    text = " ".join(capsys.readouterr().out.split())
    assert "tpm.ak.trust" in text
    assert text.count(": digest of another bank; signed by nobody") == 1
    assert text.count(": type of an event; signed by nobody") == 1
    assert "places of bytes" in text
