"""``assay verify`` with what this machine keeps: endorsements, signed Reference Values, bundles of an age."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from assay.cli import exit_codes
from assay.cli.main import main
from assay.endorsements.bundle import Bundle
from assay.endorsements.surroundings import Surroundings
from assay.evidence.eat.cmw import Collection, Record, encode_cbor
from assay.reference.values import Measured, write_measured
from assay.simulator.scene import FIRMWARE
from support.endorsement_intel import INTEL, publish
from support.endorsement_services import FakeService, authority_pem

TODAY = datetime.now(UTC).replace(microsecond=0)
REPORT_DATA = b"\x5a" * 64


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("ASSAY_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def said(capsys, *words):
    code = main([str(word) for word in words])
    found = capsys.readouterr()
    return code, found.out, found.err


# --- Endorsements that were fetched before


def fetched(capsys, tmp_path):
    """Fetch what a quote needs, end its publisher, and return the command that verifies it."""
    service = FakeService()
    publish(service, INTEL.collateral(TODAY, platform="tdx"))
    made = datetime(TODAY.year, 1, 1, tzinfo=UTC)
    quote = INTEL.machine("one", made=made).trust_domain(mr_td=b"\1" * 48).quote(REPORT_DATA)
    (tmp_path / "quote.bin").write_bytes(quote)
    (tmp_path / "ca.pem").write_bytes(authority_pem())
    (tmp_path / "root.pem").write_bytes(INTEL.root.pem())
    options = [
        *(f"--service={name}={service.url}" for name in ("pcs", "intel-crl")),
        *("--tls-ca", "ca.pem", "--roots", "root.pem"),
    ]
    assert said(capsys, "endorsements", "fetch", "quote.bin", *options)[0] == exit_codes.OK
    service.stop()
    return ("verify", "quote.bin", "--report-data", REPORT_DATA.hex(), "--roots", "root.pem")


def test_what_was_fetched_is_used_when_asked_for(capsys, tmp_path):
    words = fetched(capsys, tmp_path)
    _, out, _ = said(capsys, *words)
    assert "    assay endorsements fetch quote.bin\n    Then verify with --cached." in out
    assert "open  dcap.tcb_info" in out
    _, out, _ = said(capsys, *words, "--cached")
    assert "ok    dcap.tcb_info.signature" in out
    assert "collateral for" not in out
    assert "simulated.refused" in out  # and nothing else stands against it
    assert "open" not in out.split("Policy genuine", maxsplit=1)[0]


def test_a_policy_is_drafted_with_what_was_fetched_when_asked_for(capsys, tmp_path):
    fetched(capsys, tmp_path)
    words = ("policy", "new", "--from", "quote.bin", "--roots", "root.pem")
    code, _, err = said(capsys, *words)
    assert code == exit_codes.REFUSED
    assert "[dcap.collateral.missing]" in err
    assert "do: Type assay endorsements fetch quote.bin and this again with --cached." in err
    _, _, err = said(capsys, *words, "--cached")
    assert "[policy.draft.inadmissible]" in err  # authentic, under a root that is not this installation's


def test_a_file_that_is_no_key_is_a_usage_error_and_no_verdict(capsys, tmp_path):
    words = fetched(capsys, tmp_path)
    code, out, err = said(
        capsys, *words, "--reference-manifest", "quote.bin", "--reference-trust", "root.pem"
    )
    assert (code, out) == (exit_codes.USAGE, "")
    assert "error: root.pem: The file does not hold a public key" in err


@pytest.mark.parametrize("days", [-400, -60, 60, 400])
def test_what_holds_now_is_of_no_use_for_another_time(capsys, tmp_path, days):
    words = (*fetched(capsys, tmp_path), "--cached", "--at", (TODAY + timedelta(days=days)).isoformat())
    _, out, _ = said(capsys, *words)
    assert "ok    dcap.tcb_info.signature" not in out
    assert "open  dcap.tcb_info" in out


def test_what_held_then_is_used_for_that_time(capsys, tmp_path, monkeypatch):
    """The clock is a year ahead: what is kept has long expired, and held at the time that is asked about."""
    words = fetched(capsys, tmp_path)
    ahead = replace(Surroundings.real(), now=lambda: datetime.now(UTC) + timedelta(days=365))
    monkeypatch.setattr(Surroundings, "real", lambda: ahead)
    _, out, _ = said(capsys, *words, "--cached", "--at", TODAY.isoformat())
    assert "ok    dcap.tcb_info.signature" in out


def test_nothing_at_hand_is_nothing_new(capsys, tmp_path):
    code, out, _ = said(capsys, "simulate", "nitro", "--out", tmp_path / "made")
    code, out, _ = said(capsys, *shlex.split(out)[1:], "--cached")
    assert code == exit_codes.OK
    assert not (tmp_path / "state" / "endorsements").exists()
    (tmp_path / "state" / "endorsements").mkdir(mode=0o700)
    (tmp_path / "no-evidence").write_bytes(b"no evidence")
    code, out, _ = said(capsys, "verify", "no-evidence", "--cached", "--report-data", "unchecked")
    assert code == exit_codes.REFUSED
    assert "verification.evidence.unrecognised" in out


# --- The age of bundles


def bundle(tmp_path, age):
    path = tmp_path / "bundle.tar"
    path.write_bytes(Bundle.of((), created=TODAY - age).encode())
    return path


@pytest.mark.parametrize(
    ("age", "days", "code"),
    [
        (timedelta(days=8), 7, "endorsements.bundle.old"),
        (timedelta(days=-1), 7, "endorsements.bundle.future"),
        (timedelta(days=1), 0, "endorsements.bundle.old"),
    ],
)
def test_a_bundle_of_another_age_is_refused(capsys, tmp_path, age, days, code):
    _, out, _ = said(capsys, "simulate", "nitro", "--out", tmp_path / "made")
    words = [*shlex.split(out)[1:], "--endorsements", bundle(tmp_path, age), "--endorsements-max-age", days]
    found, out, err = said(capsys, *words)
    assert found == exit_codes.REFUSED
    assert out == ""
    assert f"[{code}]" in err


def test_a_young_bundle_is_taken_and_loose_files_have_no_age(capsys, tmp_path):
    _, out, _ = said(capsys, "simulate", "nitro", "--out", tmp_path / "made")
    words = [*shlex.split(out)[1:], "--endorsements-max-age", 7]
    assert said(capsys, *words, "--endorsements", bundle(tmp_path, timedelta(days=6)))[0] == exit_codes.OK
    for days in (999_999_999, 1_000_000_000, 10**30):  # more than there are dates
        young = [*words[:-1], days, "--endorsements", tmp_path / "bundle.tar"]
        assert said(capsys, *young)[0] == exit_codes.OK
    code, _, err = said(capsys, *words)
    assert code == exit_codes.USAGE
    assert "[cli.verify.endorsements_max_age]" in err


# --- Signed Reference Values


@pytest.fixture
def signed(capsys, tmp_path):
    """Return a function that signs values for a platform as a version."""
    key = ec.derive_private_key(21, ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub").write_bytes(public)

    def sign(version, value=FIRMWARE, platform="tdx", register="mr_td"):
        values = Measured(platform=platform, registers={register: frozenset((value,))})
        (tmp_path / f"values{version}.json").write_bytes(write_measured(values))
        words = ("--name", "web", "--version", version, "--days", 30, "--key", "key.pem")
        out = f"manifest{version}.json"
        code, _, err = said(capsys, "reference", "sign", f"values{version}.json", *words, "--out", out)
        assert code == 0, err
        return ("--reference-manifest", out, "--reference-trust", "key.pub")

    return sign


@pytest.fixture
def command(capsys, tmp_path):
    """The command that verifies simulated TDX evidence under a policy that names no value itself."""
    _, out, _ = said(capsys, "simulate", "tdx", "--out", tmp_path / "made")
    policy = tmp_path / "made" / "policy.toml"
    policy.write_text(policy.read_text().replace(f'["{FIRMWARE.hex()}"]', '"reference"'))
    return shlex.split(out)[1:]


def test_signed_values_are_what_the_policy_compares_with(capsys, command, signed):
    code, out, _ = said(capsys, *command, "--json")
    assert code == exit_codes.REFUSED
    assert "policy.tdx.mr_td" in out
    assert said(capsys, *command, *signed(1))[0] == exit_codes.OK
    code, out, _ = said(capsys, *command, *signed(2, b"\x07" * 48))
    assert code == exit_codes.REFUSED
    assert "policy.tdx.mr_td" in out
    typed = ("--reference", f"mr_td={FIRMWARE.hex()}")
    assert said(capsys, *command, *signed(3, b"\x07" * 48), *typed)[0] == exit_codes.OK


def test_signed_values_of_another_name_do_not_stand_for_those_that_are_meant(capsys, command, signed):
    given = signed(1)
    assert said(capsys, *command, *given, "--reference-name", "web")[0] == exit_codes.OK
    code, out, _ = said(capsys, *command, *given, "--reference-name", "staging")
    assert code == exit_codes.REFUSED
    assert "[reference.manifest.name]" in out
    code, _, err = said(capsys, *command, "--reference-name", "web")
    assert code == exit_codes.USAGE
    assert "[cli.verify.reference_trust]" in err


def test_values_that_must_not_be_relied_on_refuse_the_evidence(capsys, command, signed):
    assert said(capsys, *command, *signed(2))[0] == exit_codes.OK
    for options, expected in (
        (signed(1), "reference.manifest.rollback"),
        (signed(3, platform="snp", register="measurement"), "reference.manifest.platform"),
    ):
        code, out, _ = said(capsys, *command, *options)
        assert code == exit_codes.REFUSED
        assert f"[{expected}]" in out


def test_signed_values_are_for_all_that_the_policy_demands_of_the_evidence(capsys, tmp_path, signed):
    """The attestation looks like that of a virtual TPM alone; the policy is about the TD in it."""
    _, out, _ = said(capsys, "simulate", "gcp-tdx", "--out", tmp_path / "made")
    policy = tmp_path / "made" / "policy.toml"
    policy.write_text(policy.read_text().replace(f'["{FIRMWARE.hex()}"]', '"reference"'))
    words = shlex.split(out)[1:]
    assert said(capsys, *words, *signed(1, platform="gcp-tdx"))[0] == exit_codes.OK
    code, out, _ = said(capsys, *words, *signed(2, platform="gcp-vtpm"))
    assert code == exit_codes.REFUSED
    assert "[reference.manifest.platform]" in out


BOTH = """
version = 1
platforms = ["tdx", "gcp-vtpm"]
simulated = "only"
accept = ["simulated", "host-tpm"]
"""
MR_TD, PCR0 = '[tdx]\nmr_td = "reference"\n', '[vtpm]\npcr0 = "reference"\n'


@pytest.fixture
def machine(capsys, tmp_path):
    """Return a function that verifies a TD and its virtual TPM in one file, and the TPM's first register."""
    nonce = "5a" * 32
    said(capsys, "simulate", "tdx", "--out", "tdx", "--report-data", nonce + "00" * 32)
    said(capsys, "simulate", "gcp-vtpm", "--out", "vtpm", "--report-data", nonce + "00" * 32)
    pieces = {"cpu": "tdx/quote.bin", "tpm": "vtpm/attestation.pb"}
    records = {name: Record(30001, (tmp_path / file).read_bytes()) for name, file in pieces.items()}
    (tmp_path / "both.cmw").write_bytes(encode_cbor(Collection(records)))
    roots = ("--roots", "tdx/root.pem", "--roots", "google-vtpm=vtpm/root.pem")
    vouching = ("--endorsements", "tdx/collateral.json", "--endorsements", "vtpm/endorsements")

    def verify(policy, *words):
        (tmp_path / "both.toml").write_text(BOTH + policy)
        asked = ("--nonce", nonce, "--policy", "both.toml")
        return said(capsys, "verify", "both.cmw", *asked, *roots, *vouching, "--json", *words)

    code, out, err = verify("")
    assert code == exit_codes.OK, (out, err)
    (whole,) = json.loads(out)["results"]
    return verify, bytes.fromhex(whole["parts"][1]["claims"]["tpm"]["pcrs"]["0"])


