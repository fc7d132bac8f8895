"""Tables of platform configuration registers, one key each: ``pcr0``, ``pcr1``, ..."""

from __future__ import annotations

from dataclasses import field, make_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from assay.appraisal.fields import Key
from assay.appraisal.register_fields import Allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.appraisal.fields import Kind


def pcr_fields(
    count: int, kind: Kind, meaning: Mapping[int, str], kinds: Mapping[int, Kind] = MappingProxyType({})
) -> list[tuple[str, Any, Any]]:
    """Return the fields of a table with one key for each of the first ``count`` registers.

    Args:
        count: How many registers there are.
        kind: What each key holds.
        meaning: What is measured into a register, where that is defined.
        kinds: What the keys of some registers hold instead.
    """
    other = "What was extended into this register."
    return [
        (
            f"pcr{index}",
            Annotated[Allowed | None, Key(kinds.get(index, kind), meaning.get(index, other))],
            field(default=None),
        )
        for index in range(count)
    ]


def table(name: str, doc: str, fields: list[tuple[str, Any, Any]]) -> type[Any]:
    """Return a frozen dataclass with these fields."""
    made = make_dataclass(name, fields, frozen=True, slots=True)
    made.__doc__ = doc
    return made
