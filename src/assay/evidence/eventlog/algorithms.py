"""Digest algorithms of TCG event logs, by their number in the TCG algorithm registry."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Algorithm(IntEnum):
    """A digest algorithm as event logs and TPMs number it (TCG Algorithm Registry 1.34, table 3).

    Attributes:
        size: Length of a digest, in bytes.
    """

    size: int
    _make: Callable[[bytes], Any]

    SHA1 = 0x0004
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D
    SM3_256 = 0x0012
    SHA3_256 = 0x0027
    SHA3_384 = 0x0028
    SHA3_512 = 0x0029

    __hash__ = int.__hash__  # as equal as the number that it is, and found faster than by a member's name

    @property
    def offered(self) -> bool:
        """Whether this system can compute it; only ``SM3_256`` may be missing."""
        if self is not Algorithm.SM3_256:
            return True
        try:
            self.digest(b"")
        except ValueError:
            return False
        return True

    def digest(self, data: bytes) -> bytes:
        """Return the digest of ``data``.

        Raises:
            ValueError: OpenSSL of this system does not offer the algorithm (only ``SM3_256`` may be missing).
        """
        found: bytes = self._make(data).digest()
        return found


def _equip(member: Algorithm, size: int, make: Callable[[bytes], Any]) -> None:
    """Give a member its size and hash: attributes are found faster than entries of a table of members."""
    member.size = size
    member._make = make


_equip(Algorithm.SHA1, 20, hashlib.sha1)
_equip(Algorithm.SHA256, 32, hashlib.sha256)
_equip(Algorithm.SHA384, 48, hashlib.sha384)
_equip(Algorithm.SHA512, 64, hashlib.sha512)
_equip(Algorithm.SM3_256, 32, partial(hashlib.new, "sm3"))
_equip(Algorithm.SHA3_256, 32, hashlib.sha3_256)
_equip(Algorithm.SHA3_384, 48, hashlib.sha3_384)
_equip(Algorithm.SHA3_512, 64, hashlib.sha3_512)
