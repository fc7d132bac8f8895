"""``assay verify`` over the evidence of a stand-alone TPM: its many unsigned bytes in few lines."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.cli import exit_codes
from assay.cli.main import main
from assay.evidence.decoding.pem import encode as pem
from assay.simulator.vtpm_pki import CrlDraft
from support.tpm_scenes import ISSUER_NAME, NONCE, NOW, chain, draft, keys, machine, root


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "no-state"))
    monkeypatch.chdir(tmp_path)


def test_regions_of_one_name_stand_in_one_line(tmp_path, capsys):
    path = tmp_path / "evidence.bin"
    path.write_bytes(draft().encode())
    assert main(["verify", str(path), "--nonce", NONCE.hex()]) == exit_codes.REFUSED
    text = " ".join(capsys.readouterr().out.split())
    assert "tpm.ak.trust" in text
    assert text.count(": digest of another bank; signed by nobody") == 1
    assert text.count(": type of an event; signed by nobody") == 1
    assert "places of bytes" in text


def test_logs_longer_than_other_evidence_are_verified(tmp_path, capsys):
    """Kernels that measure every file write megabytes in a day."""
    host = machine()
    for number in range(10_000):
        host.run(f"/usr/lib/python3/dist-packages/a_package_of_many_modules/module_{number}.py", b"")
    evidence = host.evidence(NONCE)
    evidence.certificates = chain("p256")
    (tmp_path / "evidence.bin").write_bytes(evidence.encode())
    (tmp_path / "root.pem").write_bytes(pem(root()))
    assert (tmp_path / "evidence.bin").stat().st_size > 1 << 20
    words = ("--nonce", NONCE.hex(), "--at", NOW.isoformat(), "--roots", "root.pem")
    assert main(["verify", "evidence.bin", *words, "--json"]) == exit_codes.REFUSED
    (found,) = json.loads(capsys.readouterr().out)["results"]
    failed = {check["id"] for check in found["checks"] if check["outcome"] == "failed"}
    assert failed == {"policy.platforms"}
    assert [check["outcome"] for check in found["checks"] if check["id"] == "tpm.ima.replay"] == ["passed"]


def test_that_no_policy_takes_a_root_of_ones_own_is_said(tmp_path, capsys):
    files = {
        "evidence.bin": draft(certified=True).encode(),
        "root.pem": pem(root()),
        "policy.toml": b'version = 1\nplatforms = ["tpm"]\naccept = ["host-tpm"]\n',
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    words = ("--nonce", NONCE.hex(), "--at", NOW.isoformat(), "--roots", "root.pem")
    assert main(["verify", "evidence.bin", *words, "--policy", "policy.toml", "--json"]) == exit_codes.REFUSED
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert [check["id"] for check in found["checks"] if check["outcome"] == "failed"] == ["policy.simulated"]
    assert [each["what"] for each in found["missing"]] == ["a root of the TPM's maker that is pinned"]


@pytest.mark.parametrize("form", ["der", "pem"])
@pytest.mark.parametrize(("revoked", "shown"), [(False, "ok"), (True, "FAIL")])
def test_a_revocation_list_at_hand_is_looked_at(tmp_path, capsys, form, revoked, shown):
    found = draft(certified=True)
    leaf = x509.load_der_x509_certificate(found.certificates[0])
    serials = (leaf.serial_number,) if revoked else ()
    made = CrlDraft(ISSUER_NAME, keys("issuer"), NOW - timedelta(days=1), revoked=serials).sign()
    if form == "pem":
        made = x509.load_der_x509_crl(made).public_bytes(Encoding.PEM)
    files = {"evidence.bin": found.encode(), "root.pem": pem(root()), "issuer.crl": made}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    words = ("verify", "evidence.bin", "--nonce", NONCE.hex(), "--at", NOW.isoformat())
    given = ("--roots", "root.pem", "--endorsements", "issuer.crl")
    assert main([*words, *given]) == exit_codes.REFUSED  # no policy takes the host's TPM for a TEE
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines if "tpm.ak.revoked" in line[1:2]] == [shown]