def failed(out: str) -> list[str]:
    (whole,) = json.loads(out)["results"]
    checks = [check for part in whole["parts"] for check in part["checks"]] + whole["checks"]
    return [check["code"] for check in checks if check["outcome"] == "failed"]


def test_signed_values_are_compared_with_the_pieces_of_their_platform_alone(machine, signed):
    """Two platforms may call a register alike, and nobody signed the values of one for the other."""
    verify, pcr0 = machine
    assert verify(PCR0, *signed(1, pcr0, "gcp-vtpm", "pcr0"))[0] == exit_codes.OK
    assert verify(MR_TD, *signed(2))[0] == exit_codes.OK
    code, out, _ = verify(PCR0 + MR_TD, *signed(3, pcr0, "tdx", "pcr0"))
    assert code == exit_codes.REFUSED
    assert failed(out) == [
        "policy.tdx.mr_td.no_reference",
        "policy.vtpm.pcr0.no_reference",
        "composite.appraised.refused",
    ]
    typed = ("--reference", f"mr_td={FIRMWARE.hex()}")
    assert verify(PCR0 + MR_TD, *signed(4, pcr0, "gcp-vtpm", "pcr0"), *typed)[0] == exit_codes.OK
    code, out, _ = verify(MR_TD, *signed(5, FIRMWARE, "gcp-vtpm"))
    assert (code, failed(out)[0]) == (exit_codes.REFUSED, "policy.tdx.mr_td.no_reference")
    code, out, _ = verify(PCR0, *signed(6, pcr0, "tpm", "pcr0"))
    assert code == exit_codes.REFUSED
    assert json.loads(out)["results"][0]["error"]["code"] == "reference.manifest.platform"


@pytest.mark.parametrize(("size", "code"), [(32, 0), (48, 1), (64, 1), (31, 2), (33, 2)])
def test_a_register_of_a_tpm_is_typed_in_the_size_of_any_bank(machine, size, code):
    verify, pcr0 = machine
    found, out, _ = verify(PCR0, "--reference", f"pcr0={pcr0.ljust(size, b'0')[:size].hex()}")
    assert found == code
    if code == exit_codes.USAGE:
        assert json.loads(out)["error"]["code"] == "cli.verify.reference"


def test_a_manifest_that_no_piece_is_compared_with_is_a_usage_error(machine, signed):
    verify, pcr0 = machine
    typed = ("--reference", f"mr_td={FIRMWARE.hex()}")
    code, _, err = verify(MR_TD, *typed, *signed(1, pcr0, "gcp-vtpm", "pcr0"))
    assert code == exit_codes.USAGE
    assert "compares nothing with --reference-manifest. [cli.verify.unused]" in err


def test_a_manifest_and_a_key_belong_together(capsys, command, signed):
    for some in (signed(1)[:2], signed(2)[2:]):
        code, _, err = said(capsys, *command, *some)
        assert code == exit_codes.USAGE
        assert "[cli.verify.reference_trust]" in err
