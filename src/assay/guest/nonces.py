"""Nonces that were used: each once in the life of a guest, in bounded memory."""

from __future__ import annotations

import threading

from assay.errors import ChannelError

MOST = 100_000


class Nonces:
    """Remembers every nonce; forgets none. Only an owner's signed HELLO gets as far as using one up."""

    __slots__ = ("_lock", "_most", "_used")

    def __init__(self, most: int = MOST) -> None:
        self._used: set[bytes] = set()
        self._most = most
        self._lock = threading.Lock()

    def use(self, nonce: bytes) -> None:
        """Use ``nonce`` up.

        Raises:
            ChannelError: ``channel.nonce.reused``, ``channel.nonce.exhausted``.
        """
        with self._lock:
            if nonce in self._used:
                raise ChannelError("channel.nonce.reused", "This nonce was used before.")
            if len(self._used) >= self._most:
                raise ChannelError("channel.nonce.exhausted", "This guest has answered too many nonces.")
            self._used.add(nonce)
