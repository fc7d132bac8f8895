from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.channel import messages
from assay.channel.messages import AttachRequest, Exit, RunRequest, Status
from assay.errors import ChannelError, GuestError

COUNT = st.integers(0, messages.MAX_INTEGER)
EXITS = st.builds(
    Exit,
    COUNT,
    st.sampled_from(["exited", "signalled", "time_limit"]),
    st.none() | st.integers(0, 255),
    st.none() | st.integers(1, 64),
    COUNT,
    COUNT,
)
STATUSES = st.builds(
    Status,
    st.sampled_from(["waiting", "running"]),
    COUNT,
    st.booleans(),
    COUNT,
    COUNT,
    COUNT,
    st.none() | EXITS,
)
RUNS = st.builds(
    RunRequest,
    st.dictionaries(st.text(max_size=8), st.binary(max_size=20), max_size=4),
    st.booleans(),
    st.integers(0, 1000),
    st.integers(0, 1000),
)
ATTACHES = st.builds(AttachRequest, COUNT, COUNT, st.booleans(), st.booleans())


@given(EXITS)
def test_exits_come_back(found):
    assert messages.decode_exit(messages.encode_exit(found)) == found


@given(STATUSES)
def test_statuses_come_back(found):
    assert messages.decode_status(messages.encode_status(found)) == found


@given(RUNS)
def test_run_requests_come_back_and_show_no_values(found):
    assert RunRequest.decode(found.encode()) == found
    assert "environment" not in repr(found)


@given(ATTACHES)
def test_attach_requests_come_back(found):
    assert AttachRequest.decode(found.encode()) == found


DECODERS = [
    messages.decode_exit,
    messages.decode_status,
    messages.decode_started,
    messages.decode_error,
    RunRequest.decode,
    AttachRequest.decode,
]


@pytest.mark.parametrize("decode", DECODERS)
@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_with_one_code(decode, data):
    with pytest.raises(ChannelError) as found:
        decode(data)
    assert found.value.code == "channel.message.malformed"


@pytest.mark.parametrize("decode", DECODERS)
@pytest.mark.parametrize("data", [b"{}", b"[]", b"null", b"1", b"[" * 50_000, b'{"sequence":true}'])
def test_other_json_is_refused_with_one_code(decode, data):
    with pytest.raises(ChannelError) as found:
        decode(data)
    assert found.value.code == "channel.message.malformed"


def test_numbers_are_bounded():
    good = Exit(1, "exited", 0, None, 0, 0)
    for wrong in (
        Exit(-1, "exited", 0, None, 0, 0),
        Exit(1, "exited", 256, None, 0, 0),
        Exit(1, "exited", 0, 128, 0, 0),
        Exit(1, "a b", 0, None, 0, 0),
        Exit(1, "exited", 0, None, 1 << 60, 0),
    ):
        with pytest.raises(ChannelError):
            messages.decode_exit(messages.encode_exit(wrong))
    assert messages.decode_exit(messages.encode_exit(good)) == good


def test_a_refusal_keeps_its_code_and_loses_its_control_characters():
    sent = messages.encode_error(GuestError("guest.phase.refused", "red \x1b[31m text\n"))
    found = messages.decode_error(sent)
    assert found.code == "guest.phase.refused"
    assert "\x1b" not in found.message
    assert "\n" not in found.message


@pytest.mark.parametrize("code", ["", "A.b", "a b", "a\n", "a" * 129, "ä.b"])
def test_a_code_that_is_none_is_replaced(code):
    import json

    found = messages.decode_error(json.dumps({"code": code, "message": "m"}).encode())
    assert found.code == "channel.peer.refused"


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (Exit(1, "exited", 7, None, 0, 0), 7),
        (Exit(1, "signalled", None, 9, 0, 0), 137),
        (Exit(1, "time_limit", None, 9, 0, 0), 124),
        (Exit(1, "memory_limit", None, 9, 0, 0), 137),
        (Exit(1, "not_found", 127, None, 0, 0), 127),
        (Exit(1, "output_limit", 0, None, 0, 0), 137),
        (Exit(1, "output_limit", 3, None, 0, 0), 3),
        (Exit(1, "signalled", 0, 9, 0, 0), 137),
        (Exit(1, "failed", None, None, 0, 0), 125),
    ],
)
def test_what_run_returns(ended, code):
    assert ended.exit_code == code
