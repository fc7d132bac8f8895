"""Bounds and encodings of dstack's formats at their borders: the last that fits, the first that does not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from assay.errors import EvidenceError
from assay.evidence.decoding import pem
from assay.evidence.decoding.der import SEQUENCE, DerReader
from assay.evidence.dstack import (
    ConfigForm,
    Expectations,
    KeyProvider,
    checks,
    config_id,
    from_get_quote,
    from_info,
    key_attestation,
    msgpack,
    order,
    os_image,
    parse_event_log,
)
from assay.evidence.dstack.attestation import parse_attestation
from assay.evidence.dstack.certificate import Extension, leaf_of_chain, parse_certificate
from assay.evidence.dstack.keccak import keccak256
from assay.evidence.dstack.key_provider import ProviderKind, parse_key_provider
from assay.evidence.dstack.report_data import read_key_attestation
from assay.evidence.dstack.scale import ScaleReader
from assay.evidence.dstack.system import read_system_events
from assay.evidence.dstack.td_hob import td_hob_digest
from assay.evidence.dstack.vm_config import parse_vm_config
from assay.evidence.verification import Unchecked
from support.dcap_scenes import encode
from support.dstack_encodings import certificate, compact, pack, version_0, version_1
from support.dstack_guest import (
    APP_ID,
    COMPOSE_HASH,
    IMAGE_HASH,
    INSTANCE_ID,
    PROVIDER,
    PROVIDER_ID,
    WITNESS,
    checksums,
    image_config,
    log_json,
    measurement,
    runtime,
    system_events,
)

SYSTEM = read_system_events(system_events())


def code(work, *arguments) -> str:
    with pytest.raises(EvidenceError) as caught:
        work(*arguments)
    return caught.value.code


def numbers(*values: int) -> bytes:
    return b"".join(bytes([v]) if v < 128 else bytes([v & 127 | 128, v >> 7]) for v in values)


def ranges(count: int) -> bytes:
    return td_hob_digest(numbers(1, 2, count, *(v for n in range(count) for v in (2 * n, 1))), 2 << 30)


def config_document(size: int) -> None:
    text = json.dumps({"compose_hash": COMPOSE_HASH.hex(), "key_provider": "kms"}).encode().rjust(size)
    config_id.check_committed(config_id.value_v3(text), ConfigForm.V3, SYSTEM, text)


def checksum_file(size: int) -> None:
    lines = b"".join(b"0" * 64 + f"  {index:0125}\n".encode() for index in range(size // 192 - 1))
    os_image.parse_checksums(lines + b"0" * 64 + b"  " + b"x" * (size - len(lines) - 67) + b"\n")


def a_measurement(size: int) -> None:
    content = measurement(version="x" * (size - len(measurement(version="x" * 60000)) + 60000))
    assert len(content) == size
    os_image.parse_document(json.loads(image_config(content))["tdx_measurement"])


BOUNDS = {
    "event name": (lambda size: runtime("n" * size), 256, "dstack.log.name"),
    "event payload": (lambda size: runtime("n", bytes(size)), 65536, "dstack.log.payload"),
    "events": (lambda size: parse_event_log(log_json([runtime("n")] * size)), 4096, "dstack.log.events"),
    "log": (lambda size: parse_event_log(b"[]".rjust(size)), 1 << 20, "json.oversized"),
    "key provider": (
        lambda size: parse_key_provider(b'{"name":"kms","id":""}'.rjust(size)),
        8192,
        "json.oversized",
    ),
    "VM configuration": (lambda size: parse_vm_config(b"{}".rjust(size)), 1 << 18, "json.oversized"),
    "image name": (
        lambda size: parse_vm_config(json.dumps({"image": "x" * size}).encode()),
        256,
        "dstack.vm_config",
    ),
    "memory": (
        lambda size: parse_vm_config(json.dumps({"memory_size": size}).encode()),
        2**64 - 1,
        "dstack.vm_config",
    ),
    "configuration document": (config_document, 65536, "json.oversized"),
    "hand-off ranges": (ranges, 64, "dstack.os_image.td_hob"),
    "memory of hand-off blocks": (
        lambda size: td_hob_digest(WITNESS, size),
        1 << 47,
        "dstack.os_image.td_hob",
    ),
    "checksum file": (checksum_file, 65536, "dstack.os_image.checksums"),
    "name in a checksum file": (
        lambda size: os_image.parse_checksums(b"0" * 64 + b"  " + b"x" * size + b"\n"),
        255,
        "dstack.os_image.checksums",
    ),
    "key attestation": (
        lambda size: key_attestation("dip1::ed25519-pk:".ljust(size, "x")),
        64,
        "dstack.report_data.form",
    ),
    "word of the storage": (
        lambda size: read_system_events(system_events(storage_fs=b"z" * size)),
        32,
        "dstack.events.payload",
    ),
    "attestation": (
        lambda size: parse_attestation(version_0(bytes(size - 75), [])),
        1 << 20,
        "dstack.attestation.size",
    ),
    "events of an attestation": (
        lambda size: parse_attestation(version_0(b"", [runtime("n")] * size)),
        4096,
        "dstack.log.events",
    ),
    "certificates of a chain": (
        lambda size: leaf_of_chain(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" * size),
        8,
        "dstack.certificate.chain",
    ),
    "chain": (
        lambda size: leaf_of_chain(
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".ljust(size, b"\n")
        ),
        1 << 20,
        "dstack.certificate.size",
    ),
    "extensions": (lambda size: parse_certificate(certificate(dict.fromkeys(range(100, 99 + size), b""))), 64,
                   "dstack.certificate.extensions"),
    "answer": (
        lambda size: from_get_quote(b'{"quote":"","event_log":""}'.rjust(size)),
        4 << 20,
        "json.oversized",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("work", "most", "expected"), BOUNDS.values(), ids=BOUNDS)
def test_bounds(work, most, expected):
    work(most)
    assert code(work, most + 1) == expected


@pytest.mark.parametrize(
    ("size", "sentence"), [(16384, "version 3"), (16385, "more than 16384 bytes")], ids=["fits", "too long"]
)
def test_the_bound_of_a_measurement(size, sentence):
    with pytest.raises(EvidenceError, match=sentence):
        a_measurement(size)


# -- MessagePack and SCALE

SIZES = [0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65535, 65536]
NUMBERS = [value for width in (7, 8, 16, 32, 64) for value in (2**width - 1, 2**width)][:-1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, str, list, dict])
def test_messagepack_at_the_borders_of_its_forms(kind, size):
    values = {
        bytes: bytes(size),
        str: "x" * size,
        list: [0] * size,
        dict: {f"{index:x}": None for index in range(size)},
    }
    assert msgpack.unpack(pack(values[kind])) == values[kind]


@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_at_the_borders_of_their_forms(value):
    assert msgpack.unpack(pack(value)) == value
    for first, width in ((0xCC, 1), (0xCD, 2), (0xCE, 4), (0xCF, 8)):
        longer = bytes([first]) + value.to_bytes(8, "big")[-width:]
        if value < 1 << 8 * width and longer != pack(value):
            assert code(msgpack.unpack, longer) == "dstack.msgpack"


LONG = [
    (0xC5, 2, 256),
    (0xC6, 4, 65536),
    (0xD9, 1, 32),
    (0xDA, 2, 256),
    (0xDB, 4, 65536),
    (0xDC, 2, 16),
    (0xDD, 4, 65536),
    (0xDE, 2, 16),
    (0xDF, 4, 65536),
]


@pytest.mark.parametrize(("first", "width", "least"), LONG)
def test_forms_that_are_too_long_for_their_size(first, width, least):
    members = b"".join(pack(f"{index:05x}") + b"\0" for index in range(least - 1))
    content = members if first >= 0xDE else bytes(least - 1)
    with pytest.raises(EvidenceError, match="shortest"):
        msgpack.unpack(bytes([first]) + (least - 1).to_bytes(width, "big") + content)


def test_messagepack_is_as_deep_as_dstack_writes_it():
    assert msgpack.unpack(b"\x91" * 8 + b"\0") == [[[[[[[[0]]]]]]]]
    assert msgpack.unpack(b"\x91" * 7 + b"\x81\xa1x\0") == [[[[[[[{"x": 0}]]]]]]]
    for data in (b"\x91" * 9 + b"\0", b"\x91" * 8 + b"\x81\xa1x\0"):
        with pytest.raises(EvidenceError, match="deeply"):
            msgpack.unpack(data)


def test_counts_are_compared_with_what_is_left():
    assert msgpack.unpack(b"\x93\0\0\0") == [0, 0, 0]
    for data in (b"\x93\0\0", b"\x82\xa0\0\xa1", b"\xc4\x02x", b"\xa2x"):
        with pytest.raises(EvidenceError, match="cut short"):
            msgpack.unpack(data)


@pytest.mark.parametrize("value", [0, 63, 64, 16383, 16384, (1 << 30) - 1])
def test_compact_numbers_at_the_borders_of_their_forms(value):
    assert ScaleReader(compact(value)).compact() == value


@pytest.mark.parametrize("data", [b"\x01\x00", b"\xfd\x00", b"\x02\x00\x00\x00", b"\xfe\xff\x00\x00"])
def test_compact_numbers_that_are_longer_than_they_need(data):
    with pytest.raises(EvidenceError, match="shortest"):
        ScaleReader(data).compact()


def test_scale_by_hand():
    reader = ScaleReader(b"\x01\x02\x03\x04\x05\x08ab\x04c")
    assert (reader.byte(), reader.u32(), reader.vector(), reader.text()) == (1, 0x05040302, b"ab", "c")
    reader.finish()


# -- system events

SIZED = {
    "system-preparing": {0},
    "rootfs-hash": {32},
    "app-id": {20},
    "compose-hash": {32},
    "init-script-hash": {32},
    "gpu-policy-hash": {32},
    "instance-id": {0, 20},
    "boot-mr-done": {0},
    "mr-kms": {32},
    "os-image-hash": {32},
    "system-ready": {0},
}


@pytest.mark.parametrize("name", SIZED)
def test_sizes_of_payloads(name):
    for size in (0, 1, 19, 20, 21, 31, 32, 33, 48):
        system = [event for event in system_events() if event.name != name] + [runtime(name, bytes(size))]
        if size in SIZED[name]:
            read_system_events(system)
        else:
            assert code(read_system_events, system) == "dstack.events.payload"


def test_what_system_events_say():
    scripts = [runtime("init-script-hash", b"1" * 32), runtime("init-script-hash", b"2" * 32)]
    extra = {"rootfs-hash": b"3" * 32, "mr-kms": b"4" * 32, "gpu-policy-hash": b"5" * 32}
    others = [runtime(name, payload) for name, payload in extra.items()]
    found = read_system_events([*system_events(), *scripts, *others])
    assert (found.rootfs_hash, found.mr_kms, found.gpu_policy_hash) == tuple(extra.values())
    assert found.init_script_hashes == (b"1" * 32, b"2" * 32)
    assert (found.app_id, found.compose_hash) == (APP_ID, COMPOSE_HASH)
    assert (found.instance_id, found.os_image_hash) == (INSTANCE_ID, IMAGE_HASH)
    assert (found.key_provider_payload, found.storage_fs) == (PROVIDER, "zfs")
    without = [event for event in system_events() if event.name not in ("storage-fs", "os-image-hash")]
    bare = read_system_events(without)
    assert (bare.storage_fs, bare.os_image_hash, bare.rootfs_hash, bare.mr_kms) == (None,) * 4
    assert (bare.gpu_policy_hash, bare.init_script_hashes) == (None, ())


def test_kinds_of_key_providers():
    for name, kind in {"none": 0, "local-sgx": 1, "kms": 2, "tpm": 3}.items():
        found = parse_key_provider(json.dumps({"name": name, "id": "0a"}).encode())
        assert (found.name, found.kind, found.id) == (name, kind, b"\n")


def test_names_are_escaped_before_they_are_shown():
    with pytest.raises(EvidenceError, match=r"'\\x1b\[2J'") as caught:
        order.check_order([runtime("\x1b[2J")])
    assert caught.value.code == "dstack.events.unknown"


@pytest.mark.parametrize(
    "work",
    [
        lambda: order.check_unique([runtime("app-id"), runtime("app-id")], []),
        lambda: order.check_unique([], [runtime("app-id")]),
        lambda: order.check_order([runtime("compose-hash"), runtime("app-id")]),
    ],
)
def test_the_event_that_is_wrong_is_named(work):
    with pytest.raises(EvidenceError, match="'app-id'"):
        work()


# -- configurations


@pytest.mark.parametrize(
    ("word", "provider"), [("none", "none"), ("local", "local-sgx"), ("kms", "kms"), ("tpm", "tpm")]
)
def test_a_document_names_the_kind_of_key_provider(word, provider):
    document = json.dumps({"compose_hash": COMPOSE_HASH.hex(), "key_provider": word}).encode()
    system = replace(SYSTEM, key_provider=KeyProvider(provider, PROVIDER_ID))
    config_id.check_committed(config_id.value_v3(document), ConfigForm.V3, system, document)
    register = config_id.value_v2(COMPOSE_HASH, APP_ID, system.key_provider.kind, PROVIDER_ID)
    config_id.check_committed(register, ConfigForm.V2, system, None)


def test_registers_by_hand():
    register = config_id.value_v2(b"\1" * 32, b"\2" * 20, ProviderKind.KMS, b"\3")
    assert register == b"\2" + keccak256(b"\1" * 32 + b"\2" * 20 + b"\2" + b"\3") + bytes(15)
    assert config_id.value_v1(b"\1" * 32) == b"\1" * 33 + bytes(15)


@pytest.mark.parametrize(
    ("member", "value"), [("os_image_hash", "XX"), ("memory_size", -1), ("image", 5), ("mr_config", 5)]
)
def test_the_member_that_is_wrong_is_named(member, value):
    with pytest.raises(EvidenceError, match=member):
        parse_vm_config(json.dumps({member: value}).encode())


def test_a_configuration_is_read_whole():
    said = {"image": "i", "os_image_hash": "0a", "memory_size": 7, "tdx_measurement": [1], "mr_config": "{}"}
    found = parse_vm_config(json.dumps(said).encode())
    assert (found.image, found.os_image_hash, found.memory_bytes) == ("i", b"\n", 7)
    assert (found.measurement, found.mr_config) == ([1], b"{}")
    empty = parse_vm_config(b'{"image":"","os_image_hash":"","mr_config":""}')
    assert (empty.image, empty.os_image_hash, empty.memory_bytes) == (None, None, None)
    assert (empty.measurement, empty.mr_config) == (None, None)


def test_a_machine_without_memory():
    assert parse_vm_config(b'{"memory_size":0}').memory_bytes == 0


def test_a_configuration_document_stands_in_either_configuration():
    inner = json.dumps({"mr_config": "inner"})
    assert parse_vm_config(json.dumps({"vm_config": inner}).encode()).mr_config == b"inner"
    both = json.dumps({"vm_config": inner, "mr_config": "outer"}).encode()
    assert parse_vm_config(both).mr_config == b"outer"


@pytest.mark.parametrize("member", ["event_log", "vm_config"])
def test_the_member_of_an_answer_that_is_wrong_is_named(member):
    answer = {"quote": "00", "event_log": "[]", "vm_config": "{}"} | {member: "\ud800"}
    with pytest.raises(EvidenceError, match=f"Member {member} "):
        from_get_quote(json.dumps(answer).encode())


@pytest.mark.parametrize("member", ["tcb_info", "app_cert"])
def test_the_member_of_info_that_is_wrong_is_named(member):
    answer = {"tcb_info": '{"event_log":[]}', "app_cert": ""} | {member: "\ud800"}
    with pytest.raises(EvidenceError, match=f"Member {member} "):
        from_info(json.dumps(answer).encode())


def test_an_image_lists_all_its_files():
    listed = checksums(measurement_tdx_cbor=measurement(), metadata_json=b"{}", bzImage=b"kernel")
    found = os_image.parse_document(json.loads(image_config(listed=listed))["tdx_measurement"])
    assert list(found.files) == ["measurement.tdx.cbor", "metadata.json", "bzImage"]
    assert found.ovmf == "pre202505"


# -- what a mutation run found untested


def test_an_attestation_of_too_many_events():
    event = {"imr": 0, "event_type": 4, "digest": bytes(48), "event": "", "event_payload": b""}
    document = version_1(b"", [])
    document["platform"]["data"]["event_log"] = [event] * 4097
    assert code(parse_attestation, pack(document)) == "dstack.log.events"


def test_a_preimage_of_an_attestation_that_is_no_hexadecimal():
    document = version_1(b"", system_events(version=2))
    document["platform"]["data"]["event_log"][0]["preimage"] = "zz"
    assert code(parse_attestation, pack(document)) == "dstack.log.preimage"


@pytest.mark.parametrize("name", ["app_id", "instance_id", "mr_aggregated", "compose_hash"])
def test_an_answer_that_states_two_values(name):
    leaf = pem.encode(certificate({Extension.QUOTE: b"quote"})).decode()
    for value, expected in (("00", ""), ("01", "dstack.answer.contradiction")):
        tcb = json.dumps({"event_log": [], name: "00"})
        answer = json.dumps({"tcb_info": tcb, "app_cert": leaf, name: value}).encode()
        if expected:
            assert code(from_info, answer) == expected
        else:
            assert from_info(answer).stated == {name: b"\0"}


def test_the_configuration_of_info_that_is_wrong_is_named():
    leaf = pem.encode(certificate({Extension.QUOTE: b"quote"})).decode()
    answer = {"tcb_info": '{"event_log":[]}', "app_cert": leaf, "vm_config": "\ud800"}
    with pytest.raises(EvidenceError, match="Member vm_config "):
        from_info(json.dumps(answer).encode())


def test_only_zeros_fill_a_key_attestation_up():
    text = "dip1::ed25519-pk:endsWithX"
    assert read_key_attestation(key_attestation(text)) == text


def block(kind: int, start: int, size: int) -> bytes:
    head = b"\x03\0" + (48).to_bytes(2, "little") + bytes(4) + bytes(16) + bytes([kind]) + bytes(3)
    return head + (7).to_bytes(4, "little") + start.to_bytes(8, "little") + size.to_bytes(8, "little")


@pytest.mark.parametrize(
    ("memory", "rest"),
    [
        (0xAFFFF000, [(0x900000, 0xAFFFF000 - 0x900000)]),
        (0xB0000000, [(0x900000, 0x80000000 - 0x900000), (1 << 32, 0x30000000)]),
        (1 << 40, [(0x900000, 0x80000000 - 0x900000), (1 << 32, (1 << 40) - 0x80000000)]),
    ],
)
def test_the_hand_off_blocks_by_hand(memory, rest):
    """One range from 8 to 9 MiB, the list on its second page."""
    witness = numbers(0x800, 1, 1, 0, 0x100)
    blocks = block(7, 0, 0x800000) + block(0, 0x800000, 0x100000)
    blocks += b"".join(block(7, start, size) for start, size in rest)
    end = 0x801000 + 56 + len(blocks) + 8
    head = b"\x01\0" + (56).to_bytes(2, "little") + bytes(4) + (9).to_bytes(4, "little") + bytes(36)
    expected = hashlib.sha384(head + end.to_bytes(8, "little") + blocks).digest()
    assert td_hob_digest(witness, memory) == expected


def test_hand_off_blocks_behind_two_gigabytes():
    """Ranges that end above 2 GiB leave nothing below it to accept."""
    witness = numbers(0x800, 1, 1, 0, 0x100)
    high = b"\x80\x80\x20" + numbers(1, 1, 0, 0x100)
    assert td_hob_digest(high, 4 << 30) != td_hob_digest(witness, 4 << 30)


def test_compact_numbers_of_the_fourth_form_are_no_lengths():
    with pytest.raises(EvidenceError, match="too large"):
        ScaleReader(b"\x03\xff\xff\xff").compact()


def test_messagepack_text_that_is_no_unicode():
    assert code(msgpack.unpack, b"\xa1\xff") == "dstack.msgpack"


def test_a_digest_that_is_no_hexadecimal():
    event = json.loads(log_json([runtime("n")]))[0] | {"digest": "zz"}
    assert code(parse_event_log, json.dumps([event]).encode()) == "dstack.log.digest"


@pytest.mark.parametrize("member", ["key_provider_info", "vm_config"])
def test_the_code_of_a_member_of_info_that_is_no_text(member):
    leaf = pem.encode(certificate({Extension.QUOTE: b"quote"})).decode()
    answer = {"tcb_info": '{"event_log":[]}', "app_cert": leaf, member: 5}
    assert code(from_info, json.dumps(answer).encode()) == "dstack.answer.member"


def test_every_register_that_an_answer_states_is_read():
    leaf = pem.encode(certificate({Extension.QUOTE: b"quote"})).decode()
    said = {"mrtd": "00", "rtmr0": "01", "rtmr1": "02", "rtmr2": "03", "rtmr3": "04"}
    answer = {"tcb_info": json.dumps({"event_log": [], **said}), "app_cert": leaf}
    found = from_info(json.dumps(answer).encode()).stated
    assert found == {"mr_td": b"\0", "rtmr0": b"\1", "rtmr1": b"\2", "rtmr2": b"\3", "rtmr3": b"\4"}


def test_nothing_follows_the_extensions_of_a_certificate():
    der = certificate({Extension.QUOTE: b"quote"})
    outer = DerReader(der).enter()
    signed = outer.value(SEQUENCE)
    rest = der[-(outer.end - outer.pos) :]
    at = signed.rindex(b"\xa3")
    longer = signed[:at] + b"\xa3" + bytes([signed[at + 1] + 2]) + signed[at + 2 :] + b"\x05\x00"
    assert signed[at + 1] < 0x7E
    content = encode(SEQUENCE, longer) + rest
    assert code(parse_certificate, encode(SEQUENCE, content)) == "der.malformed"
    assert parse_certificate(encode(SEQUENCE, encode(SEQUENCE, signed) + rest)).extensions


def test_a_document_that_says_everything():
    said = {
        "version": 3,
        "app_id": APP_ID.hex(),
        "compose_hash": COMPOSE_HASH.hex(),
        "gpu_policy_hash": None,
        "key_provider": "kms",
        "key_provider_id": PROVIDER_ID.hex(),
        "instance_id": INSTANCE_ID.hex(),
        "init_script_hashes": [],
    }
    text = json.dumps(said).encode()
    config_id.check_committed(config_id.value_v3(text), ConfigForm.V3, SYSTEM, text)


def test_numbers_of_a_witness_are_bounded():
    """The page of the list is compared with nothing, so its size alone bounds it."""
    page = b"\xff" * 12 + b"\x01"
    witness = numbers(0x800) + page + numbers(1, 0, 0x100)
    assert code(td_hob_digest, witness, 4 << 30) == "dstack.os_image.td_hob"


def test_expectations_that_leave_everything_open():
    open_ = Expectations.nothing("why")
    for name in ("app_id", "compose_hash", "instance_id", "key_provider", "os_images", "report_data"):
        assert getattr(open_, name) == Unchecked("why")


def test_the_application_s_register_is_never_left_open():
    assert checks.REPLAY[3].id == "dstack.log.replay.rtmr3"
    assert checks.REPLAY[3].id not in checks.MAY_BE_OPEN
    assert {spec.id for spec in checks.REPLAY[:3]} < checks.MAY_BE_OPEN
