from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress

import pytest

from assay.errors import GuestError
from assay.guest.quoting import MAX_ANSWER_BYTES, MAX_QUOTE_BYTES, SocketDevice

GOOD = {"outblob": "cXVvdGU=", "auxblob": "", "generation": 3, "provider": "assay_simulator"}


class Other:
    """The other end: gives one answer to one request; one that gives none is not waited for as long."""

    def __init__(self, answer: bytes | None) -> None:
        self.near, self.far = socket.socketpair()
        self.timeout = 30.0 if answer is not None else 0.5
        self.requests = []
        self.thread = threading.Thread(target=self._serve, args=(answer,))
        self.thread.start()

    def _serve(self, answer):
        with suppress(OSError), self.far, self.far.makefile("rb") as file:
            head = file.read(4)
            if len(head) == 4:
                self.requests.append(json.loads(file.read(struct.unpack(">I", head)[0])))
            if answer is None:
                file.read(1)
            else:
                self.far.sendall(answer)

    def __enter__(self):
        self.device = SocketDevice(self.near, timeout=self.timeout)
        return self

    def __exit__(self, *_):
        self.device.close()
        self.thread.join()


def framed(answer) -> bytes:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return struct.pack(">I", len(body)) + body


def code_of(call, *arguments):
    with pytest.raises(GuestError) as found:
        call(*arguments)
    return found.value.code


def test_a_quote():
    with Other(framed(GOOD)) as other:
        quote = other.device.quote(b"d" * 64)
        assert (quote.outblob, quote.auxblob, quote.generation) == (b"quote", b"", 3)
        assert other.requests == [{"op": "quote", "inblob": "64" * 64}]


def test_an_extension():
    with Other(framed({})) as other:
        other.device.extend(3, b"e" * 48)
        assert other.requests == [{"op": "extend", "index": 3, "digest": "65" * 48}]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (framed({"error": "device.x", "message": "m"}), "refused"),
        (framed({}), "malformed"),
        (framed({**GOOD, "outblob": "!"}), "malformed"),
        (framed({**GOOD, "outblob": ""}), "malformed"),
        (framed({**GOOD, "outblob": None}), "malformed"),
        (framed({**GOOD, "generation": "x"}), "malformed"),
        (framed({**GOOD, "outblob": "QUFB" * (MAX_QUOTE_BYTES // 3 + 1)}), "malformed"),
        (framed([]), "malformed"),
        (framed(b"no json"), "malformed"),
        (framed(b"[" * 100_000), "malformed"),
        (struct.pack(">I", MAX_ANSWER_BYTES + 1), "malformed"),
        (b"", "silent"),
        (b"\0\0", "silent"),
        (struct.pack(">I", 10) + b"short", "silent"),
        (None, "silent"),
    ],
)
def test_answers_that_are_none(answer, code):
    with Other(answer) as other:
        assert code_of(other.device.quote, b"d" * 64) == f"guest.quoting.{code}"


def test_inputs_of_another_size_are_never_sent():
    with Other(framed({})) as other:
        assert code_of(other.device.quote, b"d") == "guest.quoting.input"
        assert code_of(other.device.extend, 3, b"e") == "guest.quoting.input"
        assert not other.device.gone()


def test_after_a_late_answer_the_device_is_gone():
    """Its answer would be taken for the next one's."""
    with Other(None) as other:
        assert code_of(other.device.quote, b"d" * 64) == "guest.quoting.silent"
        assert other.device.gone()
        assert code_of(other.device.quote, b"d" * 64) == "guest.quoting.silent"


def test_a_device_whose_other_end_closed_is_gone():
    with Other(b"") as other:
        assert code_of(other.device.quote, b"d" * 64) == "guest.quoting.silent"
        assert other.device.gone()
