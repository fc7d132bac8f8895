"""What a key about a measured register can hold: values, or a word that stands for Reference Values."""

from __future__ import annotations

from typing import Any, Final

from assay.appraisal.fields import Hex, Kind, ListOf, either, wrong_type
from assay.evidence.records import record

REFERENCE: Final = "reference"
"""The word that takes the allowed values from the Reference Values given with the evidence."""

IF_MEASURED: Final = "reference-if-measured"
"""The same for a register into which a launch may measure nothing: zero then needs no Reference Value."""


@record
class Allowed:
    """The values that one register may hold.

    Attributes:
        values: The values; empty when they are taken from the Reference Values.
        by_reference: True when they are.
        if_measured: True when zero passes where no Reference Value was given.
    """

    values: frozenset[bytes]
    by_reference: bool = False
    if_measured: bool = False


@record
class Register(Kind):
    """A list of values of ``size`` bytes, or a word that takes them from the Reference Values.

    Attributes:
        size: Bytes of the register.
        may_be_zero: Whether launches leave it zero: then ``reference-if-measured`` is a word, too. Never for
            a register that says which code runs.
    """

    size: int
    may_be_zero: bool = False

    @property
    def _words(self) -> tuple[str, ...]:
        return (REFERENCE, IF_MEASURED) if self.may_be_zero else (REFERENCE,)

    def _decode(self, value: object, path: str) -> Allowed:
        if isinstance(value, str) and value in self._words:
            return Allowed(frozenset(), by_reference=True, if_measured=value == IF_MEASURED)
        if not isinstance(value, list):
            raise wrong_type(path, value, f"a list of hexadecimal strings, or {either(self._words)}")
        return Allowed(frozenset(ListOf(Hex(self.size)).decode(value, path)))

    def __str__(self) -> str:
        return f"{ListOf(Hex(self.size))}; or " + " or ".join(f'`"{word}"`' for word in self._words)

    def _schema(self) -> dict[str, Any]:
        return {"oneOf": [*({"const": word} for word in self._words), ListOf(Hex(self.size)).schema()]}


@record
class AnyRegister(Kind):
    """A list of values of one of several sizes, or the word ``reference``: the machine chose the hash."""

    sizes: tuple[int, ...]

    def _decode(self, value: object, path: str) -> Allowed:
        if value == REFERENCE:
            return Allowed(frozenset(), by_reference=True)
        if not isinstance(value, list):
            raise wrong_type(path, value, f'a list of hexadecimal strings, or "{REFERENCE}"')
        size = len(value[0]) // 2 if value and isinstance(value[0], str) else self.sizes[0]
        return Allowed(
            frozenset(ListOf(Hex(size if size in self.sizes else self.sizes[0])).decode(value, path))
        )

    def __str__(self) -> str:
        sizes = " or ".join(map(str, self.sizes))
        return f'list of: {sizes} bytes, hexadecimal; or `"{REFERENCE}"`'

    def _schema(self) -> dict[str, Any]:
        lists = [ListOf(Hex(size)).schema() for size in self.sizes]
        return {"oneOf": [{"const": REFERENCE}, *lists]}
