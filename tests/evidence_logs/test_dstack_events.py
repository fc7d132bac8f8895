"""dstack's events: their digests, their JSON, their order."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import EvidenceError
from assay.evidence.dstack import DstackEvent, order, parse_event_log
from assay.evidence.dstack.eventjson import MAX_LOG_BYTES, read_events
from assay.evidence.dstack.events import MAX_EVENTS, canonical_json
from assay.evidence.dstack.keccak import _sponge, keccak256
from assay.evidence.dstack.system import read_system_events
from support import vectors
from support.dstack_guest import event_json, log_json, runtime, system_events

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=":"), max_size=60)
TRUE_EVENTS = st.lists(
    st.builds(runtime, NAMES, st.binary(max_size=80), version=st.sampled_from([1, 2]))
    | st.builds(
        DstackEvent,
        register=st.integers(0, 2),
        kind=st.integers(0, 0x07FFFFFF),
        name=st.sampled_from(["", "acpi-loader"]),
        payload=st.binary(max_size=20),
        digest=st.binary(min_size=48, max_size=48),
    ),
    max_size=8,
)


def code(work, *arguments, **named) -> str:
    with pytest.raises(EvidenceError) as caught:
        work(*arguments, **named)
    return caught.value.code


# -- digests


def test_version_1_digest():
    event = runtime("app-id", b"\xde\xad")
    assert event.digest == hashlib.sha384(b"\x01\x00\x00\x08:app-id:\xde\xad").digest()
    assert event.recomputed_digest() == event.digest


def test_version_2_digest():
    event = runtime("compose-hash", b"\xab\xcd", version=2)
    assert event.preimage == b'{"name":"compose-hash","payload":"abcd","type":134217729}'
    assert event.recomputed_digest() == event.digest == hashlib.sha384(event.preimage).digest()


@given(
    NAMES | st.text(max_size=3, alphabet='"\\/\b\f\n\r\t\x00\x1f\x7f\u2028\ud7ff\U0001f980:'),
    st.binary(max_size=9),
)
def test_canonical_json_is_rfc_8785(name, payload):
    document = {"name": name, "payload": payload.hex(), "type": 0x08000001}
    assert canonical_json(name, payload) == rfc8785.dumps(document)


def test_a_stripped_digest_is_recomputed():
    event = runtime("app-id", b"\xde\xad")
    assert replace(event, digest=b"").recomputed_digest() == event.digest


FALSE = {
    "another payload": (replace(runtime("app-id", b"1"), payload=b"2"), "dstack.event.digest"),
    "another name": (replace(runtime("app-id", b"1"), name="app-ie"), "dstack.event.digest"),
    "another digest": (replace(runtime("app-id", b"1"), digest=bytes(48)), "dstack.event.digest"),
    "version 1 shown as 2": (replace(runtime("a"), version=2), "dstack.event.preimage_missing"),
    "version 2 shown as 1": (replace(runtime("a", version=2), version=1), "dstack.event.preimage"),
    "preimage of another event": (
        replace(runtime("a", version=2), preimage=canonical_json("b", b"")),
        "dstack.event.preimage",
    ),
    "preimage that is not canonical": (
        replace(runtime("a", version=2), preimage=b'{"type":134217729,"name":"a","payload":""}'),
        "dstack.event.preimage",
    ),
    "version 1 with a false preimage": (replace(runtime("a"), preimage=b"x"), "dstack.event.preimage"),
    "version 1 name with a colon": (
        DstackEvent(3, 0x08000001, "app-id:x", b"", b""),
        "dstack.event.name",
    ),
}


@pytest.mark.parametrize(("event", "expected"), FALSE.values(), ids=FALSE)
def test_an_event_that_contradicts_itself(event, expected):
    assert code(event.recomputed_digest) == expected


def test_a_colon_cannot_move_the_border_between_name_and_payload():
    real = runtime("compose-hash", b"x:payload")
    forged = DstackEvent(3, 0x08000001, "compose-hash:x", b"payload", real.digest)
    assert code(forged.recomputed_digest) == "dstack.event.name"


# -- JSON


@given(TRUE_EVENTS)
def test_a_log_is_read_as_it_was_written(events):
    assert list(parse_event_log(log_json(events))) == events


def changed(**members):
    return json.dumps([{**event_json(runtime("app-id", b"\1")), **members}]).encode()


def without(name):
    event = event_json(runtime("app-id", b"\1"))
    del event[name]
    return json.dumps([event]).encode()


MALFORMED = {
    "not JSON": (b"[", "json.malformed"),
    "an object": (b"{}", "dstack.log.type"),
    "null": (b"null", "dstack.log.type"),
    "a member twice": (b'[{"imr":0,"imr":1}]', "json.duplicate_member"),
    "an event that is a list": (b"[[]]", "dstack.log.member"),
    "without register": (without("imr"), "dstack.log.member"),
    "without payload": (without("event_payload"), "dstack.log.member"),
    "unknown member": (changed(extra=1), "dstack.log.member"),
    "register 4": (changed(imr=4), "dstack.log.register"),
    "register -1": (changed(imr=-1), "dstack.log.register"),
    "register true": (changed(imr=True), "dstack.log.register"),
    "register as text": (changed(imr="3"), "dstack.log.register"),
    "register 3.0": (changed(imr=3.0), "dstack.log.register"),
    "type as text": (changed(event_type="4"), "dstack.log.type"),
    "negative type": (changed(event_type=-1), "dstack.log.type"),
    "type of 33 bits": (changed(event_type=1 << 32), "dstack.log.type"),
    "name that is a number": (changed(event=5), "dstack.log.name"),
    "name that is half a character": (changed(event="\ud800"), "dstack.log.name"),
    "name of 257 bytes": (changed(event="é" * 128 + "x"), "dstack.log.name"),
    "payload in capitals": (changed(event_payload="AB"), "dstack.log.payload"),
    "payload with a space": (changed(event_payload="ab cd"), "dstack.log.payload"),
    "payload of half a byte": (changed(event_payload="abc"), "dstack.log.payload"),
    "payload of other digits": (changed(event_payload="\u0660\u0660"), "dstack.log.payload"),
    "payload that is too long": (changed(event_payload="00" * (64 * 1024 + 1)), "dstack.log.payload"),
    "digest of 47 bytes": (changed(digest="00" * 47), "dstack.log.digest"),
    "boot event without digest": (changed(event_type=4, digest=""), "dstack.log.digest"),
    "version 3": (changed(version=3), "dstack.log.version"),
    "version as text": (changed(version="2"), "dstack.log.version"),
    "preimage that is no hexadecimal": (changed(preimage="zz"), "dstack.log.preimage"),
    "too many events": (b"[" + b",".join([b"0"] * (MAX_EVENTS + 1)) + b"]", "dstack.log.events"),
    "too large": (b" " * MAX_LOG_BYTES + b"[]", "json.oversized"),
    "nested deeply": (b"[" * 20000 + b"]" * 20000, "json.oversized"),
}


@pytest.mark.parametrize(("data", "expected"), MALFORMED.values(), ids=MALFORMED)
def test_a_log_that_is_none(data, expected):
    assert code(parse_event_log, data) == expected


def test_a_digest_may_be_left_out_of_a_runtime_event():
    assert parse_event_log(without("digest"))[0].digest == b""


# -- order


def names(*found):
    return [runtime(name, *rest) for name, *rest in found]


def test_real_orders_of_every_known_version_are_accepted():
    logs = {
        "dstack/near-mpc/tcb_info.json": "event_log",
        "dstack/dstack-examples/attestation_rtmr3-based_report.json": "event_log",
        "dstack/dstack-main/dstack_verifier_fixtures_quote-report.json": "event_log",
        "dstack/dstack-history/sdk_simulator_eventlog.json": None,
    }
    for file, member in logs.items():
        document = json.loads(vectors.read(file))
        values = document[member] if member else document
        events = read_events(json.loads(values) if isinstance(values, str) else values)
        order.check_registers(events)
        system, later = order.split_at_ready(event for event in events if event.runtime)
        order.check_unique(system, later)
        order.check_order(system)
        read_system_events(system)


def test_an_order_with_everything_in_it():
    system = [runtime(name, b"") for name in order.RANKS]
    at = [event.name for event in system].index("init-script-hash")
    order.check_unique([*system[:at], system[at], *system[at:]], [runtime("mine")])
    order.check_order([*system[:at], system[at], *system[at:]])


def test_opaque_events_in_rtmr3():
    events = [DstackEvent(3, 6, "", b"", bytes(48)), *system_events()]
    assert code(order.check_registers, events) == "dstack.event.opaque"


def test_runtime_events_outside_rtmr3():
    assert code(order.check_registers, [replace(runtime("a"), register=2)]) == "dstack.event.register"


@pytest.mark.parametrize("name", sorted(set(order.RANKS) - order.REPEATED))
def test_no_system_event_twice(name):
    system = names((name,), (name,))
    assert code(order.check_unique, system, []) == "dstack.events.duplicate"


@pytest.mark.parametrize("name", sorted(order.RANKS))
def test_no_system_name_behind_ready(name):
    assert code(order.check_unique, [], names((name,))) == "dstack.events.after_ready"


@pytest.mark.parametrize("name", sorted(order.REQUIRED))
def test_required_events(name):
    system = [event for event in system_events() if event.name != name]
    expected = "dstack.key_provider.missing" if name == "key-provider" else "dstack.events.missing"
    assert code(order.check_order, system) == expected


@pytest.mark.parametrize("name", ["App-Id", "app-id\0", " app-id", "app-id ", "app\u2010id", "", "appid"])
def test_names_that_look_like_dstacks_are_unknown(name):
    assert code(order.check_order, [*system_events()[:-1], runtime(name)]) == "dstack.events.unknown"


@given(st.permutations(range(9)))
def test_only_one_order_is_right(permutation):
    system = system_events()
    shuffled = [system[index] for index in permutation]
    if shuffled == system:
        order.check_order(shuffled)
    else:
        assert code(order.check_order, shuffled) == "dstack.events.order"


def test_a_log_without_ready_is_all_system():
    system, later = order.split_at_ready(system_events()[:-1])
    assert (len(system), later) == (8, [])


PAYLOADS = {
    "app id of 21 bytes": ({"app_id": bytes(21)}, "dstack.events.payload"),
    "empty app id": ({"app_id": b""}, "dstack.events.payload"),
    "compose hash of 31 bytes": ({"compose_hash": bytes(31)}, "dstack.events.payload"),
    "instance id of 19 bytes": ({"instance_id": bytes(19)}, "dstack.events.payload"),
    "something in system-ready": ({"system_ready": b"x"}, "dstack.events.payload"),
    "storage that is no word": ({"storage_fs": b"z fs"}, "dstack.events.payload"),
    "key provider that is no JSON": ({"key_provider": b"kms"}, "json.malformed"),
    "key provider that is a list": ({"key_provider": b"[]"}, "json.type"),
    "key provider with a third member": (
        {"key_provider": b'{"name":"kms","id":"","x":1}'},
        "dstack.key_provider.malformed",
    ),
    "key provider with two names": (
        {"key_provider": b'{"name":"none","name":"kms","id":""}'},
        "json.duplicate_member",
    ),
    "key provider of no kind": ({"key_provider": b'{"name":"KMS","id":""}'}, "dstack.key_provider.malformed"),
    "key provider whose name is a list": (
        {"key_provider": b'{"name":[],"id":""}'},
        "dstack.key_provider.malformed",
    ),
    "key provider whose id is no hexadecimal": (
        {"key_provider": b'{"name":"kms","id":"0x"}'},
        "dstack.key_provider.malformed",
    ),
}


@pytest.mark.parametrize(("payloads", "expected"), PAYLOADS.values(), ids=PAYLOADS)
def test_payloads_of_system_events(payloads, expected):
    assert code(read_system_events, system_events(**payloads)) == expected


def test_an_instance_id_may_be_empty():
    assert read_system_events(system_events(instance_id=b"")).instance_id == b""


# -- Keccak


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"),
        (b"testing", "5f16f4c7f149ac4f9510d9cf8cf384038ad348b3bcdc01915f95de12df9d1b02"),
    ],
)
def test_keccak_known_answers(data, digest):
    assert keccak256(data).hex() == digest


@given(st.binary(max_size=600))
def test_the_sponge_is_that_of_sha3(data):
    assert _sponge(data, 0x06) == hashlib.sha3_256(data).digest()


@pytest.mark.parametrize("size", [0, 1, 134, 135, 136, 137, 271, 272, 273])
def test_the_sponge_at_the_borders_of_its_blocks(size):
    data = bytes(range(256))[:size] if size <= 256 else bytes(size)
    assert _sponge(data, 0x06) == hashlib.sha3_256(data).digest()
