"""The identity of the operating system image, MR_CONFIG_ID and report data."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.dstack import (
    ConfigForm,
    KeyProvider,
    Tag,
    config_id,
    key_attestation,
    os_image,
    parse_event_log,
    tagged,
)
from assay.evidence.dstack.key_provider import ProviderKind
from assay.evidence.dstack.report_data import read_key_attestation
from assay.evidence.dstack.system import read_system_events
from assay.evidence.dstack.td_hob import MAX_RANGES, td_hob_digest
from assay.evidence.dstack.vm_config import parse_vm_config
from support import vectors
from support.dstack_guest import (
    APP_ID,
    COMPOSE_HASH,
    INSTANCE_ID,
    PROVIDER_ID,
    acpi_events,
    checksums,
    image_config,
    measurement,
    system_events,
)

LITE = "dstack/dstack-main/dstack_verifier_fixtures_tdx-lite-getquote.json"


def code(work, *arguments) -> str:
    with pytest.raises(EvidenceError) as caught:
        work(*arguments)
    return caught.value.code


# -- measurement documents


def document(content=None, listed=None):
    return json.loads(image_config(content, listed))["tdx_measurement"]


def test_real_registers_are_recomputed_from_a_real_document():
    answer = json.loads(vectors.read(LITE))
    config = parse_vm_config(answer["vm_config"].encode())
    found = os_image.parse_document(config.measurement)
    stated = json.loads(vectors.read("dstack/expected_tdx.json"))[LITE.removeprefix("dstack/")]
    acpi = os_image.acpi_digests(parse_event_log(answer["event_log"].encode()))
    assert found.os_image_hash == config.os_image_hash
    assert found.mrtd_two_pass.hex() == stated["mrtd"]
    registers = (found.rtmr0(config.memory_bytes, acpi), found.rtmr1(), found.rtmr2())
    assert [register.hex() for register in registers] == stated["rtmrs"][:3]


def inner(part, **changes):
    whole = cbor2.loads(measurement())
    return measurement(**{part: whole[part] | changes})


def mrtd(**changes):
    return inner("tdvf", mrtd=cbor2.loads(measurement())["tdvf"]["mrtd"] | changes)


TRUE = measurement()
INDEFINITE = b"\xbf" + TRUE[1:] + b"\xff"
LONG_NUMBER = TRUE.replace(b"gversion\x03", b"gversion\x18\x03")
DOCUMENTS = {
    "not a map": ([], "dstack.os_image.document_form"),
    "a member more": (document() | {"version": 3}, "dstack.os_image.document_form"),
    "checksum file that is no base64": (document() | {"checksum_file": "*"}, "dstack.os_image.document"),
    "base64 that is not canonical": (document() | {"checksum_file": "QR=="}, "dstack.os_image.document"),
    "base64 with a line break": (document() | {"measurement": "QUJD\nREVG"}, "dstack.os_image.document"),
    "measurement that is a number": (document() | {"measurement": 1}, "dstack.os_image.document"),
    "measurement that is too long": (document(bytes(16 * 1024 + 1)), "dstack.os_image.measurement"),
    "measurement that is not listed": (document(TRUE, checksums(other=TRUE)), "dstack.os_image.unlisted"),
    "measurement that is another": (
        document(TRUE, checksums(measurement_tdx_cbor=TRUE + b"x")),
        "dstack.os_image.measurement_hash",
    ),
    "not CBOR": (document(b"\xff"), "dstack.os_image.measurement"),
    "CBOR with bytes behind it": (document(TRUE + b"\0"), "dstack.os_image.measurement"),
    "CBOR of indefinite length": (document(INDEFINITE), "dstack.os_image.measurement"),
    "CBOR with a long number": (document(LONG_NUMBER), "dstack.os_image.measurement"),
    "CBOR nested deeply": (document(b"\x81" * 100 + b"\0"), "dstack.os_image.measurement"),
    "CBOR with a key twice": (document(b"\xa2\x61a\0\x61a\0"), "dstack.os_image.measurement"),
    "CBOR that is a tag": (document(b"\xc2\x41\x01"), "dstack.os_image.measurement"),
    "an array": (document(b"\x80"), "dstack.os_image.measurement"),
    "a member less": (document(cbor2.dumps({"version": 3})), "dstack.os_image.measurement"),
    "version 4": (document(measurement(version=4)), "dstack.os_image.version"),
    "version true": (document(measurement(version=True)), "dstack.os_image.version"),
    "unknown firmware": (document(inner("tdvf", ovmf="202508")), "dstack.os_image.ovmf"),
    "digest of 32 bytes": (document(inner("image", initrd_sha384=bytes(32))), "dstack.os_image.measurement"),
    "digest that is text": (document(mrtd(two_pass="0" * 48)), "dstack.os_image.measurement"),
    "witness that is text": (document(inner("tdvf", td_hob="")), "dstack.os_image.measurement"),
}


@pytest.mark.parametrize(("found", "expected"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_malformed_documents(found, expected):
    assert code(os_image.parse_document, found) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"00  name\n",
        ("0" * 64 + "  a").encode(),
        ("0" * 64 + "  a\n").encode() * 2,
        ("A" * 64 + "  a\n").encode(),
        ("0" * 64 + " a\n").encode(),
        ("0" * 64 + "  a b\n").encode(),
        ("0" * 64 + "  é\n").encode(),
        ("0" * 64 + "  a\r\n").encode(),
        ("0" * 64 + "  a\n\n").encode(),
        b"0" * (64 * 1024 + 1),
    ],
)
def test_malformed_checksum_files(data):
    assert code(os_image.parse_checksums, data) == "dstack.os_image.checksums"


def test_checksum_files_in_both_modes():
    digest = hashlib.sha256(b"x")
    text = f"{digest.hexdigest()}  a.bin\n{digest.hexdigest()} *b.bin\n".encode()
    assert os_image.parse_checksums(text) == {"a.bin": digest.digest(), "b.bin": digest.digest()}


@pytest.mark.parametrize(
    "events",
    [
        [],
        acpi_events()[:2],
        acpi_events() * 2,
        acpi_events()[::-1],
        [replace(event, register=1) for event in acpi_events()],
        [replace(event, kind=0xD) for event in acpi_events()],
        [replace(event, name=event.name.upper()) for event in acpi_events()],
    ],
    ids=["none", "two", "six", "backwards", "elsewhere", "of another type", "in capitals"],
)
def test_there_are_exactly_three_acpi_events(events):
    assert code(os_image.acpi_digests, events) == "dstack.os_image.acpi_events"


def test_acpi_events_stand_among_others_of_their_type():
    events = acpi_events()
    digests = tuple(event.digest for event in events)
    other = replace(events[0], name="boot-menu", digest=bytes(48))
    assert os_image.acpi_digests([other, *events, other]) == digests


def test_kernels_that_do_not_depend_on_the_memory():
    sizes = {0x80000000: True, 0x80000001: False, 0xAFFFFFFF: False, 0xB0000000: True, 1 << 40: True}
    assert {size: os_image.fixed_kernel(size) for size in sizes} == sizes


# -- the hand-off blocks


def numbers(*values: int) -> bytes:
    found = b""
    for value in values:
        while value >= 0x80:
            found += bytes([value & 0x7F | 0x80])
            value >>= 7  # noqa: PLW2901 - the usual way to write LEB128
        found += bytes([value])
    return found


WITNESS = numbers(0x800, 9, 4, 0, 6, 9, 2, 11, 2, 16, 16)


def test_the_witness_of_dstacks_own_test():
    assert WITNESS.hex() == "80100904000609020b021010"


def test_memory_is_split_from_the_border_on():
    sizes = (0x80000000, 0xB0000000 - 4096, 0xB0000000, 4 << 30)
    assert len({td_hob_digest(WITNESS, size) for size in sizes}) == len(sizes)


HOBS = {
    "nothing": (b"", 2 << 30),
    "two numbers": (numbers(1, 2), 2 << 30),
    "no range": (numbers(1, 2, 0), 2 << 30),
    "a range less": (numbers(1, 2, 2, 0, 1), 2 << 30),
    "a range more": (numbers(1, 2, 1, 0, 1, 5, 1), 2 << 30),
    "too many ranges": (
        numbers(1, 2, MAX_RANGES + 1, *(i for n in range(MAX_RANGES + 1) for i in (n, 1))),
        2 << 30,
    ),
    "ranges that overlap": (numbers(1, 2, 2, 0, 3, 2, 1), 2 << 30),
    "ranges out of order": (numbers(1, 2, 2, 9, 1, 2, 1), 2 << 30),
    "an empty range": (numbers(1, 2, 1, 0, 0), 2 << 30),
    "a number cut short": (WITNESS[:-1] + b"\x90", 2 << 30),
    "a number in two ways": (b"\x80\x00" + numbers(2, 1, 0, 1), 2 << 30),
    "a huge number": (b"\xff" * 6 + b"\x01" + numbers(2, 1, 0, 1), 2 << 30),
    "too long": (b"\0" * 2000, 2 << 30),
    "no memory": (WITNESS, 0),
    "memory that ends in the ranges": (WITNESS, 0x820000),
    "memory beyond all": (WITNESS, 1 << 60),
}


@pytest.mark.parametrize(("witness", "memory"), HOBS.values(), ids=HOBS)
def test_witnesses_that_do_not_fit(witness, memory):
    assert code(td_hob_digest, witness, memory) == "dstack.os_image.td_hob"


@given(st.binary(max_size=40), st.integers(0, 1 << 50))
def test_arbitrary_witnesses(witness, memory):
    try:
        assert len(td_hob_digest(witness, memory)) == 48
    except EvidenceError as error:
        assert error.code == "dstack.os_image.td_hob"  # noqa: PT017 - either way is right


# -- VM configurations


def test_an_embedded_configuration():
    inner_config = json.dumps({"image": "dstack-0.6.0", "memory_size": 5})
    found = parse_vm_config(json.dumps({"vm_config": inner_config, "mr_config": "{}"}).encode())
    assert (found.image, found.memory_bytes, found.mr_config) == ("dstack-0.6.0", 5, b"{}")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "json.malformed"),
        (b'{"a":1,"a":1}', "json.duplicate_member"),
        (b'{"image":5}', "dstack.vm_config"),
        (json.dumps({"image": "x" * 257}).encode(), "dstack.vm_config"),
        (b'{"memory_size":-1}', "dstack.vm_config"),
        (b'{"memory_size":true}', "dstack.vm_config"),
        (b'{"memory_size":1e3}', "dstack.vm_config"),
        (b'{"memory_size":18446744073709551616}', "dstack.vm_config"),
        (b'{"os_image_hash":"XX"}', "dstack.vm_config"),
        (b'{"vm_config":{}}', "dstack.vm_config"),
        (b'{"vm_config":"["}', "json.malformed"),
        (b'{"mr_config":{}}', "dstack.vm_config"),
        (b'{"mr_config":"\\ud800"}', "dstack.vm_config"),
    ],
)
def test_malformed_configurations(data, expected):
    assert code(parse_vm_config, data) == expected


# -- MR_CONFIG_ID

SYSTEM = read_system_events(system_events())
PINS = {
    "version": 3,
    "app_id": APP_ID.hex(),
    "compose_hash": COMPOSE_HASH.hex(),
    "key_provider": "kms",
    "key_provider_id": PROVIDER_ID.hex(),
    "instance_id": INSTANCE_ID.hex(),
    "init_script_hashes": [],
}


def v3(**changes):
    pins = {name: value for name, value in (PINS | changes).items() if value is not None}
    return json.dumps(pins).encode()


def test_forms_of_the_register():
    forms = {
        bytes(48): ConfigForm.UNSET,
        COMPOSE_HASH + bytes(16): ConfigForm.BARE,
        config_id.value_v1(COMPOSE_HASH): ConfigForm.V1,
        config_id.value_v2(COMPOSE_HASH, APP_ID, ProviderKind.KMS, PROVIDER_ID): ConfigForm.V2,
        config_id.value_v3(v3()): ConfigForm.V3,
    }
    for register, form in forms.items():
        assert config_id.form_of(register, COMPOSE_HASH) is form
        config_id.check_committed(register, form, SYSTEM, v3())


def test_dstacks_own_document_of_version_3():
    document = (
        b'{"app_id":"1111111111111111111111111111111111111111",'
        b'"compose_hash":"2222222222222222222222222222222222222222222222222222222222222222",'
        b'"gpu_policy_hash":"5555555555555555555555555555555555555555555555555555555555555555",'
        b'"instance_id":"4444444444444444444444444444444444444444",'
        b'"key_provider":"kms",'
        b'"key_provider_id":"3333333333333333333333333333333333333333333333333333333333333333",'
        b'"version":3}'
    )
    system = replace(
        SYSTEM,
        app_id=b"\x11" * 20,
        compose_hash=b"\x22" * 32,
        gpu_policy_hash=b"\x55" * 32,
        instance_id=b"\x44" * 20,
        key_provider=KeyProvider("kms", b"\x33" * 32),
    )
    config_id.check_committed(config_id.value_v3(document), ConfigForm.V3, system, document)


def test_the_register_of_a_real_snp_document():
    """HOST_DATA of SEV-SNP holds the same hash as MR_CONFIG_ID of version 3."""
    attestation = vectors.read("dstack/dstack/sev_snp_attestation.bin")
    start = attestation.index(b'{"app_id"')
    text = attestation[start : attestation.index(b"}", start) + 1]
    assert config_id.value_v3(text)[1:33].hex().startswith("783f0057")


UNKNOWN = {
    "version 4": b"\x04" + COMPOSE_HASH + bytes(15),
    "another bare hash": b"\x07" * 32 + bytes(16),
    "a bare hash with something behind it": COMPOSE_HASH + bytes(15) + b"\1",
}


@pytest.mark.parametrize("register", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_forms(register):
    assert code(config_id.form_of, register, COMPOSE_HASH) == "dstack.mr_config_id.version"


def committed(form, register, document=None, system=SYSTEM):
    return code(config_id.check_committed, register, form, system, document)


def test_registers_that_commit_to_something_else():
    v1, v2 = ConfigForm.V1, ConfigForm.V2
    mismatch = "dstack.mr_config_id.mismatch"
    assert committed(v1, config_id.value_v1(bytes(32))) == mismatch
    assert committed(v1, config_id.value_v1(COMPOSE_HASH)[:-1] + b"\1") == mismatch
    for arguments in (
        (bytes(32), APP_ID, ProviderKind.KMS, PROVIDER_ID),
        (COMPOSE_HASH, bytes(20), ProviderKind.KMS, PROVIDER_ID),
        (COMPOSE_HASH, APP_ID, ProviderKind.LOCAL, PROVIDER_ID),
        (COMPOSE_HASH, APP_ID, ProviderKind.KMS, b""),
    ):
        assert committed(v2, config_id.value_v2(*arguments)) == mismatch
    assert committed(ConfigForm.V3, config_id.value_v3(v3()), v3() + b" ") == mismatch


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (v3(compose_hash="00" * 32), "dstack.mr_config_id.document"),
        (v3(compose_hash=None), "dstack.mr_config_id.document"),
        (v3(compose_hash="xx"), "dstack.mr_config_id.document"),
        (v3(app_id="00" * 20), "dstack.mr_config_id.document"),
        (v3(instance_id="00" * 20), "dstack.mr_config_id.document"),
        (v3(key_provider="local"), "dstack.mr_config_id.document"),
        (v3(key_provider=["kms"]), "dstack.mr_config_id.document"),
        (v3(key_provider=None), "dstack.mr_config_id.document"),
        (v3(key_provider_id="00"), "dstack.mr_config_id.document"),
        (v3(gpu_policy_hash="00" * 32), "dstack.mr_config_id.document"),
        (v3(init_script_hashes=["00" * 32]), "dstack.mr_config_id.document"),
        (v3(init_script_hashes="x"), "dstack.mr_config_id.document"),
        (v3(init_script_hashes=[5]), "dstack.mr_config_id.document"),
        (v3(version=4), "dstack.mr_config_id.document"),
        (v3(version=3.0), "dstack.mr_config_id.document"),
        (v3(version=True), "dstack.mr_config_id.document"),
        (v3(more=1), "dstack.mr_config_id.document"),
        (b"[]", "json.type"),
        (b'{"compose_hash":"","compose_hash":""}', "json.duplicate_member"),
    ],
)
def test_documents_that_pin_something_else(document, expected):
    assert committed(ConfigForm.V3, config_id.value_v3(document), document) == expected


@pytest.mark.parametrize(
    "name", ["version", "app_id", "instance_id", "key_provider_id", "init_script_hashes"]
)
def test_what_a_document_leaves_out_it_does_not_pin(name):
    document = v3(**{name: None})
    config_id.check_committed(config_id.value_v3(document), ConfigForm.V3, SYSTEM, document)


# -- report data


def test_tagged_report_data():
    assert tagged(Tag.APP_DATA, b"x") == hashlib.sha512(b"app-data:x").digest()
    assert len({tagged(tag, b"x") for tag in Tag}) == len(Tag)


def test_key_attestations():
    text = "dip1::ed25519-pk:" + base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")
    assert read_key_attestation(key_attestation(text)) == text


@pytest.mark.parametrize(
    "text", ["", "dip2::ed25519-pk:x", "dip1::ed25519-pk:" + "x" * 48, "dip1::ed25519-pk:é"]
)
def test_texts_that_are_no_key_attestation(text):
    assert code(key_attestation, text) == "dstack.report_data.form"


@pytest.mark.parametrize("data", [bytes(64), b"dip1::ed25519-pk:\x1b[2J", b"\xff" * 64, b"dip1::"])
def test_report_data_that_is_no_key_attestation(data):
    assert read_key_attestation(data) is None
