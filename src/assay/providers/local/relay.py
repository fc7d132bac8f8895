"""A hostile host between owner and guest: it carries every byte of theirs, and may change what it carries.

The host owns the socket and, where it lends the guest a disk, the disk. ``foreign-key`` passes the guest's
Evidence on byte for byte, nonce and all, and then ends the owner's TLS with a key of its own, to read and
answer in the guest's name. ``changed-bundle`` waits until the bundle lies in storage, and changes one byte
there before it passes on what the owner says next.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from assay.channel import hello, offer, tls
from assay.channel.frames import Kind
from assay.channel.stream import PlainStream, TlsStream
from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = 64 << 10
SECONDS = 30.0


class Relay:
    """Accepts in the guest's place.

    Args:
        listener: Where the owner connects.
        guest: Path of the guest's own socket.
        storage: The disk that the host lent the guest, to change a byte on; None to use a key of its own.
    """

    def __init__(self, listener: socket.socket, guest: Path, storage: Path | None) -> None:
        self._listener = listener
        self._guest = guest
        self._storage = storage
        self._lock = threading.Lock()

    def start(self) -> None:
        """Serve in threads that end with the process."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        serve = self._impersonate if self._storage is None else self._tamper
        while True:
            owner, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(serve, owner), daemon=True).start()

    def _serve(self, serve: Callable[[socket.socket, socket.socket], None], owner: socket.socket) -> None:
        guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        with owner, guest, suppress(AssayError, OSError):
            place = os.open(self._guest.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                guest.connect(f"/proc/self/fd/{place}/{self._guest.name}")
            finally:
                os.close(place)
            serve(owner, guest)

    def _impersonate(self, owner: socket.socket, guest: socket.socket) -> None:
        near, far = PlainStream(owner), PlainStream(guest)
        deadline = time.monotonic() + SECONDS
        asked = near.read_frame({Kind.HELLO: hello.MAX_BYTES}, deadline)
        far.send_frame(asked.kind, asked.body, deadline)
        answers = {Kind.EVIDENCE: offer.MAX_BYTES, Kind.REFUSED: hello.MAX_BYTES}
        answer = far.read_frame(answers, deadline)
        near.send_frame(answer.kind, answer.body, deadline)
        own = ec.generate_private_key(ec.SECP256R1())
        context = tls.guest_context(own, hello.Hello.decode(asked.body).certificate)
        TlsStream(near, context, server=True, deadline=deadline).close()

    def _tamper(self, owner: socket.socket, guest: socket.socket) -> None:
        back = threading.Thread(target=_pass, args=(guest, owner, _nothing), daemon=True)
        back.start()
        _pass(owner, guest, self._spoil)
        back.join()

    def _spoil(self) -> None:
        """Change one byte of the first stored file, once; where there is no file, put one there."""
        with self._lock:
            if self._storage is not None and spoil(self._storage):
                self._storage = None


def spoil(storage: Path) -> bool:
    """Change one byte of a bundle in a guest's storage; return whether there was one.

    Args:
        storage: The directory that the guest was given; it keeps the bundle in ``run-N/work``.
    """
    for work in storage.glob("run-*/work"):
        found = next((path for path in sorted(work.rglob("*")) if _holds_bytes(path)), None)
        if found is None:
            (work / "added-by-the-host").touch()
            return True
        with found.open("r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 0x01]))
        return True
    return False


def _pass(source: socket.socket, target: socket.socket, before: Callable[[], None]) -> None:
    with suppress(OSError):
        while block := source.recv(BLOCK):
            before()
            target.sendall(block)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _nothing() -> None:
    pass


def _holds_bytes(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size > 0
