"""Every entry of the family measure reaches the result stated for it; so do the CoRIMs of other projects.

What is stated of most files is only that they are data. They are measured here, and compared with what
sev-snp-measure 0.0.13 computes of the same files, or verified where they are signed.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from struct import unpack_from

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.errors import ReferenceValueError
from assay.evidence.dcap.quote import parse_quote
from assay.reference import corim
from assay.reference.artefact import Artefact
from assay.reference.manifest import Manifest, TrustedKey, open_manifest, sign
from assay.reference.ovmf import parse_firmware, sev_sections
from assay.reference.snp import DirectBoot, Machine, launch_digest, measure, svsm_launch_digest
from assay.reference.snp_identity import IdentityBlock, verify_identity
from assay.reference.snp_vmsa import Hypervisor, vcpu_signature
from assay.reference.tdvf import mrtd
from assay.reference.values import Measured
from support import vectors

ROOM = "measure/sev-snp-measure"
DATA = "data (not independently verified)"
NOW = datetime(2026, 5, 1, tzinfo=UTC)

# What sev-snp-measure 0.0.13 says for four CPUs of signature 0x800f12 and features 0x21, without a kernel.
SUFFIX_ANSWERS = {
    ("ovmf_AmdSev_suffix.bin", "qemu"): "d68d266388700e55",
    ("ovmf_OvmfX64_suffix.bin", "qemu"): "18c5ea2b91bbb3c3",
    ("ovmf_AmdSev_suffix.bin", "ec2"): "eb19df5094339442",
    ("ovmf_OvmfX64_suffix.bin", "ec2"): "dd71a7bf065aed87",
    ("ovmf_AmdSev_suffix.bin", "gce"): "25607ee3fbdd6cb2",
    ("ovmf_OvmfX64_suffix.bin", "gce"): "a14c9d8b1d058df3",
}
# The same with a service module: number of CPUs and size of the variables.
SVSM_ANSWERS = {
    (1, 0): "a2b724805d3ff0a3",
    (1, 0x84000): "35782e6d1b452075",
    (4, 0): "7a40d7b8856cc9d2",
    (4, 0x84000): "27d154c27b7b359c",
}


def artefact(name: str) -> Artefact:
    return Artefact.of(vectors.read(f"{ROOM}/{name}"), name)


def firmware(name: str):
    return parse_firmware(vectors.read(f"{ROOM}/{name}"))


def entries(kind: str):
    return [
        pytest.param(entry, id=entry["file"].rpartition("/")[2]) for entry in vectors.entries("measure", kind)
    ]


def reached(entry, expected: str = DATA) -> None:
    """Count an entry whose file is the stated one and whose stated result is this."""
    assert entry["expected"]["result"] == expected
    assert vectors.pinned(entry)
    vectors.record("measure", entry["kind"])


@pytest.mark.parametrize("entry", entries("snp-measure-kat"))
def test_known_answers_of_launch_digests(entry):
    answers = json.loads(vectors.read(entry["file"]))
    for answer in answers:
        assert answer["mode"] == "SEV_SNP"
        assert vcpu_signature(answer["vcpu_type"]) == answer["vcpu_sig"]
        machine = Machine(
            answer["vcpus"],
            answer["vcpu_sig"],
            answer["guest_features"],
            Hypervisor(answer["vmm_type"].lower()),
        )
        found = measure(
            artefact(answer["ovmf"]),
            machine,
            kernel=artefact(answer["kernel"]),
            initrd=artefact(answer["initrd"]),
            cmdline=answer["append"],
        )
        assert found.registers == {"measurement": {bytes.fromhex(answer["launch_digest"])}}
    assert len(answers) == entry["expected"]["key_fields"]["count"]
    assert answers[0] == entry["expected"]["key_fields"]["example"]
    reached(entry, "48 known answers")


@pytest.mark.parametrize("entry", entries("ovmf-suffix"))
def test_firmware_suffixes(entry):
    name = entry["file"].rpartition("/")[2]
    image = firmware(name)
    for hypervisor in Hypervisor:
        digest = launch_digest(image, Machine(4, 0x800F12, 0x21, hypervisor), None)
        assert digest.hex().startswith(SUFFIX_ANSWERS[name, hypervisor.value])
    kernel = DirectBoot(bytes(32), bytes(32), bytes(32))
    if name == "ovmf_OvmfX64_suffix.bin":
        with pytest.raises(ReferenceValueError) as caught:
            launch_digest(image, Machine(1, 1), kernel)
        assert caught.value.code == "reference.snp.hash_table"
    with pytest.raises(ReferenceValueError) as caught:
        mrtd(image, two_pass=False)
    assert caught.value.code == "reference.tdvf.section"  # the content of its sections is not in a suffix
    reached(entry)


@pytest.mark.parametrize("entry", entries("ovmf-image"))
def test_a_service_module_and_its_firmware(entry):
    assert sev_sections(parse_firmware(vectors.read(entry["file"])))
    for (vcpus, variables), answer in SVSM_ANSWERS.items():
        digest = svsm_launch_digest(
            firmware("svsm_ovmf.fd"), firmware("svsm.bin"), variables, Machine(vcpus, 0x800F12)
        )
        assert digest.hex().startswith(answer)
    reached(entry)


@pytest.mark.parametrize("entry", entries("synthetic-input"))
def test_inputs_of_the_known_answers(entry):
    name = entry["file"].rpartition("/")[2]
    assert artefact(name).describe("input").sha256.hex() == entry["sha256"]
    (answers,) = vectors.entries("measure", "snp-measure-kat")
    used = {
        answer[role] for answer in json.loads(vectors.read(answers["file"])) for role in ("kernel", "initrd")
    }
    assert name in used
    reached(entry)


@pytest.mark.parametrize("entry", [*entries("snp-id-block"), *entries("snp-id-auth")])
def test_identity_blocks(entry):
    data = vectors.read(entry["file"])
    if "lit-" in entry["file"]:
        block = base64.b64decode(vectors.read("measure/lit-sev-snp-utils/id_block.b64"))
        authentication = base64.b64decode(vectors.read("measure/lit-sev-snp-utils/auth_info.b64"))
        assert IdentityBlock.parse(block).policy == 0x30000
        found = verify_identity(block, authentication)
    else:
        found = verify_identity(None, data)  # its block is not published with it
    assert found.author_key_digest is not None
    assert found.author_key_digest != found.id_key_digest
    reached(entry)


@pytest.mark.parametrize("entry", entries("gcp-tdx-firmware-endorsement"))
def test_what_was_taken_from_a_clouds_endorsement(entry):
    """The file is not signed; its MRTD is that of the genuine quote beside it."""
    text = vectors.read(entry["file"]).decode()
    values = dict(zip(*[iter(text.replace(": >-", "").replace(":", "").split())] * 2, strict=False))
    lines = [line.strip() for line in text.splitlines()]
    firmware_mrtd = bytes.fromhex(values["mrtd"])
    blocks = bytes.fromhex(lines[lines.index("bytes: >-") + 1])
    quote = next(name for name in entry["related"] if name.endswith("quote.bin"))
    assert parse_quote(vectors.read(quote), "tdx").body.mr_td == firmware_mrtd
    assert unpack_from("<HH", blocks) == (1, 56)  # the hand-off block, then resources of 48 bytes
    resources = range(56, len(blocks) - 8, 48)
    assert {unpack_from("<HH", blocks, at) for at in resources} == {(3, 48)}
    assert f"length_offset: {resources[-1] + 40}" in lines
    assert f"ram_threshold: {3 << 30}" in lines
    reached(entry)


@pytest.mark.parametrize("entry", entries("reference-measurements"))
def test_published_measurements_go_through_a_signed_manifest(entry):
    records = json.loads(vectors.read(entry["file"]))
    assert f"list[{len(records)}]" == entry["expected"]["key_fields"]["json_keys"]
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    seen = set()
    for record in records:
        registers = {}
        for index, wanted in record["measurements"].items():
            texts = [wanted["expected"]] if "expected" in wanted else wanted["expected_any"]
            registers[f"pcr{index}"] = frozenset(bytes.fromhex(text) for text in texts)
        values = Measured(record["attestation_type"], registers)
        manifest = Manifest(
            f"published-{len(seen)}", len(registers), NOW, NOW + timedelta(days=1), values, "published"
        )
        assert open_manifest(sign(manifest, key), [TrustedKey.of(key.public_key())]).manifest == manifest
        seen.add((record["measurement_id"], values.platform))
    assert {platform for _, platform in seen} <= {"azure-tdx", "dcap-tdx", "gcp-tdx"}
    reached(entry)


def corims() -> list[str]:
    if not vectors.present():
        return []
    room = vectors.ROOT / "trustee"
    found = [str(path.relative_to(vectors.ROOT)) for path in room.rglob("*.cbor")]
    return sorted(name for name in found if vectors.read(name)[:3] == b"\xd9\x01\xf5")


@pytest.mark.parametrize("name", corims())
def test_corims_of_other_projects_are_read_or_refused(name):
    """Files named bad break rules of one scheme; what CoRIM itself demands, most of them keep."""
    data = vectors.read(name)
    try:
        found = corim.decode(data)
    except ReferenceValueError as error:
        defect = error.code
    else:
        defect = "" if found.tag_id else "no name"
    assert not defect or ("bad" in name and defect.startswith("reference.corim."))


def test_what_a_corim_of_trustee_says():
    name = "trustee/trustee/rvps/src/extractors/corim/unsigned-example-corim.cbor"
    found = corim.values(corim.decode(vectors.read(name)), platform="sample", now=NOW)
    (digests,) = found.registers.values()
    assert {digest.hex()[:8] for digest in digests} == {"87428fc5", "02638299", "a3a5e715"}
    assert "vendor ACME, model RoadRunner" in found.parameters["environment"]
    vectors.note(f"CoRIMs of other projects: {len(corims())} read or refused as their form demands")


def test_what_a_corim_of_veraison_says_of_a_realm():
    name = "trustee/veraison-services/scheme/arm-cca/test/corim/corim-cca-realm-valid.cbor"
    found = corim.values(corim.decode(vectors.read(name)), platform="cca", now=NOW)
    assert found.registers.keys() == {"cca_rim", "cca_rem0", "cca_rem1", "cca_rem2", "cca_rem3"}
    assert found.notes == ("Of cca.rpv: its raw value is not appraised.",)
