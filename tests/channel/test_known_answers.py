"""The published known answers, computed here a second time by code that shares nothing with the package."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.channel import runtime
from assay.channel.binding import Purpose, SessionBinding
from assay.channel.launch import LaunchConfig
from assay.errors import ChannelError

ANSWERS = json.loads((Path(__file__).parent / "known_answers.json").read_text())
TEXTS = ("purpose", "role", "platform", "lease")
ORDER = (
    *("purpose", "role", "platform", "nonce", "lease", "owner_key", "channel_key", "receipt_key"),
    *("ssh_host_key", "hpke_key", "manifest"),
)


def slot(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def raw(case, name):
    value = case["slots"][name]
    return value.encode() if name in TEXTS else bytes.fromhex(value)


@pytest.mark.parametrize("case", ANSWERS["bindings"], ids=lambda case: case["name"])
def test_the_binding_by_an_independent_encoder(case):
    encoding = slot(b"assay/binding/v1") + b"".join(slot(raw(case, name)) for name in ORDER)
    assert encoding.hex() == case["encoding"]
    assert hashlib.sha512(encoding).hexdigest() == case["report_data"]
    for carrier in ("tpm", "gpu"):
        assert hashlib.sha256(slot(carrier.encode()) + encoding).hexdigest() == case[carrier]
    token = hashlib.sha256(slot(b"eat_nonce") + encoding).digest()
    assert base64.urlsafe_b64encode(token).decode().rstrip("=") == case["eat_nonce"]


@pytest.mark.parametrize("case", ANSWERS["bindings"], ids=lambda case: case["name"])
def test_the_binding_by_the_package(case):
    slots = {name: raw(case, name) for name in ORDER}
    texts = {name: slots[name].decode() for name in TEXTS}
    binding = SessionBinding(**{**slots, **texts, "purpose": Purpose(texts["purpose"])})
    assert binding.encode().hex() == case["encoding"]
    assert binding.report_data().hex() == case["report_data"]
    assert binding.carried("tpm").hex() == case["tpm"]
    assert binding.carried("gpu").hex() == case["gpu"]
    assert binding.eat_nonce() == case["eat_nonce"]


def test_no_two_of_the_published_bindings_are_the_same():
    found = [case["report_data"] for case in ANSWERS["bindings"]]
    assert len(set(found)) == len(found) == 6


def test_the_launch_configuration():
    case = ANSWERS["launch"]
    config = LaunchConfig(
        case["lease"], bytes.fromhex(case["owner_key"]), case["ttl_seconds"], case["idle_seconds"]
    )
    parts = (b"assay/launch/v1", b"lease-0001", bytes.fromhex(case["owner_key"]))
    numbers = (case["ttl_seconds"], case["idle_seconds"])
    encoding = b"".join(map(slot, (*parts, *(number.to_bytes(8, "big") for number in numbers))))
    assert config.encode() == encoding == bytes.fromhex(case["encoding"])
    assert config.digest().hex() == hashlib.sha384(encoding).hexdigest() == case["mrconfigid"]
    assert LaunchConfig.decode(encoding) == config


def test_the_runtime_register():
    case = ANSWERS["runtime"]
    value = bytes(48)
    payloads = (case["isolation"].encode(), bytes.fromhex(case["manifest"]), bytes.fromhex(case["bundle"]))
    for name, payload, digest in zip(
        (b"isolation", b"manifest", b"bundle"), payloads, case["digests"], strict=True
    ):
        extended = hashlib.sha384(b"assay/rtmr3/" + name + b"\0" + payload).digest()
        assert extended.hex() == digest
        value = hashlib.sha384(value + extended).digest()
    assert value.hex() == case["rtmr3"]
    assert runtime.replay(runtime.events_of_start(case["isolation"], *payloads[1:])).hex() == case["rtmr3"]


@given(st.integers(0, 200), st.binary(max_size=3))
def test_a_launch_configuration_has_one_encoding(position, inserted):
    encoding = bytes.fromhex(ANSWERS["launch"]["encoding"])
    changed = encoding[:position] + inserted + encoding[position:]
    if changed == encoding:
        return
    with pytest.raises(ChannelError) as found:
        LaunchConfig.decode(changed)
    assert found.value.code == "channel.launch.malformed"


@pytest.mark.parametrize("name", ["nonce", "manifest"])
@pytest.mark.parametrize("size", [0, 31, 33])
def test_slots_of_fixed_size_have_it(name, size):
    slots = {key: raw(ANSWERS["bindings"][0], key) for key in ORDER}
    texts = {key: slots[key].decode() for key in TEXTS}
    values = {**slots, **texts, "purpose": Purpose.ADMISSION, name: bytes(size)}
    with pytest.raises(ChannelError) as found:
        SessionBinding(**values)
    assert found.value.code == "channel.binding.malformed"
