"""Bit-flip maps: which single bits of real evidence a verifier does not notice, and whether it says so."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from support import vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Choose = Callable[[int], bool]


class Counts(NamedTuple):
    """How many flips were tried, how many accepted, and how many of these lie where the result says so."""

    tried: int
    accepted: int
    declared: int


def every(position: int) -> bool:
    """Choose every bit."""
    del position
    return True


def sample(seed: str, share: float) -> Choose:
    """Return what chooses a share of all bits, the same ones in every run."""
    chosen = random.Random(seed)
    return lambda position: chosen.random() < share


def flipped(data: bytes, choose: Choose) -> Iterator[tuple[int, bytes]]:
    """Yield, for each bit chosen by its position, the offset of its byte and a copy with that bit flipped."""
    for position in filter(choose, range(8 * len(data))):
        offset, bit = divmod(position, 8)
        yield offset, data[:offset] + bytes([data[offset] ^ (1 << bit)]) + data[offset + 1 :]


def flip(
    evidence: bytes,
    judge: Callable[[bytes], Any],
    choose: Choose,
    accepts: Callable[[Any], bool] = lambda result: result.authentic,
) -> Counts:
    """Judge evidence with each chosen bit flipped in turn; what is accepted is signed as it was before.

    Args:
        evidence: Evidence that is accepted as it is.
        judge: Returns a result of the evidence.
        choose: Which bits, by position.
        accepts: Whether a result counts as accepted.
    """
    original = judge(evidence)
    assert accepts(original), original.ledger.unmet()
    tried = accepted = declared = 0
    for offset, changed in flipped(evidence, choose):
        result = judge(changed)
        tried += 1
        if accepts(result):
            accepted += 1
            declared += any(region.start <= offset < region.end for region in result.unsigned)
            assert result.signed_digest == original.signed_digest
        else:
            # A flipped tag can make a part another one: what it was then is missing, and nothing failed.
            assert result.ledger.unmet()
    return Counts(tried, accepted, declared)


def report(what: str, counts: Counts) -> None:
    """Put the counts into the closing lines of the run; every accepted flip lies in a declared region."""
    vectors.note(
        f"bit flips of {what}: {counts.tried} tried, {counts.accepted} accepted,"
        f" {counts.declared} of these in regions declared unsigned"
    )
    assert counts.accepted == counts.declared
