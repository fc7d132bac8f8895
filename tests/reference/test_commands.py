"""``assay measure`` and ``assay reference``, as they are typed."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from assay.cli import measure, patience
from assay.cli.main import main
from assay.cli.reference import manifest_references
from assay.errors import ReferenceValueError
from assay.reference import azure as room
from assay.reference import corim
from assay.reference.azure import verify_endorsement as verify_azure
from assay.reference.manifest import Manifest, load_signing_key, read_unverified, sign
from assay.reference.ovmf import parse_firmware
from assay.reference.snp_identity import IdentityBlock, sign_identity
from assay.reference.tdvf import mrtd
from assay.reference.values import Measured, read_measured, write_measured
from support import reference_azure as azure
from support.reference_firmware import sev_firmware, tdx_firmware, tdx_metadata
from support.reference_pe import uki

TDVF = tdx_firmware(tdx_metadata([(0x1000, 0x2000, 0xFFFFE000, 0x2000, 0, 1)]))


@pytest.fixture
def here(tmp_path, monkeypatch):
    state = tmp_path / "state"
    monkeypatch.setenv("ASSAY_STATE_DIR", str(state))
    monkeypatch.chdir(tmp_path)
    key = ec.derive_private_key(21, ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub").write_bytes(public)
    (tmp_path / "ovmf.fd").write_bytes(sev_firmware())
    (tmp_path / "tdvf.fd").write_bytes(TDVF)
    (tmp_path / "kernel").write_bytes(b"kernel")
    return tmp_path


def answered(capsys, *words: str, code: int = 0):
    assert main(list(words)) == code, capsys.readouterr().err
    return capsys.readouterr()


def refused(capsys, expected: str, *words: str, code: int = 1) -> None:
    assert f"[{expected}]" in answered(capsys, *words, code=code).err


SNP = ("measure", "snp", "--firmware", "ovmf.fd", "--vcpus", "2", "--vcpu-type", "EPYC-Milan")


def test_an_snp_guest_is_measured(here, capsys):
    found = json.loads(answered(capsys, *SNP, "--json").out)
    assert found["platform"] == "snp"
    assert found["parameters"]["vcpus"] == "2"
    by_number = [*SNP[:-2], "--vcpu-signature", "0xa00f11"]
    assert json.loads(answered(capsys, *by_number, "--json").out) == found
    more = ("--kernel", "kernel", "--initrd", "kernel", "--append", "quiet", "--guest-features", "0x21")
    other = json.loads(answered(capsys, *SNP, *more, "--json").out)
    assert other["registers"] != found["registers"]
    assert [each["role"] for each in other["artefacts"]] == ["firmware", "kernel", "initrd"]
    svsm = json.loads(answered(capsys, *SNP, "--svsm", "ovmf.fd", "--vars-size", "4096", "--json").out)
    assert svsm["parameters"]["variables_bytes"] == "4096"


def test_what_is_printed_as_json_is_a_file_of_values(here, capsys):
    printed = answered(capsys, *SNP, "--json", "--out", "kept.json").out
    assert read_measured(printed.encode()) == read_measured((here / "kept.json").read_bytes())


def test_who_waits_is_told_that_files_are_read(here, capsys, monkeypatch):
    told = threading.Event()
    opened = measure._open

    def progress(text):
        assert text.startswith("measuring: ")
        told.set()

    def slow(*arguments):
        assert told.wait(30)
        return opened(*arguments)

    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0)
    monkeypatch.setattr(patience, "progress", progress)
    monkeypatch.setattr(measure, "_open", slow)
    assert "measurement" in answered(capsys, *SNP[:-2], "--vcpu-type", "EPYC-Milan", "--kernel", "kernel").out


def test_the_table_shows_register_and_value(here, capsys):
    shown = answered(capsys, *SNP)
    assert shown.out.split()[:3] == ["register", "value", "measurement"]
    assert "What the firmware boots" in shown.err


def test_how_an_snp_guest_cannot_be_measured(here, capsys):
    refused(capsys, "cli.measure.vcpu", *SNP[:-2], code=2)
    refused(capsys, "cli.measure.vcpu", *SNP, "--vcpu-signature", "1", code=2)
    refused(capsys, "cli.measure.number", *SNP, "--guest-features", "x", code=2)
    refused(capsys, "reference.snp.vcpu", *SNP[:-1], "Z80", code=2)
    refused(capsys, "reference.snp.features", *SNP, "--guest-features", "0", code=2)
    refused(capsys, "reference.snp.cmdline", *SNP, "--kernel", "kernel", "--append", "a\udcff")
    answered(capsys, *SNP[:-2], "--hypervisor", "ec2")
    refused(capsys, "reference.artefact.unreadable", *SNP, "--kernel", "absent", code=2)


@pytest.mark.parametrize("verb", ["dstack", "container"])
def test_a_file_that_cannot_be_read_in_a_directory_is_one_too(here, capsys, verb):
    """2 as for a file that is named itself; 1 is for what was read and is wrong."""
    refused(capsys, "reference.artefact.unreadable", "measure", verb, ".", code=2)
    for name in ("index.json", "sha256sum.txt"):
        os.mkfifo(here / name)
    refused(capsys, "reference.artefact.kind", "measure", verb, ".", code=2)
    for name in ("index.json", "sha256sum.txt"):
        (here / name).unlink()
        (here / name).write_bytes(b"no such form\n")
    document = {"dstack": "reference.artefact.unreadable", "container": "reference.oci.layout"}
    refused(capsys, document[verb], "measure", verb, ".", code=2 if verb == "dstack" else 1)


def test_a_file_whose_name_is_no_text_can_be_signed(here, capsys):
    name = os.fsdecode(b"\xff.fd")
    (here / name).write_bytes(TDVF)
    answered(capsys, "measure", "tdx", "--firmware", name, "--out", "v.json")
    (file,) = read_measured((here / "v.json").read_bytes()).artefacts
    assert file.name == "\N{REPLACEMENT CHARACTER}.fd"
    words = ("--name", "x", "--version", "1", "--days", "1", "--key", "key.pem", "--out", "v.signed")
    answered(capsys, "reference", "sign", "v.json", *words)


def test_a_tdx_firmware_is_measured(here, capsys):
    found = json.loads(answered(capsys, "measure", "tdx", "--firmware", "tdvf.fd", "--json").out)
    image = parse_firmware(TDVF)
    assert found["registers"]["mr_td"] == sorted(mrtd(image, two_pass=each).hex() for each in (True, False))


def test_an_identity_block_is_measured_raw_and_in_base64(here, capsys):
    block = IdentityBlock(b"\x11" * 48)
    signed = sign_identity(block, ec.derive_private_key(3, ec.SECP384R1()), None)
    for name, data in (("block", block.encode()), ("auth", signed)):
        (here / name).write_bytes(data)
        (here / f"{name}.b64").write_bytes(base64.b64encode(data) + b"\n")
    raw = answered(capsys, "measure", "id-block", "block", "auth", "--json").out
    assert answered(capsys, "measure", "id-block", "block.b64", "auth.b64", "--json").out == raw
    assert json.loads(raw)["registers"]["measurement"] == ["11" * 48]
    refused(capsys, "reference.snp.id_block", "measure", "id-block", "key.pem", "auth")


def test_a_unified_kernel_image_is_measured(here, capsys):
    (here / "linux.efi").write_bytes(uki())
    words = ("measure", "uki", "linux.efi", "--json")
    found = json.loads(answered(capsys, *words).out)
    assert found["registers"].keys() == {"pcr4", "pcr9", "pcr11"}
    assert json.loads(answered(capsys, *words, "--phase", "").out)["parameters"]["phases"] == ""
    early = json.loads(answered(capsys, *words, "--phase", "enter-initrd", "--bank", "sha384").out)
    assert len(early["registers"]["pcr11"][0]) == 96
    after = json.loads(answered(capsys, *words, "--after", "linux.efi").out)
    assert after["registers"]["pcr4"] != found["registers"]["pcr4"]


def test_a_kernel_and_an_enclave_image_are_measured(here, capsys):
    (here / "linux.efi").write_bytes(uki())
    words = ("measure", "boot", "--kernel", "linux.efi", "--initrd", "kernel", "--append", "quiet")
    found = json.loads(answered(capsys, *words, "--after", "linux.efi", "--json").out)
    assert found["registers"].keys() == {"pcr4", "pcr9"}
    assert [each["role"] for each in found["artefacts"]] == ["efi", "kernel", "initrd"]
    refused(capsys, "reference.eif.header", "measure", "eif", "kernel")


def test_values_are_for_the_platform_that_the_policy_names(here, capsys):
    (here / "linux.efi").write_bytes(uki())
    words = ("measure", "uki", "linux.efi", "--json")
    assert json.loads(answered(capsys, *words).out)["platform"] == "tpm"
    answered(capsys, *words, "--for", "azure-tdx", "--out", "values.json")
    assert read_measured((here / "values.json").read_bytes()).platform == "azure-tdx"
    refused(capsys, "cli.measure.platform", *words, "--for", "azure", code=2)
    # Before anything is read: an image can take minutes.
    refused(capsys, "cli.measure.platform", "measure", "eif", "absent", "--for", "azure", code=2)


def test_a_compose_file_is_measured(here, capsys):
    (here / "app-compose.json").write_bytes(b'{"a": 1}')
    found = json.loads(answered(capsys, "measure", "compose", "app-compose.json", "--json").out)
    assert found["registers"]["compose_hash"] == [hashlib.sha256(b'{"a": 1}').hexdigest()]


def measured(capsys, name: str, *more: str) -> None:
    answered(capsys, *SNP, *more, "--out", name)


def signed(capsys, version: int, name: str = "web.json", *files: str) -> None:
    answered(
        capsys,
        *("reference", "sign", *(files or ("one.json",)), "--name", "web", "--version", str(version)),
        *("--days", "30", "--key", "key.pem", "--out", name),
    )


def test_values_are_signed_kept_and_listed(here, capsys):
    measured(capsys, "one.json")
    measured(capsys, "two.json", "--kernel", "kernel")
    assert read_measured((here / "one.json").read_bytes()).platform == "snp"
    refused(capsys, "cli.file.exists", *SNP, "--out", "one.json", code=2)
    refused(capsys, "cli.file.unwritable", *SNP, "--out", "absent/one.json", code=2)
    signed(capsys, 2, "web2.json", "one.json", "two.json")
    signed(capsys, 1, "web1.json")
    assert answered(capsys, "reference", "list").out == "There are no manifests.\n"
    answered(capsys, "reference", "put", "web2.json", "--trust", "key.pub")
    refused(capsys, "reference.manifest.rollback", "reference", "put", "web1.json", "--trust", "key.pub")
    kept = json.loads(answered(capsys, "reference", "list", "--json").out)["manifests"]
    assert [(each["name"], each["version"], each["expired"]) for each in kept] == [("web", 2, False)]
    assert "web" in answered(capsys, "reference", "list").out
    changed = (here / "web2.json").read_bytes().replace(b'"sig":"', b'"sig":"AAAA')
    (here / "web3.json").write_bytes(changed)
    refused(capsys, "reference.manifest.signature", "reference", "put", "web3.json", "--trust", "key.pub")


def test_a_signed_manifest_gives_references_and_is_remembered(here, capsys):
    measured(capsys, "one.json")
    for version in (1, 2):
        signed(capsys, version, f"web{version}.json")
    values = read_measured((here / "one.json").read_bytes()).registers
    now = datetime.now(UTC)
    trust = [here / "key.pub"]
    assert manifest_references(here / "web2.json", trust, platform="snp", now=now) == values
    for name, platform, expected in (("web1.json", "snp", "rollback"), ("web2.json", "tdx", "platform")):
        with pytest.raises(ReferenceValueError) as caught:
            manifest_references(here / name, trust, platform=platform, now=now)
        assert caught.value.code == f"reference.manifest.{expected}"


def test_a_manifest_that_cannot_be_read_stands_in_the_list(here, capsys):
    measured(capsys, "one.json")
    signed(capsys, 1)
    answered(capsys, "reference", "put", "web.json", "--trust", "key.pub")
    kept = here / "state" / "references"
    (kept / "bad.json").write_bytes(b"{}")
    (kept / "bad.json").chmod(0o600)
    shown = answered(capsys, "reference", "list").out.splitlines()
    assert [line.split()[0] for line in shown] == ["name", "bad", "web"]
    listed = json.loads(answered(capsys, "reference", "list", "--json").out)["manifests"]
    assert listed[0] == {"name": "bad", "error": "reference.manifest.envelope"}


def in_the_way(directory):
    directory.write_bytes(b"a file")


def elsewhere(directory):
    directory.symlink_to("/usr")


def for_others(directory):
    directory.mkdir()
    directory.chmod(0o755)


@pytest.mark.parametrize(
    ("make", "code"), [(in_the_way, "kind"), (elsewhere, "symlink"), (for_others, "mode")]
)
def test_manifests_that_cannot_be_looked_for_are_not_none(here, capsys, make, code):
    (here / "state").mkdir(mode=0o700)
    make(here / "state" / "references")
    refused(capsys, f"store.directory.{code}", "reference", "list", code=1)


def test_a_list_that_shows_a_part_of_the_manifests_says_so(here, capsys, monkeypatch):
    monkeypatch.setattr("assay.cli.reference.MAX_KEPT", 1)
    measured(capsys, "one.json")
    signed(capsys, 1)
    answered(capsys, "reference", "put", "web.json", "--trust", "key.pub")
    (here / "state" / "references" / "more.json").write_bytes(b"")
    found = answered(capsys, "reference", "list")
    assert found.err == "Of 2 manifests the first 1 are listed.\n"
    assert len(found.out.splitlines()) == 2


def test_a_damaged_memory_stops_everything(here, capsys):
    measured(capsys, "one.json")
    signed(capsys, 1)
    answered(capsys, "reference", "put", "web.json", "--trust", "key.pub")
    (here / "state" / "reference-memory.json").write_bytes(b"{}")
    refused(capsys, "reference.memory.unreadable", "reference", "put", "web.json", "--trust", "key.pub")
    for size, expected in ((1 << 20, "reference.memory.unreadable"), ((1 << 20) + 1, "store.file.size")):
        (here / "state" / "reference-memory.json").write_bytes(b" " * size)
        refused(capsys, expected, "reference", "put", "web.json", "--trust", "key.pub")
    (here / "state" / "reference-memory.json").chmod(0o644)
    refused(capsys, "store.file.mode", "reference", "put", "web.json", "--trust", "key.pub")


def test_an_artefact_that_cannot_be_opened_is_a_usage_error(here, capsys):
    os.mkfifo(here / "pipe")
    (here / "huge").touch()
    os.truncate(here / "huge", 1 << 41)
    for name, code in (("absent", "unreadable"), ("pipe", "kind"), ("huge", "size")):
        said = answered(capsys, "measure", "eif", name, code=2)
        assert f"reference.artefact.{code}" in said.err


def test_files_of_every_form_are_compared(here, capsys):
    measured(capsys, "one.json")
    measured(capsys, "two.json", "--kernel", "kernel")
    signed(capsys, 1)
    (here / "empty").touch()
    assert "reference." in answered(capsys, "reference", "diff", "one.json", "empty", code=2).err
    assert "The same values" in answered(capsys, "reference", "diff", "one.json", "web.json").err
    shown = answered(capsys, "reference", "diff", "one.json", "two.json", code=1).out
    assert [line.split()[:2] for line in shown.splitlines()[1:]] == [
        ["measurement", "removed"],
        ["measurement", "added"],
    ]
    shown = answered(capsys, "reference", "diff", "one.json", "two.json", "--json", code=1).out
    listed = json.loads(shown)["changes"]
    assert [each["change"] for each in listed] == ["removed", "added"]
    answered(
        capsys,
        *("reference", "export", "two.json", "--tag-id", "t", "--vendor", "v", "--model", "m"),
        *("--out", "two.corim"),
    )
    answered(capsys, "reference", "diff", "two.json", "two.corim")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_values_of_two_platforms_are_not_the_same(here, capsys, more):
    """A manifest of one platform is none of the other, whatever it holds."""
    for platform in ("tdx", "azure-tdx"):
        values = Measured(platform, {"mr_td": frozenset({b"\1" * 48})})
        (here / f"{platform}.json").write_bytes(write_measured(values))
    shown = answered(capsys, "reference", "diff", "tdx.json", "azure-tdx.json", *more, code=1)
    assert shown.err == "They are values of different platforms: azure-tdx and tdx.\n"
    assert "mr_td" not in shown.out
    if more:
        assert json.loads(shown.out)["platforms"] == ["azure-tdx", "tdx"]
    export = ("reference", "export", "tdx.json", "--tag-id", "t", "--vendor", "v", "--model", "m")
    answered(capsys, *export, "--out", "tdx.corim")
    answered(capsys, "reference", "diff", "azure-tdx.json", "tdx.corim", *more)


def test_a_corim_goes_out_and_comes_back(here, capsys):
    measured(capsys, "one.json")
    export = ("reference", "export", "one.json", "--tag-id", "t", "--vendor", "v", "--model", "m")
    assert answered(capsys, *export, "--out", "plain.corim").out == "Wrote plain.corim, unsigned.\n"
    signed = answered(capsys, *export, "--key", "key.pem", "--out", "signed.corim")
    assert signed.out == "Wrote signed.corim, signed.\n"
    back = ("reference", "import", "--platform", "snp")
    came = answered(capsys, *back, "signed.corim", "--trust", "key.pub", "--out", "back.json")
    assert came.out == "Wrote back.json: measurement of snp.\n"
    answered(capsys, *back, "plain.corim", "--unsigned", "--out", "again.json")
    answered(capsys, "reference", "diff", "back.json", "one.json")
    answered(capsys, "reference", "diff", "again.json", "one.json")
    refused(capsys, "cli.reference.trust", *back, "plain.corim", "--out", "x.json", code=2)
    refused(
        capsys,
        "reference.corim.unsigned",
        *(*back, "plain.corim", "--trust", "key.pub", "--out", "x.json"),
    )


@pytest.mark.parametrize(
    ("until", "days", "refusal"),
    [
        (None, "3650", ""),
        ("2999-01-01T00:00:00+00:00", "3650", ""),
        ("2026-01-01T00:00:00Z", "1", "cli.reference.outlives"),
        ("2026-01-01T00:00:00", "1", "reference.values.malformed"),
        ("soon", "1", "reference.values.malformed"),
    ],
)
def test_no_manifest_outlives_the_corim_that_its_values_came_from(here, capsys, until, days, refusal):
    said = {} if until is None else {"valid_until": until}
    both = (("one", b"\1", said), ("two", b"\2", {"valid_until": "3000-01-01T00:00:00Z"}))
    for name, byte, parameters in both:
        values = Measured("tdx", {"mr_td": frozenset({byte * 48})}, parameters=parameters)
        (here / f"{name}.json").write_bytes(write_measured(values))
    command = ("--name", "web", "--version", "1", "--days", days, "--key", "key.pem", "--out", "m.json")
    for files in (("one.json",), ("two.json", "one.json")):
        (here / "m.json").unlink(missing_ok=True)
        words = ("reference", "sign", *files, *command)
        if not refusal:
            answered(capsys, *words)
            continue
        refused(capsys, refusal, *words, code=2 if refusal.startswith("cli.") else 1)
        assert not (here / "m.json").exists()


def test_how_long_a_manifest_may_last_is_said(here, capsys):
    until = datetime.now(UTC) + timedelta(days=5, hours=1)
    values = Measured(
        "tdx", {"mr_td": frozenset({b"\1" * 48})}, parameters={"valid_until": until.isoformat()}
    )
    (here / "v.json").write_bytes(write_measured(values))
    command = ("reference", "sign", "v.json", "--name", "web", "--version", "1", "--key", "key.pem")
    assert "Say --days 5 at most." in answered(capsys, *command, "--days", "6", "--out", "m.json", code=2).err
    answered(capsys, *command, "--days", "5", "--out", "m.json")


def test_no_value_outlives_the_manifest_that_held_it(here, capsys):
    measured(capsys, "one.json")
    signed(capsys, 1)  # for thirty days
    end = read_unverified((here / "web.json").read_bytes()).expires
    command = ("--name", "web", "--version", "2", "--key", "key.pem", "--out", "again.json")
    for files in (("web.json",), ("one.json", "web.json")):
        words = ("reference", "sign", *files, *command)
        refused(capsys, "cli.reference.outlives", *words, "--days", "31", code=2)
    answered(capsys, "reference", "sign", "web.json", *command, "--days", "29")
    assert read_unverified((here / "again.json").read_bytes()).expires < end
    export = ("reference", "export", "--tag-id", "t", "--vendor", "v", "--model", "m")
    answered(capsys, *export, "web.json", "--out", "web.corim")
    assert corim.decode((here / "web.corim").read_bytes()).not_after == end
    back = ("reference", "import", "web.corim", "--platform", "snp", "--unsigned", "--out", "back.json")
    answered(capsys, *back)
    refused(
        capsys, "cli.reference.outlives", "reference", "sign", "back.json", *command, "--days", "31", code=2
    )


def test_the_earlier_end_holds_of_a_manifest_and_of_what_it_holds(here, capsys):
    now = datetime.now(UTC).replace(microsecond=0)
    stated = {"valid_until": (now + timedelta(days=2)).isoformat()}
    values = Measured("tdx", {"mr_td": frozenset({b"\1" * 48})}, parameters=stated)
    key = load_signing_key((here / "key.pem").read_bytes())
    for days, end in ((1, 1), (3, 2)):
        manifest = Manifest("web", 1, now, now + timedelta(days=days), values, "a test")
        (here / "m.json").write_bytes(sign(manifest, key))
        (here / "m.corim").unlink(missing_ok=True)
        words = ("reference", "export", "m.json", "--tag-id", "t", "--vendor", "v", "--model", "m")
        answered(capsys, *words, "--out", "m.corim")
        assert corim.decode((here / "m.corim").read_bytes()).not_after == now + timedelta(days=end)


def test_what_an_endorsement_calls_its_members_does_not_steer_the_terminal(here, capsys, monkeypatch):
    then = {"now": datetime(2026, 5, 1, tzinfo=UTC)}
    monkeypatch.setattr(room, "verify_endorsement", lambda data, **given: verify_azure(data, **given | then))
    root = azure.certificate("root", "root", authority=True)
    content = azure.payload(**{"\x1b[2J\n": 1})
    (here / "endorsement").write_bytes(azure.endorsement(content))
    command = ("measure", "azure", "endorsement", "--minimum-svn", "1", "--issuer", azure.issuer(root))
    found = answered(capsys, *command, "--feed", azure.FEED)
    assert r"holds x-ms-sevsnpvm-\x1b[2J\x0a;" in found.err
