"""Keccak-256 with the original padding, as dstack's MR_CONFIG_ID of version 2 uses it.

The standard library has SHA-3, which differs in one padding byte. Inputs are short (compose hash, application
id, key provider id), so clarity counts here and speed does not.

Source: Bertoni et al., The Keccak reference 3.0, sections 1.2 (permutation) and 1.1.2 (pad10*1).
"""

from __future__ import annotations

_RATE = 136
_MASK = (1 << 64) - 1
_ROUNDS = 24
_ROTATIONS = (
    (0, 36, 3, 41, 18),
    (1, 44, 10, 45, 2),
    (62, 6, 43, 15, 61),
    (28, 55, 25, 21, 56),
    (27, 20, 39, 8, 14),
)


def _round_constants() -> tuple[int, ...]:
    """Make the constants of the iota step from the degree-8 LFSR that defines them."""
    constants = []
    state = 1
    for _ in range(_ROUNDS):
        constant = 0
        for exponent in range(7):
            if state & 1:
                constant |= 1 << ((1 << exponent) - 1)
            state = (state << 1) ^ (0x171 if state & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


_CONSTANTS = _round_constants()


def _rotate(lane: int, by: int) -> int:
    return ((lane << by) | (lane >> (64 - by))) & _MASK


def _permute(lanes: list[list[int]]) -> list[list[int]]:
    five = range(5)
    for constant in _CONSTANTS:
        parity = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in five]
        mixed = [parity[x - 1] ^ _rotate(parity[(x + 1) % 5], 1) for x in five]
        moved = [[0] * 5 for _ in five]
        for x in five:
            for y in five:
                moved[y][(2 * x + 3 * y) % 5] = _rotate(lanes[x][y] ^ mixed[x], _ROTATIONS[x][y])
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
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), _RATE):
        for index in range(_RATE // 8):
            at = start + 8 * index
            lanes[index % 5][index // 5] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lanes[index % 5][index // 5].to_bytes(8, "little") for index in range(4))
