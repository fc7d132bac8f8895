"""Keccak-256 with the original padding, as dstack's MR_CONFIG_ID of version 2 uses it.

The standard library has SHA-3, which differs in one padding byte. Inputs are short (compose hash, application
id, key provider id), so clarity counts here and speed does not.

Source: Bertoni et al., The Keccak reference 3.0, sections 1.2 (permutation) and 1.1.2 (pad10*1).
"""

from __future__ import annotations

_RATE = 136
_MASK = (1 << 64) - 1
_ROTATIONS = (
    (0, 36, 3, 41, 18),
    (1, 44, 10, 45, 2),
    (62, 6, 43, 15, 61),
    (28, 55, 25, 21, 56),
    (27, 20, 39, 8, 14),
)


_CONSTANTS = (
    0x0000000000000001,
    0x0000000000008082,
    0x800000000000808A,
    0x8000000080008000,
    0x000000000000808B,
    0x0000000080000001,
    0x8000000080008081,
    0x8000000000008009,
    0x000000000000008A,
    0x0000000000000088,
    0x0000000080008009,
    0x000000008000000A,
    0x000000008000808B,
    0x800000000000008B,
    0x8000000000008089,
    0x8000000000008003,
    0x8000000000008002,
    0x8000000000000080,
    0x000000000000800A,
    0x800000008000000A,
    0x8000000080008081,
    0x8000000000008080,
    0x0000000080000001,
    0x8000000080008008,
)


def _rotate(lane: int, by: int) -> int:
    return ((lane << by) | (lane >> (64 - by))) & _MASK


def _permute(lanes: list[list[int]]) -> list[list[int]]:
    five = range(5)
    for constant in _CONSTANTS:
        parity = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in five]
        mixed = [parity[x - 1] ^ _rotate(parity[(x + 1) % 5], 1) for x in five]
        turned = [[_rotate(lanes[x][y] ^ mixed[x], _ROTATIONS[x][y]) for y in five] for x in five]
        # Lane (x, y) moves to (y, 2x + 3y); read from where each place gets its lane.
        moved = [[turned[(x + 3 * y) % 5][x] for y in five] for x in five]
        lanes = [[moved[x][y] ^ (~moved[(x + 1) % 5][y] & moved[(x + 2) % 5][y]) for y in five] for x in five]
        lanes[0][0] ^= constant
    return lanes


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 digest of ``data``, 32 bytes."""
    return _sponge(data, 0x01)


def _sponge(data: bytes, padding: int) -> bytes:
    """Absorb ``data`` behind its first padding byte; SHA3-256 is this with 0x06, which the tests use."""
    padded = bytearray(data)
    padded += bytes(_RATE - len(data) % _RATE)
    padded[len(data)] ^= padding
    padded[-1] ^= 0x80
    lanes = [[0 for _ in row] for row in _ROTATIONS]
    for start in range(0, len(padded), _RATE):
        for index in range(_RATE // 8):
            at = start + 8 * index
            lanes[index % 5][index // 5] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lanes[x][0].to_bytes(8, "little") for x in range(4))
