"""What two sets of Reference Values differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.reference.values import Measured


def compare(before: Measured, after: Measured) -> list[tuple[str, str, bytes]]:
    """Return register, ``added`` or ``removed``, and value for each value that only one of both has.

    Sorted by register; of each, removed values stand before added ones.
    """
    found = []
    for name in sorted(before.registers.keys() | after.registers.keys()):
        old, new = (each.registers.get(name, frozenset()) for each in (before, after))
        found += [(name, "removed", value) for value in sorted(old - new)]
        found += [(name, "added", value) for value in sorted(new - old)]
    return found
