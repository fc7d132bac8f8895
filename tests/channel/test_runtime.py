from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.channel.runtime import (
    MAX_EVENTS,
    RuntimeEvent,
    decode_events,
    encode_events,
    events_of_start,
    replay,
)
from assay.errors import ChannelError

EVENTS = st.lists(
    st.one_of(
        st.builds(RuntimeEvent, st.sampled_from(["manifest", "bundle"]), st.binary(min_size=32, max_size=32)),
        st.builds(RuntimeEvent, st.just("isolation"), st.binary(min_size=1, max_size=32)),
    ),
    max_size=12,
).map(tuple)


@given(EVENTS)
def test_events_come_back_as_they_were(events):
    assert decode_events(encode_events(events)) == events


def test_the_replay_is_the_register_that_the_hardware_would_hold():
    events = events_of_start("none", b"m" * 32, b"b" * 32)
    value = bytes(48)
    for name, payload in ((b"isolation", b"none"), (b"manifest", b"m" * 32), (b"bundle", b"b" * 32)):
        digest = hashlib.sha384(b"assay/rtmr3/" + name + b"\0" + payload).digest()
        value = hashlib.sha384(value + digest).digest()
    assert replay(events) == value
    assert replay(()) == bytes(48)


@given(EVENTS, EVENTS)
def test_different_histories_have_different_registers(one, other):
    assert (replay(one) == replay(other)) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        lambda item: item.update(digest="00" * 48),
        lambda item: item.update(payload=item["payload"].upper()),
        lambda item: item.update(register=2),
        lambda item: item.update(event="other"),
        lambda item: item.update(payload=""),
        lambda item: item.pop("digest"),
        lambda item: item.update(extra=1),
    ],
)
def test_a_list_in_any_other_form_is_refused(change):
    listed = json.loads(encode_events(events_of_start("none", b"\xab" * 32, b"b" * 32)))
    change(listed[1])
    with pytest.raises(ChannelError) as found:
        decode_events(json.dumps(listed, separators=(",", ":")).encode())
    assert found.value.code == "channel.message.malformed"


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[1]", b"[[]]", b"\xff", b"[" * 100_000])
def test_what_is_no_list_is_refused(data):
    with pytest.raises(ChannelError) as found:
        decode_events(data)
    assert found.value.code == "channel.message.malformed"


def test_a_list_that_is_too_long_is_refused():
    with pytest.raises(ChannelError) as found:
        decode_events(encode_events((RuntimeEvent("isolation", b"n"),) * (MAX_EVENTS + 1)))
    assert found.value.code == "channel.message.malformed"
