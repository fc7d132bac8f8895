from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.channel.hello import Hello
from assay.channel.launch import LaunchConfig
from assay.channel.owner import OwnerKey
from assay.errors import ChannelError

OWNER = OwnerKey.create()
CONFIG = LaunchConfig("lease-1", OWNER.spki, 60, 60)


def hello(**changes):
    values = {"lease": "lease-1", "platform": "tdx", "nonce": b"n" * 32, "manifest": b"m" * 32, **changes}
    return Hello.signed(values.pop("owner", OWNER), **values)


def refusal(made, config=CONFIG):
    with pytest.raises(ChannelError) as found:
        made.require_from_owner(config)
    return found.value.code


def test_an_owners_hello_is_accepted_as_it_was_sent():
    made = hello()
    assert Hello.decode(made.encode()) == made
    made.require_from_owner(CONFIG)


def test_each_defect_has_its_own_code():
    assert refusal(hello(lease="lease-2")) == "channel.hello.lease"
    assert refusal(hello(owner=OwnerKey.create())) == "channel.owner.foreign"
    assert refusal(replace(hello(), purpose="start")) == "channel.hello.purpose"
    assert refusal(resigned(certificate=b"\x30\x00")) == "channel.certificate.malformed"
    assert refusal(resigned(certificate=b"\x30" * 4000)) == "channel.certificate.malformed"
    assert refusal(resigned(certificate=OwnerKey.create().certificate())) == "channel.hello.certificate"


def resigned(**changes):
    made = replace(hello(), **changes)
    return replace(made, signature=OWNER.sign(made.signed_bytes()))


def test_a_certificate_with_a_key_of_an_unknown_kind_is_malformed():
    at = OWNER.certificate().index(bytes.fromhex("06072a8648ce3d0201"))
    changed = bytearray(OWNER.certificate())
    changed[at + 4] ^= 0x40
    assert refusal(resigned(certificate=bytes(changed))) == "channel.certificate.malformed"


@pytest.mark.parametrize("field", ["platform", "nonce", "manifest", "certificate", "signature"])
def test_the_signature_covers_every_field(field):
    made = hello()
    value = getattr(made, field)
    other = "sgx" if field == "platform" else bytes([value[0] ^ 1]) + value[1:]
    assert refusal(replace(made, **{field: other})) == "channel.hello.signature"


def test_a_foreign_signature_under_the_owners_certificate_is_refused():
    stranger = OwnerKey.create()
    made = hello()
    forged = replace(made, signature=stranger.sign(made.signed_bytes()))
    assert refusal(forged) == "channel.hello.signature"


def test_the_owners_signature_under_another_certificate_of_its_key_is_accepted_only_if_signed():
    again = OwnerKey.from_pem(OWNER.pem())
    assert again.certificate() != OWNER.certificate()
    assert refusal(replace(hello(), certificate=again.certificate())) == "channel.hello.signature"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(ChannelError) as found:
        Hello.decode(data)
    assert found.value.code == "channel.message.malformed"


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_hello_never_passes(position, difference):
    data = bytearray(hello().encode())
    data[position % len(data)] ^= difference
    try:
        made = Hello.decode(bytes(data))
        made.require_from_owner(CONFIG)
    except ChannelError:
        return
    raise AssertionError("a changed HELLO was accepted")


def test_names_that_are_not_ascii_are_refused():
    from assay.channel.frames import pack_slots

    slots = [b"assay/hello/v1", b"admission", b"l\xff", b"tdx", b"n" * 32, b"m" * 32, b"k", b"c", b"s"]
    with pytest.raises(ChannelError) as found:
        Hello.decode(pack_slots(slots))
    assert found.value.code == "channel.message.malformed"
