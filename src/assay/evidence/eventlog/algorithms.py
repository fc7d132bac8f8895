"""Digest algorithms of TCG event logs, by their number in the TCG algorithm registry."""

from __future__ import annotations

import hashlib
from enum import IntEnum


class Algorithm(IntEnum):
    """A digest algorithm as event logs number it (TCG Algorithm Registry 1.34, table 3)."""

    SHA1 = 0x0004
    SHA256 = 0x000B
    SHA384 = 0x000C
    SHA512 = 0x000D
    SM3_256 = 0x0012
    SHA3_256 = 0x0027
    SHA3_384 = 0x0028
    SHA3_512 = 0x0029

    @property
    def size(self) -> int:
        """Length of a digest, in bytes."""
        return _SIZES[self]

    def digest(self, data: bytes) -> bytes:
        """Return the digest of ``data``.

        Raises:
            ValueError: OpenSSL of this system does not offer the algorithm (only ``SM3_256`` may be missing).
        """
        return hashlib.new(_NAMES[self], data).digest()


_SIZES = {
    Algorithm.SHA1: 20,
    Algorithm.SHA256: 32,
    Algorithm.SHA384: 48,
    Algorithm.SHA512: 64,
    Algorithm.SM3_256: 32,
    Algorithm.SHA3_256: 32,
    Algorithm.SHA3_384: 48,
    Algorithm.SHA3_512: 64,
}
_NAMES = {
    Algorithm.SHA1: "sha1",
    Algorithm.SHA256: "sha256",
    Algorithm.SHA384: "sha384",
    Algorithm.SHA512: "sha512",
    Algorithm.SM3_256: "sm3",
    Algorithm.SHA3_256: "sha3_256",
    Algorithm.SHA3_384: "sha3_384",
    Algorithm.SHA3_512: "sha3_512",
}
