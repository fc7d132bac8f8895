from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.channel.frames import HEADER, Frame, Kind, pack_slots, read_frame, unpack_slots
from assay.errors import ChannelError


class Source:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked = 0

    def __call__(self, size: int) -> bytes:
        self.asked += size
        if size > len(self.data):
            raise ChannelError("channel.peer.closed", "end")
        taken, self.data = self.data[:size], self.data[size:]
        return taken


@given(st.sampled_from(Kind), st.binary(max_size=300))
def test_a_frame_comes_back_as_it_was(kind, body):
    source = Source(Frame(kind, body).encode() + b"next")
    assert read_frame(source, {kind: 300}) == Frame(kind, body)
    assert source.data == b"next"


@given(st.sampled_from(Kind), st.integers(1, 0xFFFFFFFF), st.integers(0, 1000))
def test_a_length_over_its_bound_is_refused_before_any_of_the_body_is_read(kind, length, most):
    source = Source(HEADER.pack(kind, length) + bytes(100))
    if length <= most:
        return
    with pytest.raises(ChannelError) as found:
        read_frame(source, {kind: most})
    assert found.value.code == "channel.frame.oversized"
    assert source.asked == HEADER.size


@given(st.integers(0, 255))
def test_a_type_that_has_no_place_is_refused(number):
    source = Source(HEADER.pack(number, 0))
    if number == Kind.HELLO:
        assert read_frame(source, {Kind.HELLO: 0}).kind is Kind.HELLO
        return
    with pytest.raises(ChannelError) as found:
        read_frame(source, {Kind.HELLO: 0})
    assert found.value.code == "channel.frame.unexpected"


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_slots_come_back_as_they_were(slots):
    assert unpack_slots(pack_slots(slots), [40] * len(slots)) == slots


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=4), st.data())
def test_one_encoding_of_slots_has_no_neighbours(slots, data):
    encoded = pack_slots(slots)
    bounds = [9] * len(slots)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"\0"):
        with pytest.raises(ChannelError) as found:
            unpack_slots(wrong, bounds)
        assert found.value.code == "channel.message.malformed"


def test_a_slot_over_its_bound_is_refused():
    with pytest.raises(ChannelError) as found:
        unpack_slots(pack_slots([b"12345"]), [4])
    assert found.value.code == "channel.message.malformed"


@given(st.binary(max_size=200), st.lists(st.integers(0, 50), max_size=8))
def test_arbitrary_bytes_are_slots_or_refused(data, bounds):
    with suppress(ChannelError):
        assert pack_slots(unpack_slots(data, bounds)) == data
