"""A quoting device that signs nothing, for tests of everything but the evidence itself."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assay.channel import runtime
from assay.errors import GateError
from assay.guest.quoting import Quote

if TYPE_CHECKING:
    import socket

    from assay.channel.binding import SessionBinding
    from assay.channel.launch import LaunchConfig
    from assay.channel.offer import Offered

MAGIC = b"not a quote, for tests only"


@dataclass(frozen=True)
class Body:
    config: bytes
    register: bytes
    report_data: bytes

    def encode(self) -> bytes:
        return MAGIC + self.config + self.register + self.report_data

    @classmethod
    def decode(cls, data: bytes) -> Body:
        rest = data[len(MAGIC) :]
        return cls(rest[:48], rest[48:96], rest[96:160])


class FakeDevice:
    """Registers and quotes of one machine; may be made to fail or wait."""

    def __init__(self, config: LaunchConfig) -> None:
        self.config = config.digest()
        self.register = bytes(48)
        self.generation = 0
        self.lock = threading.Lock()
        self.before_quote = lambda: None
        self.report_data: bytes | None = None
        self.quotes = 0
        self.is_gone = False

    def quote(self, inblob: bytes) -> Quote:
        self.before_quote()
        with self.lock:
            self.generation += 1
            self.quotes += 1
            body = Body(self.config, self.register, self.report_data or inblob)
            return Quote(body.encode(), b"", self.generation, "assay_simulator")

    def extend(self, index: int, digest: bytes) -> None:
        assert index == 3
        with self.lock:
            self.register = hashlib.sha384(self.register + digest).digest()

    def gone(self) -> bool:
        return self.is_gone


def serve_device(device: FakeDevice, sock: socket.socket) -> threading.Thread:
    """Serve ``device`` on ``sock`` as the local provider's hardware does."""

    def answer(request: dict) -> dict:
        if request["op"] == "quote":
            quote = device.quote(bytes.fromhex(request["inblob"]))
            return {
                "outblob": base64.b64encode(quote.outblob).decode(),
                "auxblob": base64.b64encode(quote.auxblob).decode(),
                "generation": quote.generation,
                "provider": quote.provider,
            }
        device.extend(request["index"], bytes.fromhex(request["digest"]))
        return {}

    def serve() -> None:
        with suppress(OSError), sock, sock.makefile("rb") as file:
            while len(head := file.read(4)) == 4:
                body = file.read(struct.unpack(">I", head)[0])
                data = json.dumps(answer(json.loads(body))).encode()
                sock.sendall(struct.pack(">I", len(data)) + data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def appraiser(config: LaunchConfig, *, bundle: bytes | None = None):
    """Return an ``appraise`` callback that checks what a gate checks of a fake quote."""

    def appraise(offered: Offered, binding: SessionBinding) -> None:
        body = Body.decode(offered.evidence)
        if body.config != config.digest():
            raise GateError("test.config.mismatch", "Launched with another configuration.")
        if body.report_data != binding.report_data():
            raise GateError("test.binding.mismatch", "Bound to something else.")
        if body.register != runtime.replay(offered.history):
            raise GateError("test.register.mismatch", "The history is not that of the register.")
        if bundle is not None:
            last = offered.history[-3:]
            if last != runtime.events_of_start(offered.isolation, binding.manifest, bundle):
                raise GateError("test.start.mismatch", "Something else was started.")

    return appraise
